#include "models/train/lm_trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ac {
namespace {

cpu::GemmKind gemm_kind(const cpu::Isa& isa, const LmTrainerOptions& options) {
  return options.f32_products ? cpu::GemmKind::kF32 : cpu::Gemm::best_kind(isa);
}

bool is_of_layer(const Parameters::Entry& entry) { return entry.name.starts_with("blk."); }

std::vector<DecayRange> decay_ranges(const Parameters& parameters, bool muon) {
  std::vector<DecayRange> ranges;
  for (const Parameters::Entry& entry : parameters.entries()) {
    if (!ranges.empty()) ranges.back().end = entry.offset;
    ranges.push_back({.begin = entry.offset,
                      .end = entry.offset,
                      .decays = entry.is_matrix(),
                      .is_left_alone = muon && entry.is_matrix() && is_of_layer(entry)});
  }
  if (!ranges.empty()) ranges.back().end = parameters.size();
  return ranges;
}

std::vector<MuonMatrix> layer_matrices(const Parameters& parameters) {
  std::vector<MuonMatrix> matrices;
  for (const Parameters::Entry& entry : parameters.entries()) {
    if (!entry.is_matrix() || !is_of_layer(entry)) continue;
    const int64_t n_cols = entry.shape.back();
    matrices.push_back({.offset = entry.offset,
                        .n_rows = static_cast<int64_t>(entry.size) / n_cols,
                        .n_cols = n_cols});
  }
  return matrices;
}

Status prepare(const Checkpoint& checkpoint, TapeBackend& tape, Model* model) {
  AC_TRY(*model, load_model(checkpoint, tape));
  return tape.create_kv(model->config.kv_shape(1, model->config.n_context, KvFormat::kF32));
}

}  // namespace

LmTrainer::LmTrainer(const cpu::Isa& isa, Parameters& parameters, const LmTrainerOptions& options)
    : isa_(isa),
      parameters_(parameters),
      options_(options),
      team_({.n_threads = options.n_threads}) {
  tape_ = std::make_unique<TapeBackend>(
      isa, team_, parameters,
      TapeOptions{.gemm = gemm_kind(isa, options), .chunk_rows = options.chunk_rows});
  optimizer_ = std::make_unique<AdamW>(options.adamw, decay_ranges(parameters, options.muon.has_value()));
}

Result<std::unique_ptr<LmTrainer>> LmTrainer::create(Parameters& parameters,
                                                     const LmTrainerOptions& options) {
  AC_TRY(const cpu::Isa* isa, cpu::choose_isa());
  std::unique_ptr<LmTrainer> trainer(new LmTrainer(*isa, parameters, options));
  AC_TRY_STATUS(prepare(parameters.checkpoint(), *trainer->tape_, &trainer->model_));
  if (options.muon) {
    AC_TRY(trainer->muon_,
           Muon::create(cpu::Gemm(*isa, gemm_kind(*isa, options)), *options.muon,
                        layer_matrices(parameters), trainer->team_.n_threads()));
  }
  return trainer;
}

// Past the last attention only rows that count are computed: an answer is a quarter of a document, and
// the output is a seventh of a small model.
void LmTrainer::keep_rows_that_count(const Pack& pack, std::span<const float> weights,
                                     std::span<const float> teacher_weights) {
  rows_.clear();
  row_targets_.clear();
  row_weights_.clear();
  row_teacher_weights_.clear();
  for (size_t i = 0; i < pack.tokens.size(); ++i) {
    const float weight = weights.empty() ? 0.0f : weights[i];
    const float teacher_weight = teacher_weights.empty() ? 0.0f : teacher_weights[i];
    if (weight == 0.0f && teacher_weight == 0.0f) continue;
    rows_.push_back(static_cast<int32_t>(i));
    row_targets_.push_back(pack.targets[i]);
    row_weights_.push_back(weight);
    row_teacher_weights_.push_back(teacher_weight);
  }
}

Result<StepLoss> LmTrainer::run(const Pack& pack, std::span<const float> weights,
                                const PackTeacher& teacher,
                                std::span<const float> teacher_weights) {
  keep_rows_that_count(pack, weights, teacher_weights);
  if (rows_.empty()) return StepLoss();
  LossOptions loss{.targets = row_targets_, .weights = row_weights_};
  if (teacher) {
    AC_TRY(loss.teacher, teacher(pack, rows_));
    loss.teacher_weights = row_teacher_weights_;
  }
  tape_->begin_step(pack.batch());
  tape_->loss(forward(*tape_, model_, rows_), loss);
  AC_TRY_STATUS(tape_->end_step());
  return tape_->step_loss();
}

Result<StepReport> LmTrainer::step(std::span<const Pack> packs, float learning_rate,
                                   const Distillation& distillation) {
  AC_TRY(const StepReport report, add_gradients(packs, distillation));
  move(learning_rate, report);
  return report;
}

