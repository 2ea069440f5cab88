#include "runtime/eval/strategies.h"

#include <algorithm>
#include <numeric>

#include "models/predictor/compare_text.h"
#include "runtime/core/clock.h"
#include "runtime/core/rng.h"
#include "runtime/route/verify.h"
#include "runtime/route/workflow_book.h"

namespace ac {
namespace {

std::string remote() { return std::string(kRemotePlace); }

size_t tier_of(std::span<const std::string> tiers, const std::string& variant) {
  const auto at = std::find(tiers.begin(), tiers.end(), variant);
  AC_CHECK(at != tiers.end());
  return static_cast<size_t>(at - tiers.begin());
}

// What is predicted of each variant, cheapest first.
std::vector<float> success_of(std::span<const std::string> variants,
                              std::span<const std::string> tiers, const Prediction& prediction) {
  std::vector<float> success;
  for (const std::string& variant : variants) {
    success.push_back(prediction.success[tier_of(tiers, variant)]);
  }
  return success;
}

StepPlan plan_since(Clock::TimePoint start, std::string place) {
  return {.places = {std::move(place)},
          .decision_seconds = seconds_between(start, system_clock().now())};
}

}  // namespace

Strategy always_remote() {
  return [](const StepQuestion&) -> Result<StepPlan> { return StepPlan{.places = {remote()}}; };
}

Strategy at_random(std::string cheapest, double local_share, uint64_t seed) {
  auto rng = std::make_shared<Rng>(seed);
  return
      [rng, cheapest = std::move(cheapest), local_share](const StepQuestion&) -> Result<StepPlan> {
        return StepPlan{.places = {rng->uniform() < local_share ? cheapest : remote()}};
      };
}

Strategy oracle(std::vector<std::string> variants) {
  return [variants = std::move(variants)](const StepQuestion& question) -> Result<StepPlan> {
    for (const std::string& variant : variants) {
      AC_TRY(const PlaceAnswer* answer, question.book.answer(variant, question.prompt));
      if (tasks::check_step(question.workflow, question.step, answer->text).success) {
        return StepPlan{.places = {variant}};
      }
    }
    return StepPlan{.places = {remote()}};
  };
}

Strategy paper_gate(std::shared_ptr<const Gates> gates, std::vector<std::string> variants,
                    double threshold) {
  return [gates, variants = std::move(variants),
          threshold](const StepQuestion& question) -> Result<StepPlan> {
    const auto start = system_clock().now();
    const Prediction prediction = gates->paper.predict(prompt_features(question.prompt));
    const std::vector<float> success = success_of(variants, gates->paper.tiers(), prediction);
    const auto will_do = std::find_if(success.begin(), success.end(), [&](float chance) {
      return static_cast<double>(chance) >= threshold;
    });
    const auto chosen = static_cast<size_t>(will_do - success.begin());
    return plan_since(start, chosen < variants.size() ? variants[chosen] : remote());
  };
}

Strategy default_gate(std::shared_ptr<const Gates> gates, std::vector<std::string> variants,
                      double allowance, bool verified) {
  auto reader = std::make_shared<NgramReader>();
  return [gates, reader, variants = std::move(variants), allowance,
          verified](const StepQuestion& question) -> Result<StepPlan> {
    const auto start = system_clock().now();
    const Prediction prediction = gates->ngram->predict(reader->read(question.prompt));
    std::vector<float> success = success_of(variants, gates->ngram->tiers(), prediction);
    success.push_back(prediction.success.back());
    const size_t chosen = accepted_tier(success, allowance);
    StepPlan plan = plan_since(start, chosen < variants.size() ? variants[chosen] : remote());
    if (!verified || plan.places.front() == kRemotePlace) return plan;
    AC_TRY(const PlaceAnswer* draft, question.book.answer(plan.places.front(), question.prompt));
    const auto checking = system_clock().now();
    if (!check_draft(question.prompt, draft->text).passes()) plan.places.push_back(remote());
    plan.decision_seconds += seconds_between(checking, system_clock().now());
    return plan;
  };
}

namespace {

// One step by the draft gate.
class DraftStep {
 public:
  // `usual`: of the variants, the one that prompts which say nothing go to; cheaper ones only draft.
  DraftStep(const Gates& gates, const std::vector<std::string>& variants, size_t usual,
            const Allowed& allowed, DraftUse use, const StepQuestion& question)
      : gates_(gates),
        variants_(variants),
        usual_(usual),
        allowance_(allowed.allowance),
        cascade_(use.cascade ? allowed.cascade : std::nullopt),
        use_(use),
        question_(question) {}

