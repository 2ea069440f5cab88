#include "models/train/predictor_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/predictor/network.h"
#include "models/train/adamw.h"
#include "models/train/logistic.h"
#include "models/train/predictor_gradient.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

using predictor::ParameterBlock;

constexpr size_t kMinTrain = 20, kMinValidation = 10, kMinTest = 10;
constexpr float kWarmUpShare = 0.05f;
constexpr float kFloorShare = 0.02f;  // of the peak learning rate, at the end
// The weights that are kept are a running average over about a thousand steps, shorter at the
// start: it lowers the validation loss a little and makes the best epoch a matter of less luck.
constexpr float kAverageDecay = 0.999f;
constexpr float kAverageRamp = 9.0f;

struct Example {
  PromptFeatures features;
  std::vector<float> scores;  // [n_tiers]
};

struct Examples {
  std::vector<Example> train, validation, test;
};

// What one run of training leaves behind.
struct Fit {
  Predictor predictor;
  std::vector<EpochLoss> curve;
};

Status check_options(const TrainOptions& options) {
  const auto outside = [](std::string_view what, double value) {
    return fail(ErrorCode::kInvalidArgument, "training option {}: {} is out of range", what, value);
  };
  const auto within = [](float value, float low, float high) {
    return value >= low && value <= high;
  };
  if (options.n_epochs < 1 || options.n_epochs > 10000) return outside("epochs", options.n_epochs);
  if (options.patience < 1) return outside("patience", options.patience);
  if (options.batch_rows < 1 || options.batch_rows > 65536) {
    return outside("batch", options.batch_rows);
  }
  if (!within(options.learning_rate, 1e-7f, 1.0f)) {
    return outside("learning rate", static_cast<double>(options.learning_rate));
  }
  if (!within(options.weight_decay, 0.0f, 10.0f)) {
    return outside("weight decay", static_cast<double>(options.weight_decay));
  }
  if (!within(options.clip_length, 1e-6f, 1e6f)) {
    return outside("clip length", static_cast<double>(options.clip_length));
  }
  if (!within(options.word_dropout, 0.0f, 0.9f)) {
    return outside("word dropout", static_cast<double>(options.word_dropout));
  }
  return {};
}

// Matrices uniform with variance 1 / n_in, the two that write into the residual stream and the head
// smaller, so that the untrained network starts near its biases.
std::vector<float> initial_parameters(int n_tiers, Rng& rng) {
  std::vector<float> parameters(static_cast<size_t>(predictor::offsets_for(n_tiers).total), 0.0f);
  for (const ParameterBlock& block : predictor::parameter_blocks(n_tiers)) {
    float* values = parameters.data() + block.offset;
    double width = 0;
    switch (block.kind) {
      case ParameterBlock::Kind::kGain:
        std::fill_n(values, block.size(), 1.0f);
        continue;
      case ParameterBlock::Kind::kBias:
        continue;
      case ParameterBlock::Kind::kTable:
        width = block.name == "position" ? 0.02 : 0.5;
        break;
      case ParameterBlock::Kind::kMatrix:
        width = std::sqrt(3.0 / block.n_rows);
        if (block.name.ends_with("w_o") || block.name.ends_with("w_down")) width *= 0.5;
        if (block.name == "w_head") width *= 0.1;
        break;
    }
    for (int i = 0; i < block.size(); ++i) {
      values[i] = static_cast<float>(width * (2 * rng.uniform() - 1));
    }
  }
  return parameters;
}

std::vector<bool> decayed(int n_tiers) {
  std::vector<bool> decays(static_cast<size_t>(predictor::offsets_for(n_tiers).total), false);
  for (const ParameterBlock& block : predictor::parameter_blocks(n_tiers)) {
    const bool is_weight =
        block.kind == ParameterBlock::Kind::kMatrix || block.kind == ParameterBlock::Kind::kTable;
    for (int i = 0; i < block.size(); ++i) {
      decays[static_cast<size_t>(block.offset + i)] = is_weight;
    }
  }
  return decays;
}

