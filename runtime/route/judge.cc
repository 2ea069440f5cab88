#include "runtime/route/judge.h"

#include <algorithm>
#include <cmath>

namespace ac {
namespace {

// No gain is that small: accepts nothing.
constexpr double kNothing = -2;
// Under an alarm a promise is asked for that fails ten times less often.
constexpr double kAlarmDoubt = 0.1;

struct Allowances {
  double gate = kNothing;
  std::optional<double> draft{};
  std::optional<double> cascade{};
  double alarm_margin = 0;
};

Judgement judge_by_gain(const NgramGate& gate, const Allowances& allowed, std::string_view prompt,
                        const RequestFacts& facts) {
  thread_local NgramReader reader;
  const NgramFeatures& features = reader.read(prompt, facts);
  Judgement judgement{.gate = GateKind::kNgram,
                      .prediction = gate.predict(features),
                      .allowance = allowed.gate,
                      .draft_allowance = allowed.draft,
                      .cascade_allowance = allowed.cascade,
                      .alarm_margin = allowed.alarm_margin};
  judgement.novelty = gate.novelty(features);
  // The promise was made for prompts like those of the calibration; the further away, the less of
  // it is used.
  const double excess = judgement.novelty - static_cast<double>(gate.parts().usual_novelty);
  judgement.is_novel = excess > 0;
  if (judgement.is_novel) {
    *judgement.allowance -= excess;
    if (judgement.draft_allowance) *judgement.draft_allowance -= excess;
    judgement.cascade_allowance.reset();
  }
  return judgement;
}

// How the gate's judgements spread over the prompts that it was calibrated on.
DriftBaseline baseline_of(const NgramGate& gate) {
  const CalibrationTable& table = gate.parts().calibration;
  DriftBaseline usual;
  double sum = 0, squares = 0;
  for (size_t row = 0; row < table.n_rows(); ++row) {
    const float* const of_row = &table.predicted[row * table.n_tiers];
    const auto gain = static_cast<double>(of_row[table.n_tiers - 1] - of_row[0]);
    sum += gain;
    squares += gain * gain;
  }
  const auto n = static_cast<double>(std::max<size_t>(1, table.n_rows()));
  usual.mean_gain = sum / n;
  usual.gain_deviation = std::sqrt(std::max(0.0, squares / n - usual.mean_gain * usual.mean_gain));
  return usual;
}

}  // namespace

JudgeMade make_judge(std::shared_ptr<const Gates> gates, const JudgeOptions& options,
                     std::shared_ptr<const GateLearning> learning) {
  JudgeMade made;
  if (gates == nullptr) return made;
  made.judge.tiers.assign(gates->paper.tiers().begin(), gates->paper.tiers().end());
  if (options.paper || !gates->ngram.has_value()) {
    made.judge.judge = [gates](std::string_view prompt, const RequestFacts&) {
      Judgement judgement;
      judgement.prediction = gates->paper.predict(prompt_features(prompt));
      return judgement;
    };
    return made;
  }
  const CalibrationTable& table = gates->ngram->parts().calibration;
  const bool judges_drafts = options.drafts.has_value() && gates->draft.has_value();
  const auto promise = [&](double confidence) {
    return judges_drafts ? draft_guarantee(table, gates->draft->parts().gains, *options.drafts,
                                           options.target_success, confidence)
                         : guarantee(table, options.target_success, confidence);
  };
  made.promised = promise(options.target_confidence);
  Allowances allowed{.gate = made.promised->allowance.value_or(kNothing)};
  const Guarantee careful = promise(1 - kAlarmDoubt * (1 - options.target_confidence));
  allowed.alarm_margin = allowed.gate - careful.allowance.value_or(kNothing);
  if (gates->draft) made.judge.drafts = std::shared_ptr<const DraftGate>(gates, &*gates->draft);
  if (judges_drafts) {
    allowed.draft = allowed.gate;
    allowed.cascade = made.promised->cascade;
    if (made.promised->allowance) allowed.gate += kDraftReach;
    made.judge.draft_use = *options.drafts;
    made.judge.usual_variant = made.judge.tiers[usual_variant(table)];
  }
  if (table.n_rows() > 0) made.judge.usual = baseline_of(*gates->ngram);
  made.judge.judge = [gates, allowed, learning](std::string_view prompt,
                                                const RequestFacts& facts) {
    const NgramGate& gate = learning != nullptr ? learning->gate() : *gates->ngram;
    return judge_by_gain(gate, allowed, prompt, facts);
  };
  return made;
}

}  // namespace ac
