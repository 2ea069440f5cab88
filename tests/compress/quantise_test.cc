#include "models/compress/quantise.h"

#include <gtest/gtest.h>

#include "models/compress/error_compensation.h"
#include "models/compress/measure.h"
#include "models/compress/tensor_values.h"
#include "tests/compress/stories.h"

namespace ac {
namespace {

TEST(Experiment, Stories) {
  const std::string path = testing::shared_data("models/stories260K.gguf");
  if (path.empty()) GTEST_SKIP() << "no shared test data";
  auto opened = open_gguf(path);
  ASSERT_TRUE(opened);
  const auto base = std::make_shared<const Checkpoint>(std::move(*opened));
  test::Workbench bench(base, test::sample_windows(*base, 32, 256, 1));
  const TokenWindows held_out = test::sample_windows(*base, 16, 256, 2);
  for (const auto format : {WeightFormat::kQ8_0, WeightFormat::kQ4_0}) {
    for (const auto rounding : {Rounding::kNearest, Rounding::kSearch, Rounding::kCompensated}) {
      for (const double damping : {0.001, 0.01, 0.1}) {
        if (rounding != Rounding::kCompensated && damping != 0.01) continue;
        auto made = quantise(bench.stage(base),
                             {.format = format, .rounding = rounding, .damping = damping});
        ASSERT_TRUE(made) << made.error().message;
        const auto q = measure_quality(*base, made->checkpoint, held_out);
        ASSERT_TRUE(q) << q.error().message;
        fmt::print(
            "{:6} {:12} {:5} kl {:.5f} median {:.5f} p99 {:.5f} ppl {:.4f} ({:.4f}) top1 {:.4f}\n",
            weight_format_info(format).name, rounding_name(rounding), damping, q->kl_mean,
            q->kl_median, q->kl_99, q->perplexity, q->base_perplexity, q->same_top1);
      }
    }
  }
}

}  // namespace
}  // namespace ac
