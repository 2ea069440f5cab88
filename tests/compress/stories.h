// What tests of the compressor measure on: a model and text that it wrote itself.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "cpu/backend_cpu.h"
#include "models/arch/model.h"
#include "models/compress/calibration.h"
#include "models/compress/stage.h"
#include "models/store/gguf.h"
#include "runtime/core/rng.h"
#include "tests/store/store_test_util.h"

namespace ac::test {

// Token windows sampled at temperature 1, from bos (or token 1) on; the same for the same seed.
inline TokenWindows sample_windows(const Checkpoint& checkpoint, int32_t n_windows, int32_t length,
                                   uint64_t seed) {
  auto backend = cpu::create_cpu_backend();
  AC_CHECK(backend.has_value());
  auto model = load_model(checkpoint, **backend, {.n_context = length});
  AC_CHECK(model.has_value());
  const auto n = static_cast<size_t>(n_windows);
  const auto n_vocab = static_cast<size_t>(model->config.n_vocab);
  AC_CHECK(
      (*backend)->create_kv(model->config.kv_shape(n_windows, length, KvFormat::kF32)).has_value());
  std::vector<std::vector<int32_t>> texts(n, {1});
  std::vector<int32_t> tokens(n), positions(n), slots(n), rows(n);
  Rng rng(seed);
  for (int32_t at = 0; at + 1 < length; ++at) {
    for (size_t i = 0; i < n; ++i) {
      tokens[i] = texts[i].back();
      positions[i] = at;
      slots[i] = rows[i] = static_cast<int32_t>(i);
    }
    (*backend)->begin_step({.tokens = tokens, .positions = positions, .slots = slots});
    const Value logits = forward(**backend, *model, rows);
    AC_CHECK((*backend)->end_step().has_value());
    const auto values = (*backend)->read(logits);
    for (size_t i = 0; i < n; ++i) {
      const auto row = values.subspan(i * n_vocab, n_vocab);
      double sum = 0;
      for (const float x : row) sum += std::exp(static_cast<double>(x));
      double left = rng.uniform() * sum;
      int32_t next = 0;
      while (static_cast<size_t>(next) + 1 < n_vocab &&
             (left -= std::exp(static_cast<double>(row[static_cast<size_t>(next)]))) > 0) {
        ++next;
      }
      texts[i].push_back(next);
    }
  }
  TokenWindows windows;
  for (const auto& text : texts) windows.add(text);
  return windows;
}

// A checkpoint with its moments, and the folder in which stages on it keep their parts.
class Workbench {
 public:
  Workbench(std::shared_ptr<const Checkpoint> base, TokenWindows calibration)
      : base_(std::move(base)), calibration_(std::move(calibration)), team_({.n_threads = 2}) {
    auto folder = BuildFolder::open(folder_ / "build");
    AC_CHECK(folder.has_value());
    build_.emplace(std::move(*folder));
  }

  const std::shared_ptr<const Checkpoint>& base() const { return base_; }
  const TokenWindows& calibration() const { return calibration_; }
  cpu::ThreadTeam& team() { return team_; }

  const std::vector<LayerMoments>& moments_of(const std::shared_ptr<const Checkpoint>& from) {
    auto& known = moments_[from.get()];
    if (known.empty()) {
      const Status status =
          calibrate(*from, calibration_, {.n_threads = 2, .keep = [&](int32_t, LayerMoments one) {
                                            known.push_back(std::move(one));
                                            return Status();
                                          }});
      EXPECT_TRUE(status) << status.error().message;
    }
    return known;
  }

  // A stage on `from`, with parts of its own.
  Stage stage(const std::shared_ptr<const Checkpoint>& from) {
    return stage_with(from, [this, from](int32_t layer) -> Result<LayerMoments> {
      const LayerMoments& known = moments_of(from)[static_cast<size_t>(layer)];
      AC_TRY(const Checkpoint copy, moments_to_checkpoint(known));
      return moments_from_checkpoint(copy);
    });
  }
  // One on the base that knows nothing of inputs: all are as strong as each other and unrelated.
  Stage blind_stage() {
    return stage_with(base_, [this](int32_t layer) -> Result<LayerMoments> {
      const LayerMoments& known = moments_of(base_)[static_cast<size_t>(layer)];
      AC_TRY(const Checkpoint copy, moments_to_checkpoint(known));
      AC_TRY(LayerMoments moments, moments_from_checkpoint(copy));
      for (const InputKind kind : kInputKinds) {
        Matrix& h = moments.of(kind).h;
        for (int64_t i = 0; i < h.n_rows(); ++i) {
          for (int64_t j = 0; j < h.n_cols(); ++j) h(i, j) = i == j ? 1 : 0;
        }
      }
      return moments;
    });
  }

 private:
  Stage stage_with(const std::shared_ptr<const Checkpoint>& from,
                   std::function<Result<LayerMoments>(int32_t)> moments) {
    return Stage({.base = base_,
                  .from = from,
                  .folder = &*build_,
                  .from_key = fmt::format("from{:04}", n_stages_),
                  .key = fmt::format("{:04}", n_stages_++),
                  .team = &team_,
                  .moments = std::move(moments),
                  .calibration = &calibration_,
                  .recovery = &calibration_});
  }

  testing::TemporaryFolder folder_;
  std::optional<BuildFolder> build_;
  std::shared_ptr<const Checkpoint> base_;
  TokenWindows calibration_;
  cpu::ThreadTeam team_;
  std::map<const Checkpoint*, std::vector<LayerMoments>> moments_;
  int n_stages_ = 0;
};

// The small real model, text that it wrote to calibrate with and other text to judge by. Made once.
class StoriesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string path = testing::shared_data("models/stories260K.gguf");
    if (path.empty()) return;
    auto opened = open_gguf(path);
    AC_CHECK(opened.has_value());
    const auto base = std::make_shared<const Checkpoint>(std::move(*opened));
    // 8192 tokens: 47 for each input of its widest matrix.
    bench_ = std::make_unique<Workbench>(base, sample_windows(*base, 64, 128, 1));
    held_out_ = sample_windows(*base, 24, 128, 2);
  }
  static void TearDownTestSuite() { bench_.reset(); }
  void SetUp() override {
    if (bench_ == nullptr) GTEST_SKIP() << "no shared test data";
  }
  static Workbench& bench() { return *bench_; }
  static const TokenWindows& held_out() { return held_out_; }

 private:
  inline static std::unique_ptr<Workbench> bench_;
  inline static TokenWindows held_out_;
};

}  // namespace ac::test
