#include "models/compress/low_rank.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "models/compress/measure.h"
#include "models/compress/repair.h"
#include "models/compress/tensor_values.h"
#include "tests/compress/stories.h"

namespace ac {
namespace {

TEST(Experiment, LowRank) {
  const std::string path = testing::shared_data("models/stories260K.gguf");
  if (path.empty()) GTEST_SKIP() << "no shared test data";
  auto opened = open_gguf(path);
  ASSERT_TRUE(opened);
  const auto base = std::make_shared<const Checkpoint>(std::move(*opened));
  test::Workbench bench(base, test::sample_windows(*base, 32, 256, 1));
  const TokenWindows held_out = test::sample_windows(*base, 16, 256, 2);
  struct Case { const char* what; LowRankOptions options; };
  const Case cases[] = {
    {"q,o .5", {.keep=0.5,.unit=4}},
    {"q .5", {.keep=0.5,.o=false,.unit=4}},
    {"o .5", {.keep=0.5,.q=false,.unit=4}},
    {"qkv .7", {.keep=0.7,.o=false,.joint_qkv=true,.unit=4}},
  };
  for (const auto& c : cases) {
    auto made = low_rank(bench.stage(base), c.options);
    ASSERT_TRUE(made) << made.error().message;
    const auto q = measure_quality(*base, made->checkpoint, held_out);
    ASSERT_TRUE(q) << q.error().message;
    fmt::print("{:26} kl {:.5f} median {:.5f} ppl {:.4f} ({:.4f}) top1 {:.4f} {}\n", c.what,
               q->kl_mean, q->kl_median, q->perplexity, q->base_perplexity, q->same_top1, fmt::join(made->notes,"; "));
    auto from = std::make_shared<const Checkpoint>(std::move(made->checkpoint));
      auto fixed = repair(bench.stage(from), {});
      ASSERT_TRUE(fixed) << fixed.error().message;
      const auto r = measure_quality(*base, fixed->checkpoint, held_out);
      fmt::print("{:26} kl {:.5f} repaired\n", "", r->kl_mean);
  }
}

}  // namespace
}  // namespace ac