// Takes pieces out; the rest keep their places. A prompt never loses all of them.
PromptFeatures with_words_hidden(const PromptFeatures& features, float share, Rng& rng) {
  PromptFeatures out;
  for (int t = 0; t < features.n_tokens; ++t) {
    if (rng.uniform() < static_cast<double>(share)) continue;
    out.buckets[static_cast<size_t>(out.n_tokens++)] = features.buckets[static_cast<size_t>(t)];
  }
  return out.n_tokens > 0 ? out : features;
}

// Logits of every example, [n_tiers][n].
std::vector<std::vector<float>> logits_of(std::span<const float> parameters, int n_tiers,
                                          std::span<const Example> examples) {
  std::vector<std::vector<float>> logits(static_cast<size_t>(n_tiers));
  predictor::Tape<float> tape;
  for (const Example& example : examples) {
    predictor::forward(parameters.data(), n_tiers, example.features, tape);
    for (int i = 0; i < n_tiers; ++i) logits[static_cast<size_t>(i)].push_back(tape.logits[i]);
  }
  return logits;
}

double mean_loss(std::span<const float> parameters, int n_tiers,
                 std::span<const Example> examples) {
  const auto logits = logits_of(parameters, n_tiers, examples);
  double sum = 0;
  for (size_t t = 0; t < logits.size(); ++t) {
    for (size_t i = 0; i < examples.size(); ++i) {
      sum += cross_entropy(static_cast<double>(logits[t][i]),
                           static_cast<double>(examples[i].scores[t]));
    }
  }
  return sum / static_cast<double>(examples.size() * logits.size());
}

// Scale and shift of a tier's logits on the validation prompts.
Calibration calibrated_on(std::span<const float> logits, std::span<const Example> examples,
                          size_t tier) {
  const std::vector<double> z(logits.begin(), logits.end());
  std::vector<float> scores;
  for (const Example& example : examples) scores.push_back(example.scores[tier]);
  return calibrate(z, scores);
}

Examples examples_of(const Labels& labels, std::span<const TierRow> rows) {
  Examples examples;
  for (const TierRow& row : rows) {
    if (row.split == Split::kUnused) continue;
    std::vector<Example>& part = row.split == Split::kTrain        ? examples.train
                                 : row.split == Split::kValidation ? examples.validation
                                                                   : examples.test;
    part.push_back({prompt_features(labels.rows[row.row].prompt), row.scores});
  }
  return examples;
}

Status check_sizes(const Examples& examples, const Labels& labels) {
  const auto too_few = [&labels](std::string_view what, size_t n, size_t least) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: {} {} prompts with a score for every tier, expected at least {}", labels.name,
                n, what, least);
  };
  if (examples.train.size() < kMinTrain) {
    return too_few("training", examples.train.size(), kMinTrain);
  }
  if (examples.validation.size() < kMinValidation) {
    return too_few("validation", examples.validation.size(), kMinValidation);
  }
  if (examples.test.size() < kMinTest) {
    return too_few("test", examples.test.size(), kMinTest);
  }
  return {};
}

