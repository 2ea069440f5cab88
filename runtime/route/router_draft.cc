// A draft first: written here, judged, and thrown away where the full model had better answer.
#include "models/predictor/compare_text.h"
#include "runtime/route/router_state.h"

namespace ac {
namespace {

std::string doubt_of(const DraftGate::Success& success) {
  return fmt::format("likely right with {:.2f}, the full model with {:.2f}", success.variant,
                     success.full);
}

std::string doubted_note(std::string_view variant, bool stopped, std::string_view doubt) {
  return fmt::format("{} {}, doubtful: {}", variant, stopped ? "read it first" : "answered first",
                     doubt);
}

}  // namespace

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

std::string Router::State::cascade_before(const RouteRequest& request, const Decision& decision,
                                          double least_cost) const {
  const Route& route = decision.route;
  const bool judged = judge.drafts != nullptr && options.verify == Verify::kEscalate &&
                      decision.draft_allowance && decision.cascade_allowance &&
                      !request.pin.has_value();
  if (!judged || route.place != Place::kLocal || route.reason != RouteReason::kConfident) return {};
  std::vector<const Candidate*> cheaper;
  std::vector<double> success;
  for (const Candidate& candidate : decision.candidates) {
    if (candidate.id == route.variant) break;
    const bool fits = candidate.n_context == 0 || decision.n_tokens_needed <= candidate.n_context;
    if (!fits || candidate.cost < least_cost || judge.drafts->find_variant(candidate.id) < 0 ||
        !variants->hold_together(candidate.id, route.variant)) {
      continue;
    }
    cheaper.push_back(&candidate);
    success.push_back(candidate.success);
  }
  success.push_back(full_model_success(*decision.prediction));
  const size_t first = cascade_tier(std::span<const double>(success), cheaper.size(),
                                    *decision.cascade_allowance);
  return first < cheaper.size() ? cheaper[first]->id : std::string();
}

// Has the route's variant write under the draft gate's eyes, where they see anything.
Router::State::JudgedDraft Router::State::run_judged(Journey& journey,
                                                     std::optional<double> allowance,
                                                     double reach) {
  JudgedDraft draft;
  if (allowance && judge.draft_use.probe) {
    journey.goes_on = [&](const DraftSignals& signals) {
      const auto success = judge_draft(DraftStage::kProbe, journey, signals);
      draft.stopped = success && success->gain() > *allowance + reach;
      if (draft.stopped) draft.success = success;
      return !draft.stopped;
    };
  }
  draft.answer = run_local(journey);
  journey.goes_on = nullptr;
  if (!draft.answer.has_value() || draft.stopped || !allowance || !draft.answer->signals) {
    return draft;
  }
  draft.success = judge_draft(DraftStage::kDraft, journey, *draft.answer->signals);
  return draft;
}

// The cascade's variant first. nullopt: its draft is doubted, and the route's variant is to answer.
std::optional<Result<RoutedAnswer>> Router::State::run_cascade(Journey& journey) {
  const Decision& decision = journey.decision;
  if (decision.cascade.empty()) return std::nullopt;
  const Route asked = journey.route;
  journey.route.variant = decision.cascade;
  journey.route.confidence = success_of(decision, decision.cascade);
  const double allowance = *decision.cascade_allowance;
  JudgedDraft draft = run_judged(journey, allowance, kCascadeReach);
  const bool kept = draft.answer.has_value() && !draft.stopped &&
                    (draft.answer->receipt.finish == "cancelled" ||
                     (draft.success && draft.success->gain() <= allowance));
  if (kept) draft.answer->receipt.seconds = journey.relay.seconds();
  if (kept || (!draft.answer.has_value() && draft.answer.error().code == ErrorCode::kCancelled)) {
    journey.relay.let_go();
    return std::move(draft.answer);
  }
  add_note(&journey.notes,
           draft.success ? doubted_note(journey.route.variant, draft.stopped, doubt_of(*draft.success))
                         : fmt::format("{} drafted first, and nothing could be said of it",
                                       decision.cascade));
  journey.route = asked;
  journey.relay.restart();
  return std::nullopt;
}

// The remote where the draft is doubted. Nothing is passed on before that is known.
Result<RoutedAnswer> Router::State::run_local_then_doubt(Journey& journey) {
  journey.relay.hold();
  if (auto kept = run_cascade(journey)) return std::move(*kept);
  const std::optional<double> allowance = journey.decision.draft_allowance;
  JudgedDraft judged = run_judged(journey, allowance, kDraftReach);
  Result<RoutedAnswer>& draft = judged.answer;
  const bool stopped = judged.stopped;
  if (!draft.has_value()) {
    journey.relay.let_go();
    return std::move(draft);
  }
  std::string doubt;
  if (!judged.success) {
    doubt = draft->receipt.doubts;
  } else if (stopped || judged.success->gain() > *allowance) {
    doubt = doubt_of(*judged.success);
    if (!stopped && judge.draft_use.second) {
      if (const auto second = ask_second(journey, *draft)) {
        const auto with_second =
            judge_draft(DraftStage::kSecond, journey, *draft->signals, *second);
        if (with_second && with_second->gain() > *allowance) doubt = doubt_of(*with_second);
        if (with_second && with_second->gain() <= *allowance) {
          doubt.clear();
          draft->receipt.confidence = with_second->variant;
        }
      }
    }
  }
  if (doubt.empty()) {
    draft->receipt.seconds = journey.relay.seconds();
    journey.relay.let_go();
    return draft;
  }
  const Route local = journey.route;
  const std::string notes = journey.notes;
  add_note(&journey.notes, doubted_note(local.variant, stopped, doubt));
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