  // `floor`: variants before it are not asked. -> whom to ask, how likely that is to succeed, and
  // the variant whose answer stands; variants.size(): the remote's.
  Result<StepPlan> plan(const Prediction& prediction, size_t floor, WorkflowStep& step,
                        size_t& chosen) {
    prediction_ = &prediction;
    const auto start = system_clock().now();
    std::vector<float> predicted =
        success_of(std::span(variants_).subspan(floor), gates_.ngram->tiers(), prediction);
    predicted.push_back(prediction.success.back());
    const size_t usual = std::max(floor, usual_);
    chosen = usual + accepted_tier(std::span<const float>(predicted).subspan(usual - floor),
                                   allowance_ + kDraftReach);
    StepPlan plan;
    const auto remote_alone = [&] {
      plan.places.push_back(remote());
      step = {.success = prediction.success.back(), .full_success = prediction.success.back()};
      chosen = variants_.size();
    };
    plan.decision_seconds = seconds_between(start, system_clock().now());
    if (chosen == variants_.size()) {
      remote_alone();
      return plan;
    }
    const size_t first =
        cascade_ ? floor + cascade_tier(std::span<const float>(predicted), chosen - floor, *cascade_)
                 : chosen;
    if (first < chosen) {
      AC_TRY(const bool kept, first_draft_stands(variants_[first], plan, step));
      if (kept) {
        chosen = first;
        return plan;
      }
    }
    const std::string& variant = variants_[chosen];
    tier_ = tier_of(gates_.draft->variants(), variant);
    AC_TRY(const PlaceAnswer* draft, question_.book.answer(variant, question_.prompt));
    if (!shows_anything(*draft)) {
      remote_alone();
      return plan;
    }
    if (use_.probe &&
        judge(DraftStage::kProbe, *draft, {}).gain() > allowance_ + kDraftReach) {
      stop(*draft, plan);
      remote_alone();
      return plan;
    }
    plan.places.push_back(variant);
    DraftGate::Success success = judge(DraftStage::kDraft, *draft, {});
    if (success.gain() > allowance_ && use_.second) {
      const std::string& other = gates_.draft->parts().seconds[tier_];
      AC_TRY(const PlaceAnswer* second, question_.book.answer(other, question_.prompt));
      success = judge(
          DraftStage::kSecond, *draft,
          {.same = same_lines(draft->text, second->text),
           .overlap = static_cast<float>(word_overlap(draft->text, second->text))});
      // It is paid for, and the first one's answer counts.
      plan.places.insert(plan.places.begin(), other);
    }
    step = {.success = success.variant, .full_success = prediction.success.back()};
    if (success.gain() > allowance_) remote_alone();
    return plan;
  }

 private:
  // The cascade's variant: whether its draft is kept.
  Result<bool> first_draft_stands(const std::string& variant, StepPlan& plan, WorkflowStep& step) {
    tier_ = tier_of(gates_.draft->variants(), variant);
    AC_TRY(const PlaceAnswer* draft, question_.book.answer(variant, question_.prompt));
    if (!shows_anything(*draft)) return false;
    if (use_.probe &&
        judge(DraftStage::kProbe, *draft, {}).gain() > *cascade_ + kCascadeReach) {
      stop(*draft, plan);
      return false;
    }
    plan.places.push_back(variant);
    const DraftGate::Success success = judge(DraftStage::kDraft, *draft, {});
    step = {.success = success.variant, .full_success = prediction_->success.back()};
    return success.gain() <= *cascade_;
  }

