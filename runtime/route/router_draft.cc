// A draft first: written here, judged, and thrown away where the full model had better answer.
#include "models/predictor/compare_text.h"
#include "runtime/route/router_state.h"

namespace ac {

std::optional<DraftGate::Success> Router::State::judge_draft(DraftStage stage,
                                                             const Journey& journey,
                                                             const DraftSignals& signals,
                                                             const SecondDraft& second) const {
  const auto& prediction = journey.decision.prediction;
  if (judge.drafts == nullptr || !prediction) return std::nullopt;
  const int variant = judge.drafts->find_variant(journey.route.variant);
  // A predictor of another zoo may know the name and another model behind it.
  const auto n_hidden = static_cast<size_t>(judge.drafts->parts().n_hidden);
  if (variant < 0 || (n_hidden > 0 && signals.hidden.size() != n_hidden)) return std::nullopt;
  return judge.drafts->predict(stage, static_cast<size_t>(variant), *prediction, signals, second);
}

std::optional<SecondDraft> Router::State::ask_second(const Journey& journey,
                                                     const RoutedAnswer& draft) {
  const auto variant = static_cast<size_t>(judge.drafts->find_variant(journey.route.variant));
  const std::string& id = judge.drafts->parts().seconds[variant];
  if (id == journey.route.variant) return std::nullopt;
  const std::lock_guard turn(local_answers.turns());
  const Result<Engine*> engine = engine_of(id);
  if (!engine) return std::nullopt;
  const auto prompt = (*engine)->tokens_of_chat(journey.request.messages);
  if (!prompt) return std::nullopt;
  GenerateOptions generate = journey.request.options;
  generate.on_text = nullptr;
  const auto other = (*engine)->generate(*prompt, generate);
  if (!other || other->finish == FinishReason::kCancelled) return std::nullopt;
  return SecondDraft{.same = same_lines(draft.text, other->text),
                     .overlap = static_cast<float>(word_overlap(draft.text, other->text))};
}

// The remote where the draft is doubted. Nothing is passed on before that is known.
Result<RoutedAnswer> Router::State::run_local_then_doubt(Journey& journey) {
  journey.relay.hold();
  const std::optional<double> allowance = journey.decision.draft_allowance;
  std::string doubt;
  const auto doubts = [&](const std::optional<DraftGate::Success>& success, double allowed) {
    if (!success || success->gain() <= allowed) return false;
    doubt = fmt::format("likely right with {:.2f}, the full model with {:.2f}", success->variant,
                        success->full);
    return true;
  };
  bool stopped = false;
  if (allowance && judge.draft_use.probe) {
    journey.goes_on = [&](const DraftSignals& signals) {
      stopped = doubts(judge_draft(DraftStage::kProbe, journey, signals), *allowance + kDraftReach);
      return !stopped;
    };
  }
  Result<RoutedAnswer> draft = run_local(journey);
  journey.goes_on = nullptr;
  if (!draft.has_value()) {
    journey.relay.let_go();
    return draft;
  }
  const auto judged = allowance && draft->signals && !stopped
                          ? judge_draft(DraftStage::kDraft, journey, *draft->signals)
                          : std::nullopt;
  if (judged) {
    if (doubts(judged, *allowance) && judge.draft_use.second) {
      if (const auto second = ask_second(journey, *draft)) {
        const auto with_second =
            judge_draft(DraftStage::kSecond, journey, *draft->signals, *second);
        if (with_second && !doubts(with_second, *allowance)) {
          doubt.clear();
          draft->receipt.confidence = with_second->variant;
        }
      }
    }
  } else if (!stopped) {
    doubt = draft->receipt.doubts;
  }
  if (doubt.empty()) {
    draft->receipt.seconds = journey.relay.seconds();
    journey.relay.let_go();
    return draft;
  }
  const Route local = journey.route;
  const std::string notes = journey.notes;
  add_note(&journey.notes,
           fmt::format("{} {}, doubtful: {}", local.variant,
                       stopped ? "read it first" : "answered first", doubt));
  journey.route.place = Place::kRemote;
  journey.route.reason = RouteReason::kDoubted;
  journey.route.confidence =
      full_model_success(journey.decision.prediction.value_or(Prediction{}));
  journey.relay.restart();
  journey.relay.let_go();
  Result<RoutedAnswer> answer = run_remote(journey);
  if (answer.has_value()) return answer;
  // The draft is better than nothing, and says what it is.
  journey.route = local;
  journey.notes = notes;
  if (stopped) {
    draft = run_local(journey);
    if (!draft.has_value()) return draft;
  } else {
    journey.relay.pass_on(draft->text);
  }
  if (draft->receipt.doubts.empty()) draft->receipt.doubts = doubt;
  draft->receipt.degraded = true;
  draft->receipt.degraded_cause = fmt::format("remote unreachable ({})", answer.error().message);
  draft->receipt.seconds = journey.relay.seconds();
  return draft;
}

}  // namespace ac
