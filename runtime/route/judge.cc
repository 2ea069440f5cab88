#include "runtime/route/judge.h"

#include <algorithm>

namespace ac {
namespace {

// No gain is that small: accepts nothing.
constexpr double kNothing = -2;

Judgement judge_by_gain(const NgramGate& gate, double allowance, std::string_view prompt,
                        const RequestFacts& facts) {
  thread_local NgramReader reader;
  const NgramFeatures& features = reader.read(prompt, facts);
  Judgement judgement{
      .gate = GateKind::kNgram, .prediction = gate.predict(features), .allowance = allowance};
  judgement.novelty = gate.novelty(features);
  // The promise was made for prompts like those of the calibration; the further away, the less of
  // it is used.
  const double excess = judgement.novelty - static_cast<double>(gate.parts().usual_novelty);
  judgement.is_novel = excess > 0;
  if (judgement.is_novel) judgement.allowance = allowance - excess;
  return judgement;
}

}  // namespace

JudgeMade make_judge(std::shared_ptr<const Gates> gates, const JudgeOptions& options) {
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
  made.promised = guarantee(gates->ngram->parts().calibration, options.target_success,
                            options.target_confidence);
  const double allowance = made.promised->allowance.value_or(kNothing);
  made.judge.judge = [gates, allowance](std::string_view prompt, const RequestFacts& facts) {
    return judge_by_gain(*gates->ngram, allowance, prompt, facts);
  };
  return made;
}

}  // namespace ac