Result<StepReport> LmTrainer::add_gradients(std::span<const Pack> packs,
                                            const Distillation& distillation) {
  double weight = 0;
  for (const Pack& pack : packs) weight += pack.total_weight();
  if (!(weight > 0)) {
    return fail(ErrorCode::kInvalidArgument, "a step without tokens that count");
  }
  StepReport report;
  tape_->set_pass(TapeBackend::Pass::kForwardAndBack);
  const auto clear_gradients = [&] { std::ranges::fill(parameters_.gradients(), 0.0f); };
  const float share = distillation.teacher ? distillation.share : 0.0f;
  for (const Pack& pack : packs) {
    const auto scaled = [&](std::vector<float>& to, float factor) {
      to.resize(pack.weights.size());
      std::ranges::transform(pack.weights, to.begin(), [&](float w) {
        return static_cast<float>(static_cast<double>(w * factor) / weight);
      });
    };
    scaled(weights_, 1.0f - share);
    scaled(teacher_weights_, share);
    const Result<StepLoss> done = share > 0
                                      ? run(pack, weights_, distillation.teacher, teacher_weights_)
                                      : run(pack, weights_);
    if (!done) {
      clear_gradients();
      return done.error();
    }
    report.loss += done->cross_entropy + done->divergence;
    report.divergence += done->divergence;
    report.n_tokens += static_cast<int64_t>(pack.tokens.size());
  }
  report.gradient_length = gradient_length(isa_, team_, parameters_.gradients());
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_length)) {
    clear_gradients();
    return fail(ErrorCode::kInvalidArgument,
                "the loss is {} and the gradient's length {}: the learning rate is too high",
                report.loss, report.gradient_length);
  }
  return report;
}

float LmTrainer::clip_factor(const StepReport& report) const {
  const auto longest = static_cast<double>(options_.clip_length);
  return static_cast<float>(report.gradient_length > longest ? longest / report.gradient_length
                                                             : 1.0);
}

void LmTrainer::move(float learning_rate, const StepReport& report) {
  if (muon_ != nullptr) {
    muon_->step(team_, parameters_.values(), parameters_.gradients(), optimizer_->mean(),
                learning_rate, clip_factor(report));
  }
  optimizer_->step(isa_, team_, parameters_.values(), parameters_.gradients(), learning_rate,
                   clip_factor(report));
  tape_->weights_changed();
}

Result<double> LmTrainer::loss(std::span<const Pack> packs) {
  double sum = 0, weight = 0;
  tape_->set_pass(TapeBackend::Pass::kForward);
  for (const Pack& pack : packs) {
    AC_TRY(const StepLoss loss, run(pack, pack.weights));
    sum += loss.cross_entropy;
    weight += pack.total_weight();
  }
  return weight > 0 ? sum / weight : 0.0;
}

Result<double> LmTrainer::divergence(std::span<const Pack> packs, const PackTeacher& teacher) {
  double sum = 0, weight = 0;
  tape_->set_pass(TapeBackend::Pass::kForward);
  for (const Pack& pack : packs) {
    AC_TRY(const StepLoss loss, run(pack, {}, teacher, pack.weights));
    sum += loss.divergence;
    weight += pack.total_weight();
  }
  return weight > 0 ? sum / weight : 0.0;
}

Result<std::unique_ptr<Teacher>> Teacher::create(const Checkpoint& checkpoint,
                                                 const LmTrainerOptions& options) {
  AC_TRY(const cpu::Isa* isa, cpu::choose_isa());
  std::unique_ptr<Teacher> teacher(new Teacher(options));
  AC_TRY(teacher->nothing_, Parameters::create(Checkpoint()));
  teacher->tape_ = std::make_unique<TapeBackend>(
      *isa, teacher->team_, *teacher->nothing_,
      TapeOptions{.gemm = gemm_kind(*isa, options), .chunk_rows = options.chunk_rows});
  AC_TRY_STATUS(prepare(checkpoint, *teacher->tape_, &teacher->model_));
  return teacher;
}

Result<TeacherRows> Teacher::rows(const Pack& pack, std::span<const int32_t> rows) {
  tape_->begin_step(pack.batch());
  const Value out = forward(*tape_, model_, rows);
  const auto n_cols = static_cast<size_t>(out.n_cols);
  const uint64_t size_bytes = rows.size() * n_cols * sizeof(float);
  if (logits_.size_bytes() < size_bytes) {
    AC_TRY(logits_, Buffer::allocate(size_bytes));
  }
  float* logits = logits_.as<float>().data();
  tape_->visit_rows(out, [logits, n_cols](int32_t begin, std::span<const float> values) {
    std::ranges::copy(values, logits + static_cast<size_t>(begin) * n_cols);
  });
  AC_TRY_STATUS(tape_->end_step());
  return TeacherRows([logits, n_cols](int32_t begin, int32_t end, float* to) {
    std::memcpy(to, logits + static_cast<size_t>(begin) * n_cols,
                static_cast<size_t>(end - begin) * n_cols * sizeof(float));
  });
}

}  // namespace ac
