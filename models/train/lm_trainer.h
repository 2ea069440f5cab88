// One optimiser's step of a language model: packs go forward and back, gradients add up, AdamW moves
// the parameters. What is trained on, for how long and what is written is others' business.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "models/arch/model.h"
#include "models/train/adamw.h"
#include "models/train/muon.h"
#include "models/train/sequences.h"
#include "models/train/tape.h"

namespace ac {

struct LmTrainerOptions {
  int n_threads = 0;          // 0: one per usable core
  bool f32_products = false;  // even where there is a bf16 unit
  int32_t chunk_rows = 128;
  AdamWOptions adamw{.beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .weight_decay = 0.1f};
  // Matrices inside layers are moved by Muon, the rest by AdamW.
  std::optional<MuonOptions> muon = std::nullopt;
  float clip_length = 1.0f;  // longest gradient
};

// The teacher's logits of these rows of a pack of this step, which are rows 0, 1, ... of what comes
// back; that is called until the step ends. Errors end the step, and parameters stay as they are.
using PackTeacher =
    std::function<Result<TeacherRows>(const Pack& pack, std::span<const int32_t> rows)>;

// Learning from a teacher: `share` of the loss is the divergence from its logits, the rest is the
// cross-entropy of the targets.
struct Distillation {
  PackTeacher teacher{};
  float share = 1.0f;
};

struct StepReport {
  double loss = 0;        // per unit of weight, in nats
  double divergence = 0;  // the part of it that came from the teacher
  double gradient_length = 0;
  int64_t n_tokens = 0;
};

// Same packs, same parameters, same bits, for any number of threads.
class LmTrainer {
 public:
  // `parameters` outlive the trainer. Matrices decay, vectors do not.
  // Errors: those of load_model and choose_isa.
  static Result<std::unique_ptr<LmTrainer>> create(Parameters& parameters,
                                                   const LmTrainerOptions& options);

  // One step on all packs together. Errors: kOutOfMemory, kInvalidArgument (a loss that is not a
  // number: parameters stay as they are), those of a teacher.
  Result<StepReport> step(std::span<const Pack> packs, float learning_rate,
                          const Distillation& distillation = {});
  // Its two halves: the gradient of all packs, and the optimiser's step along it, after which the
  // gradient is zero. Errors: those of step(); the gradient is zero then.
  Result<StepReport> add_gradients(std::span<const Pack> packs,
                                   const Distillation& distillation = {});
  void move(float learning_rate, const StepReport& report);
  // What a gradient is multiplied by so that it is no longer than clip_length.
  float clip_factor(const StepReport& report) const;
  // The loss alone, per unit of weight. Errors: kOutOfMemory.
  Result<double> loss(std::span<const Pack> packs);
  // The divergence from a teacher, per unit of weight. Errors: kOutOfMemory, those of the teacher.
  Result<double> divergence(std::span<const Pack> packs, const PackTeacher& teacher);

  const Model& model() const { return model_; }
  AdamW& optimizer() { return *optimizer_; }
  int n_threads() const { return team_.n_threads(); }
  // Parameters were changed from outside.
  void parameters_changed() { tape_->weights_changed(); }

 private:
  LmTrainer(const cpu::Isa& isa, Parameters& parameters, const LmTrainerOptions& options);
  // Weights [n_tokens of the pack] or empty.
  Result<StepLoss> run(const Pack& pack, std::span<const float> weights,
                       const PackTeacher& teacher = {},
                       std::span<const float> teacher_weights = {});
  void keep_rows_that_count(const Pack& pack, std::span<const float> weights,
                            std::span<const float> teacher_weights);

  const cpu::Isa& isa_;
  Parameters& parameters_;
  LmTrainerOptions options_;
  cpu::ThreadTeam team_;
  std::unique_ptr<TapeBackend> tape_;
  std::unique_ptr<AdamW> optimizer_;
  std::unique_ptr<Muon> muon_;  // its momenta are in optimizer_'s means
  Model model_;
  std::vector<float> weights_, teacher_weights_;
  // The rows whose logits are computed, and what is expected of them.
  std::vector<int32_t> rows_, row_targets_;
  std::vector<float> row_weights_, row_teacher_weights_;
};

// A model that gives logits to learn from; its weights may be of any format.
class Teacher {
 public:
  // `checkpoint` outlives it. Errors: those of load_model and choose_isa.
  static Result<std::unique_ptr<Teacher>> create(const Checkpoint& checkpoint,
                                                 const LmTrainerOptions& options);
  // Logits of these tokens of the pack, valid until the next call. Errors: kOutOfMemory.
  Result<TeacherRows> rows(const Pack& pack, std::span<const int32_t> rows);

 private:
  explicit Teacher(const LmTrainerOptions& options) : team_({.n_threads = options.n_threads}) {}
  cpu::ThreadTeam team_;
  std::unique_ptr<Parameters> nothing_;  // to train
  std::unique_ptr<TapeBackend> tape_;
  Model model_;
  Buffer logits_;
};

}  // namespace ac
