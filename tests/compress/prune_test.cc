#include "models/compress/prune.h"

#include <gtest/gtest.h>

#include "models/compress/measure.h"
#include "models/compress/repair.h"
#include "models/compress/tensor_values.h"
#include "tests/compress/stories.h"

namespace ac {
namespace {

TEST(Experiment, Prune) {
  const std::string path = testing::shared_data("models/stories260K.gguf");
  if (path.empty()) GTEST_SKIP() << "no shared test data";
  auto opened = open_gguf(path);
  ASSERT_TRUE(opened);
  const auto base = std::make_shared<const Checkpoint>(std::move(*opened));
  test::Workbench bench(base, test::sample_windows(*base, 32, 256, 1));
  const TokenWindows held_out = test::sample_windows(*base, 16, 256, 2);
  struct Case { const char* what; PruneOptions options; };
  const Case cases[] = {
    {"strength none even", {.ff_keep=0.5,.unit=2,.selection=Selection::kStrength,.global=false,.compensate=false}},
    {"strength LS even", {.ff_keep=0.5,.unit=2,.selection=Selection::kStrength,.global=false,.compensate=true}},
    {"greedy none even", {.ff_keep=0.5,.unit=2,.selection=Selection::kGreedy,.global=false,.compensate=false}},
    {"greedy LS even", {.ff_keep=0.5,.unit=2,.selection=Selection::kGreedy,.global=false,.compensate=true}},
    {"greedy LS global", {.ff_keep=0.5,.unit=2}},
    {"greedy LS global d.001", {.ff_keep=0.5,.unit=2,.damping=0.001}},
    {"greedy LS global unit 32", {.ff_keep=0.5,.unit=32}},
{"str none 25", {.ff_keep=0.75,.unit=2,.selection=Selection::kStrength,.global=false,.compensate=false}},{"greedy LS 25", {.ff_keep=0.75,.unit=2}},
    {"kv .75 none", {.kv_keep=0.75,.compensate=false}},
    {"kv .75", {.kv_keep=0.75}},
    {"kv .5 even", {.kv_keep=0.5, .global=false}},
    {"kv .5", {.kv_keep=0.5}},
    {"drop1", {.drop_layers=1}},
    {"all", {.ff_keep=0.75,.kv_keep=0.75,.drop_layers=1,.unit=4}},
  };
  for (const auto& c : cases) {
    auto made = prune(bench.stage(base), c.options);
    ASSERT_TRUE(made) << made.error().message;
    const auto q = measure_quality(*base, made->checkpoint, held_out);
    ASSERT_TRUE(q) << q.error().message;
    auto cfg = read_model_config(made->checkpoint);
    std::string widths;
    for (auto& l : cfg->layers) widths += fmt::format(" {}/{}", l.d_ff, l.n_kv_heads);
    fmt::print("{:26} kl {:.5f} median {:.5f} ppl {:.4f} ({:.4f}) top1 {:.4f} {}\n", c.what,
               q->kl_mean, q->kl_median, q->perplexity, q->base_perplexity, q->same_top1, widths);
    auto from = std::make_shared<const Checkpoint>(std::move(made->checkpoint));
    for (double d : {0.0001, 0.01}) {
      auto fixed = repair(bench.stage(from), {.damping = d});
      ASSERT_TRUE(fixed) << fixed.error().message;
      const auto r = measure_quality(*base, fixed->checkpoint, held_out);
      fmt::print("{:26} kl {:.5f} repaired {}\n", "", r->kl_mean, d);
    }
  }
}

}  // namespace
}  // namespace ac