// One pass over the training prompts in a new order. Returns the mean loss.
class Epochs {
 public:
  Epochs(const TrainOptions& options, int n_tiers, std::span<const Example> examples)
      : options_(options),
        n_tiers_(n_tiers),
        examples_(examples),
        rng_(options.seed),
        parameters_(initial_parameters(n_tiers, rng_)),
        gradient_(parameters_.size()),
        order_(examples.size()),
        adamw_({.weight_decay = options.weight_decay}, decayed(n_tiers)) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    const auto batch = static_cast<size_t>(options.batch_rows);
    batches_ = static_cast<int64_t>((examples.size() + batch - 1) / batch);
    start_at_base_rates();
    averaged_ = parameters_;
  }

  double run() {
    for (size_t i = order_.size(); i > 1; --i) {
      std::swap(order_[i - 1], order_[static_cast<size_t>(rng_.below(i))]);
    }
    double loss = 0;
    const auto batch = static_cast<size_t>(options_.batch_rows);
    for (size_t from = 0; from < order_.size(); from += batch) {
      loss += run_batch(std::span(order_).subspan(from, std::min(batch, order_.size() - from)));
    }
    return loss / static_cast<double>(order_.size() * static_cast<size_t>(n_tiers_));
  }

  const std::vector<float>& averaged() const { return averaged_; }
  float learning_rate() const { return learning_rate_; }

 private:
  // The heads' biases begin at the logit of each tier's mean score.
  void start_at_base_rates() {
    const predictor::Offsets at = predictor::offsets_for(n_tiers_);
    for (int i = 0; i < n_tiers_; ++i) {
      double sum = 1;  // one success and one failure beforehand keep the logit finite
      for (const Example& example : examples_) {
        sum += static_cast<double>(example.scores[static_cast<size_t>(i)]);
      }
      const double mean = sum / static_cast<double>(examples_.size() + 2);
      parameters_[static_cast<size_t>(at.b_head + i)] =
          static_cast<float>(std::log(mean / (1 - mean)));
    }
  }

  double run_batch(std::span<const size_t> rows) {
    std::fill(gradient_.begin(), gradient_.end(), 0.0f);
    const float share = 1.0f / static_cast<float>(rows.size() * static_cast<size_t>(n_tiers_));
    double loss = 0;
    for (const size_t row : rows) {
      const Example& example = examples_[row];
      const PromptFeatures features =
          with_words_hidden(example.features, options_.word_dropout, rng_);
      predictor::forward(parameters_.data(), n_tiers_, features, tape_);
      float d_logits[kPredictorMaxTiers];
      for (int i = 0; i < n_tiers_; ++i) {
        const float score = example.scores[static_cast<size_t>(i)];
        loss += cross_entropy(static_cast<double>(tape_.logits[i]), static_cast<double>(score));
        d_logits[i] = (predictor::sigmoid(tape_.logits[i]) - score) * share;
      }
      predictor::backward(parameters_.data(), n_tiers_, features, tape_, d_logits,
                          gradient_.data());
    }
    clip_gradient(gradient_, static_cast<double>(options_.clip_length));
    const int64_t n_steps = batches_ * options_.n_epochs;
    const auto n_warm_up = static_cast<int64_t>(kWarmUpShare * static_cast<float>(n_steps)) + 1;
    learning_rate_ = cosine_learning_rate(step_++, n_warm_up, n_steps, options_.learning_rate,
                                          options_.learning_rate * kFloorShare);
    adamw_.step(parameters_, gradient_, learning_rate_);
    const auto n_done = static_cast<float>(step_);
    const float decay = std::min(kAverageDecay, n_done / (n_done + kAverageRamp));
    for (size_t i = 0; i < averaged_.size(); ++i) {
      averaged_[i] += (1.0f - decay) * (parameters_[i] - averaged_[i]);
    }
    return loss;
  }

  const TrainOptions& options_;
  int n_tiers_;
  std::span<const Example> examples_;
  Rng rng_;
  std::vector<float> parameters_;
  std::vector<float> averaged_;
  std::vector<float> gradient_;
  std::vector<size_t> order_;
  AdamW adamw_;
  predictor::Tape<float> tape_;
  int64_t batches_ = 0;
  int64_t step_ = 0;
  float learning_rate_ = 0;
};

