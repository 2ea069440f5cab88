#include "models/compress/recover.h"

#include <algorithm>
#include <numeric>

#include "models/compress/lora.h"
#include "models/compress/tensor_values.h"
#include "models/train/lm_trainer.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

constexpr size_t kHeldBackEvery = 20;  // windows
constexpr size_t kMostHeldBackTokens = 32768;
constexpr int32_t kTokensPerPack = 2048;
constexpr int64_t kWarmUpSteps = 20;
constexpr char kPartName[] = "all";

Sequence sequence_of(const TokenWindows& windows, size_t i) {
  const auto tokens = windows.window(i);
  Sequence sequence{.tokens = {tokens.begin(), tokens.end()}, .weights = {}};
  for (size_t j = 0; j < tokens.size(); ++j) sequence.weights.push_back(windows.weight(i, j));
  return sequence;
}

class Recoverer {
 public:
  Recoverer(const Stage& stage, const RecoverOptions& options)
      : stage_(stage), options_(options), windows_(stage.recovery()) {}

  Result<Part> run() {
    AC_TRY_STATUS(split_windows());
    AC_TRY(student_, Parameters::create(stage_.from()));
    LmTrainerOptions trainer{
        .n_threads = stage_.team().n_threads(),
        .adamw = {.beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .weight_decay = 0.0f},
        .clip_length = 1.0f};
    if (options_.mode == RecoverMode::kFull && options_.muon) {
      trainer.muon = {.beta = 0.95f, .weight_decay = 0.0f};
    }
    AC_TRY(trainer_, LmTrainer::create(*student_, trainer));
    AC_TRY(teacher_, Teacher::create(stage_.base(), trainer));
    if (options_.mode == RecoverMode::kLora) {
      AC_TRY(lora_, Lora::create(*student_, options_.rank, trainer));
    }
    AC_TRY(const double first, look());
    best_ = first;
    keep();
    AC_TRY_STATUS(learn());
    std::ranges::copy(kept_, student_->values().begin());
    Part part;
    for (const Parameters::Entry& entry : student_->entries()) {
      AC_TRY_STATUS(add_weights(part.tensors, entry.name,
                                student_->values().subspan(entry.offset, entry.size), entry.shape));
    }
    part.notes.push_back(
        fmt::format("recover: divergence on text held back from it {:.5f} -> {:.5f} after {} "
                    "steps, {} tokens (stopped at step {})",
                    first, best_, best_step_, best_tokens_, step_));
    return part;
  }

 private:
  PackTeacher teacher() {
    return [this](const Pack& pack, std::span<const int32_t> rows) {
      return teacher_->rows(pack, rows);
    };
  }

  // Whether any token of window i is to be predicted.
  bool counts(size_t i) const {
    for (size_t j = 1; j < windows_.window(i).size(); ++j) {
      if (windows_.weight(i, j) > 0) return true;
    }
    return false;
  }

  Status split_windows() {
    size_t held_back = 0;
    for (size_t i = 0; i < windows_.n_windows(); ++i) {
      if (windows_.window(i).size() < 2 || !counts(i)) continue;
      if (i % kHeldBackEvery == kHeldBackEvery - 1 && held_back < kMostHeldBackTokens) {
        const Sequence sequence = sequence_of(windows_, i);
        held_back += sequence.tokens.size();
        if (looks_.empty() || looks_.back().tokens.size() + sequence.tokens.size() >
                                  static_cast<size_t>(kTokensPerPack)) {
          looks_.emplace_back();
        }
        looks_.back().add(sequence);
      } else {
        order_.push_back(i);
      }
    }
    if (looks_.empty()) {
      return fail(ErrorCode::kInvalidArgument,
                  "recover: the text gives {} windows, expected at least {}: a part of them is "
                  "held back to tell when to stop",
                  windows_.n_windows(), kHeldBackEvery);
    }
    return {};
  }

  // The windows in a new order each time round.
  Pack next_pack() {
    Pack pack;
    while (true) {
      if (at_ == 0) {
        Rng rng(0x5eed + round_++);
        for (size_t i = order_.size(); i > 1; --i) {
          std::swap(order_[i - 1], order_[static_cast<size_t>(rng.below(i))]);
        }
      }
      const Sequence sequence = sequence_of(windows_, order_[at_]);
      if (!pack.empty() && pack.tokens.size() + sequence.tokens.size() >
                               static_cast<size_t>(kTokensPerPack)) {
        return pack;
      }
      pack.add(sequence);
      at_ = (at_ + 1) % order_.size();
    }
  }

  Result<double> look() { return trainer_->divergence(looks_, teacher()); }
  void keep() { kept_.assign(student_->values().begin(), student_->values().end()); }

  Status learn() {
    const int64_t n_steps = std::max<int64_t>(1, options_.tokens / options_.tokens_per_step);
    int64_t n_tokens = 0, looks_without = 0;
    const Distillation distillation{.teacher = teacher(),
                                    .share = static_cast<float>(1 - options_.text_share)};
    while (step_ < n_steps) {
      std::vector<Pack> packs;
      int64_t n_step = 0;
      while (n_step < options_.tokens_per_step) {
        packs.push_back(next_pack());
        n_step += static_cast<int64_t>(packs.back().tokens.size());
      }
      const auto peak = static_cast<float>(options_.learning_rate);
      const float rate =
          cosine_learning_rate(step_, kWarmUpSteps, n_steps, peak, 0.0f);
      AC_TRY(const StepReport done, trainer_->add_gradients(packs, distillation));
      if (lora_) {
        lora_->step(*student_, rate, trainer_->clip_factor(done));
        trainer_->parameters_changed();
      } else {
        trainer_->move(rate, done);
      }
      ++step_;
      n_tokens += done.n_tokens;
      stage_.progress(static_cast<uint64_t>(step_), static_cast<uint64_t>(n_steps),
                      fmt::format("step {} of {}, divergence {:.4f}", step_, n_steps,
                                  done.divergence));
      if (step_ % options_.look_every != 0 && step_ != n_steps) continue;
      AC_TRY(const double seen, look());
      if (seen < best_) {
        best_ = seen;
        best_step_ = step_;
        best_tokens_ = n_tokens;
        looks_without = 0;
        keep();
      } else if (++looks_without >= options_.patience) {
        break;
      }
    }
    return {};
  }

  const Stage& stage_;
  const RecoverOptions& options_;
  const TokenWindows& windows_;
  std::vector<size_t> order_;
  size_t at_ = 0;
  uint64_t round_ = 0;
  std::vector<Pack> looks_;
  std::unique_ptr<Parameters> student_;
  std::unique_ptr<LmTrainer> trainer_;
  std::unique_ptr<Teacher> teacher_;
  std::unique_ptr<Lora> lora_;
  std::vector<float> kept_;
  double best_ = 0;
  int64_t step_ = 0, best_step_ = 0, best_tokens_ = 0;
};

}  // namespace

std::string_view recover_mode_name(RecoverMode mode) {
  return mode == RecoverMode::kFull ? "full" : "lora";
}

Result<StageResult> recover(const Stage& stage, const RecoverOptions& options) {
  AC_TRY(Part part, stage.part(kPartName, [&] { return Recoverer(stage, options).run(); }));
  StageResult result;
  result.notes = part.notes;
  std::vector<Part> parts;
  parts.push_back(std::move(part));
  result.checkpoint = assemble(stage.shared_from(), std::move(parts));
  return result;
}

}  // namespace ac