  // A prompt that did not fit was not even read.
  bool shows_anything(const PlaceAnswer& draft) const {
    const auto n_hidden = static_cast<size_t>(gates_.draft->parts().n_hidden);
    return draft.prompt_tokens > 0 && (n_hidden == 0 || draft.signals.hidden.size() == n_hidden);
  }

  // It has read the prompt and writes nothing.
  static void stop(const PlaceAnswer& draft, StepPlan& plan) {
    plan.stopped_seconds += draft.first_token_seconds;
    plan.stopped_bit_ops += draft.bit_ops_per_token * static_cast<double>(draft.prompt_tokens);
  }

  DraftGate::Success judge(DraftStage stage, const PlaceAnswer& draft, const SecondDraft& second) {
    return gates_.draft->predict(stage, tier_, *prediction_, draft.signals, second);
  }

  const Gates& gates_;
  const std::vector<std::string>& variants_;
  size_t usual_;
  double allowance_;
  std::optional<double> cascade_;
  DraftUse use_;
  const StepQuestion& question_;
  const Prediction* prediction_ = nullptr;
  size_t tier_ = 0;  // of the variant that drafts
};

}  // namespace

Strategy draft_gate(std::shared_ptr<const Gates> gates, std::vector<std::string> variants,
                    const Allowed& allowed, DraftPlan plan) {
  // Of the workflow that is on its way; steps come in their order.
  struct OnItsWay {
    WorkflowBook book;
    size_t floor = 0;
    NgramReader reader;
  };
  auto now = std::make_shared<OnItsWay>();
  std::vector<size_t> tiers;
  for (const std::string& variant : variants) {
    tiers.push_back(tier_of(gates->ngram->tiers(), variant));
  }
  const size_t usual = usual_tier(gates->ngram->parts().calibration, tiers);
  return [gates, now, usual, variants = std::move(variants), allowed,
          plan](const StepQuestion& question) -> Result<StepPlan> {
    constexpr std::string_view kId = "now";
    if (question.step == 0) {
      now->book = WorkflowBook();
      now->floor = 0;
    }
    const auto start = system_clock().now();
    const Prediction prediction = gates->ngram->predict(now->reader.read(question.prompt));
    const double read_seconds = seconds_between(start, system_clock().now());
    Allowed here = allowed;
    if (plan.by_workflow) {
      const double relative = now->book.find(kId).relative();
      if (here.allowance > 0) here.allowance /= relative;
      if (here.cascade) *here.cascade /= relative;
    }
    DraftStep one(*gates, variants, usual, here, plan.use, question);
    WorkflowStep step;
    size_t chosen = 0;
    AC_TRY(StepPlan made,
           one.plan(prediction, plan.by_workflow ? now->floor : 0, step, chosen));
    made.decision_seconds += read_seconds;
    now->book.add(kId, step);
    if (chosen < variants.size()) now->floor = std::max(now->floor, chosen);
    return made;
  };
}

Result<std::optional<Allowed>> certain_setting(
    std::span<const WorkflowRun> full, double retain, double confidence,
    std::span<const Allowed> settings,
    const std::function<Result<std::vector<WorkflowRun>>(const Allowed& allowed)>& run_at) {
  std::optional<Allowed> best;
  if (full.empty()) return best;
  // Kinds and fields take turns; the test wants an order that has nothing to do with success.
  std::vector<size_t> order(full.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Rng rng(1);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[static_cast<size_t>(rng.below(i))]);
  }
  for (const Allowed& allowed : settings) {
    AC_TRY(const std::vector<WorkflowRun> runs, run_at(allowed));
    AC_CHECK(runs.size() == full.size());
    RetentionTest test(retain, confidence, runs.size());
    for (const size_t i : order) {
      test.add(full[i].success ? 1 : 0, runs[i].success ? 1 : 0);
    }
    if (!test.certain()) break;
    best = allowed;
  }
  return best;
}

}  // namespace ac