Result<Fit> fit(const TrainOptions& options, std::span<const TierSource> tiers,
                const Labels& labels, const Examples& examples) {
  const auto n_tiers = static_cast<int>(tiers.size());
  Epochs epochs(options, n_tiers, examples.train);
  std::vector<float> best = epochs.averaged();
  double least = mean_loss(best, n_tiers, examples.validation);
  int best_epoch = 0;
  std::vector<EpochLoss> curve;
  for (int epoch = 1; epoch <= options.n_epochs && epoch - best_epoch <= options.patience;
       ++epoch) {
    if (options.cancel != nullptr && options.cancel->raised()) {
      return fail(ErrorCode::kCancelled, "training was stopped in epoch {}", epoch);
    }
    EpochLoss point;
    point.epoch = epoch;
    point.train = epochs.run();
    point.validation = mean_loss(epochs.averaged(), n_tiers, examples.validation);
    point.learning_rate = epochs.learning_rate();
    if (point.validation < least) {
      least = point.validation;
      best = epochs.averaged();
      best_epoch = epoch;
    }
    curve.push_back(point);
    if (options.on_epoch) options.on_epoch(point);
  }

  Predictor::Parts parts;
  const auto logits = logits_of(best, n_tiers, examples.validation);
  std::vector<float> success, gain, weak, strong;
  for (size_t t = 0; t < tiers.size(); ++t) {
    const Calibration calibration = calibrated_on(logits[t], examples.validation, t);
    parts.tiers.push_back(tiers[t].tier);
    parts.scale.push_back(static_cast<float>(calibration.scale));
    parts.shift.push_back(static_cast<float>(calibration.shift));
    parts.facts.models.push_back(models_of(tiers[t]));
  }
  for (size_t i = 0; i < examples.validation.size(); ++i) {
    const auto calibrated = [&](size_t tier) {
      return predictor::sigmoid(parts.scale[tier] * logits[tier][i] + parts.shift[tier]);
    };
    success.push_back(calibrated(0));
    gain.push_back(calibrated(0) - calibrated(tiers.size() - 1));
    weak.push_back(examples.validation[i].scores.front());
    strong.push_back(examples.validation[i].scores.back());
  }
  parts.parameters = std::move(best);
  parts.facts.labels = labels.name;
  parts.facts.n_rows = static_cast<uint32_t>(examples.train.size());
  parts.facts.seed = options.seed;
  parts.facts.n_epochs = static_cast<uint32_t>(best_epoch);
  parts.facts.target_retention = static_cast<float>(kTargetRetention);
  const auto chosen = [&](const std::vector<float>& scores) {
    const double threshold = largest_cut(scores, {weak, strong}, kTargetRetention).threshold;
    return std::isfinite(threshold) ? static_cast<float>(threshold) : 1.0f;
  };
  parts.facts.target_threshold = chosen(success);
  parts.facts.target_gain = chosen(gain);
  AC_TRY(Predictor made, Predictor::create(std::move(parts)));
  return Fit{std::move(made), std::move(curve)};
}

void append_scores(const Predictor& predictor, std::span<const Example> examples,
                   ScoredRows& scored) {
  scored.predicted.resize(predictor.tiers().size());
  scored.earned.resize(predictor.tiers().size());
  for (const Example& example : examples) {
    const Prediction prediction = predictor.predict(example.features);
    for (size_t t = 0; t < scored.predicted.size(); ++t) {
      scored.predicted[t].push_back(prediction.success[t]);
      scored.earned[t].push_back(example.scores[t]);
    }
  }
}

Result<std::vector<TierSource>> chosen_tiers(const TrainOptions& options, const Labels& labels) {
  if (options.tiers.empty()) return default_tiers(labels);
  if (options.tiers.size() < kPredictorMinTiers || options.tiers.size() > kPredictorMaxTiers) {
    return fail(ErrorCode::kInvalidArgument, "{} tiers, expected {} to {}", options.tiers.size(),
                kPredictorMinTiers, kPredictorMaxTiers);
  }
  return options.tiers;
}

}  // namespace

Result<TrainReport> train_predictor(const TrainOptions& options, const Labels& labels) {
  AC_TRY_STATUS(check_options(options));
  AC_TRY(std::vector<TierSource> tiers, chosen_tiers(options, labels));
  AC_TRY(const std::vector<TierRow> rows, tier_rows(labels, tiers));
  const Examples examples = examples_of(labels, rows);
  AC_TRY_STATUS(check_sizes(examples, labels));
  AC_TRY(Fit fitted, fit(options, tiers, labels, examples));

  ScoredRows scored;
  append_scores(fitted.predictor, examples.test, scored);
  Evaluation test = evaluate_scores(scored, tiers, fitted.predictor.facts());
  test.labels = labels.name;
  test.rows = "test";
  const size_t n_used = examples.train.size() + examples.validation.size() + examples.test.size();
  return TrainReport{.predictor = std::move(fitted.predictor),
                     .tiers = std::move(tiers),
                     .curve = std::move(fitted.curve),
                     .n_train = examples.train.size(),
                     .n_validation = examples.validation.size(),
                     .n_test = examples.test.size(),
                     .n_left_out = labels.rows.size() - n_used,
                     .test = std::move(test)};
}

Result<FoldedScores> scores_out_of_fold(const TrainOptions& options, const Labels& labels,
                                        int n_folds) {
  AC_TRY_STATUS(check_options(options));
  if (n_folds < 2 || n_folds > 20) {
    return fail(ErrorCode::kInvalidArgument, "{} folds, expected 2 to 20", n_folds);
  }
  AC_TRY(const std::vector<TierSource> tiers, chosen_tiers(options, labels));
  AC_TRY(std::vector<TierRow> rows, tier_rows(labels, tiers));
  FoldedScores out;
  for (int fold = 0; fold < n_folds; ++fold) {
    for (TierRow& row : rows) {
      // Copies of a prompt have one hash, so they share a part. The two digits are independent.
      const uint64_t hash = prompt_hash(labels.rows[row.row].prompt);
      const bool is_test = fold_of(hash, n_folds) == fold;
      const bool is_validation = (hash >> 32) % 10 == 0;
      row.split = is_test ? Split::kTest : is_validation ? Split::kValidation : Split::kTrain;
      if (is_test) out.label_rows.push_back(row.row);
    }
    const Examples examples = examples_of(labels, rows);
    AC_TRY_STATUS(check_sizes(examples, labels));
    AC_TRY(const Fit fitted, fit(options, tiers, labels, examples));
    append_scores(fitted.predictor, examples.test, out.scored);
    out.facts.push_back(fitted.predictor.facts());
    out.folds.resize(out.label_rows.size(), fold);
  }
  return out;
}

Result<Evaluation> cross_validate(const TrainOptions& options, const Labels& labels, int n_folds) {
  AC_TRY(const std::vector<TierSource> tiers, chosen_tiers(options, labels));
  AC_TRY(const FoldedScores folded, scores_out_of_fold(options, labels, n_folds));
  const ScoredRows& scored = folded.scored;
  // Scores above each fold's own threshold: the pooled rows are then kept where this is positive.
  std::vector<float> above_threshold, above_gain;
  for (size_t i = 0; i < folded.folds.size(); ++i) {
    const PredictorFacts& facts = folded.facts[static_cast<size_t>(folded.folds[i])];
    const float success = scored.predicted.front()[i];
    above_threshold.push_back(success - facts.target_threshold);
    above_gain.push_back(success - scored.predicted.back()[i] - facts.target_gain);
  }
  PredictorFacts mean;
  for (const PredictorFacts& facts : folded.facts) {
    mean.target_threshold += facts.target_threshold / static_cast<float>(n_folds);
    mean.target_gain += facts.target_gain / static_cast<float>(n_folds);
  }
  Evaluation evaluation = evaluate_scores(scored, tiers, PredictorFacts{});
  evaluation.labels = labels.name;
  evaluation.rows = fmt::format("{} folds", n_folds);
  const Outcome outcome{scored.earned.front(), scored.earned.back()};
  const auto chosen = [&outcome](const std::vector<float>& above, float shown_threshold) {
    Kept kept = keep_at(above, outcome, 0.0);
    kept.threshold = static_cast<double>(shown_threshold);
    return kept;
  };
  evaluation.pairs[0].chosen_before = chosen(above_threshold, mean.target_threshold);
  evaluation.pairs[0].gain_chosen_before = chosen(above_gain, mean.target_gain);
  return evaluation;
}

}  // namespace ac
