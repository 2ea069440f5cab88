#include "runtime/route/router.h"

#include <algorithm>
#include <utility>

#include "runtime/core/log.h"
#include "runtime/route/leaving_text.h"
#include "runtime/route/remote_pool.h"
#include "runtime/route/router_state.h"

namespace ac {
namespace {

Status check_threshold(double threshold) {
  if (threshold >= 0 && threshold <= 1) return {};
  return fail(ErrorCode::kInvalidArgument, "a threshold of {}, want 0 to 1", threshold);
}

void tighten(Decision& decision, double margin) {
  if (decision.allowance) *decision.allowance -= margin;
  if (decision.draft_allowance) *decision.draft_allowance -= margin;
}

// A workflow succeeds with the product of its steps' successes, so what this step may lose weighs
// as much as the steps so far are worth: gain * relative <= allowance.
void weigh_by_workflow(Decision& decision, const WorkflowState& workflow) {
  if (decision.cascade_allowance) *decision.cascade_allowance /= workflow.relative();
  const std::optional<double> allowance =
      decision.draft_allowance ? decision.draft_allowance : decision.allowance;
  if (!allowance || *allowance <= 0) return;
  tighten(decision, *allowance - *allowance / workflow.relative());
}

}  // namespace

// Agents put pages of instructions in front of what the user says.
Result<std::string_view> judged_text(const RouteRequest& request) {
  if (request.raw_prompt.has_value()) return std::string_view(*request.raw_prompt);
  for (size_t i = request.messages.size(); i-- > 0;) {
    if (request.messages[i].role == "user") return std::string_view(request.messages[i].content);
  }
  return fail(ErrorCode::kInvalidArgument, "the request has no message of the user");
}

RequestFacts facts_of(const RouteRequest& request) {
  RequestFacts facts;
  facts.n_turns = 0;
  for (const ChatMessage& message : request.messages) facts.n_turns += message.role == "user";
  return facts;
}

// Where it was decided, and where else when that fails.
Result<RoutedAnswer> Router::State::travel(Journey& journey) {
  const RouteRequest& request = journey.request;
  const Decision& decision = journey.decision;
  Route& route = journey.route;
  if (route.degraded) {
    journey.cause = route.reason == RouteReason::kRemoteDown ? "remote unreachable (paused)"
                    : route.reason == RouteReason::kBudget   ? "the budget has no room for it"
                    : route.reason == RouteReason::kKeptHere ? decision.kept_here
                    : offline()                              ? "offline"
                                                             : "no remote configured";
  }
  if (route.place == Place::kLocal) {
    const bool may_escalate = options.verify == Verify::kEscalate &&
                              !request.pin.has_value() && !route.degraded &&
                              may_ask_remote(request, decision);
    Result<RoutedAnswer> answer =
        may_escalate ? run_local_then_doubt(journey) : run_local(journey);
    // Too long for the engine, or nothing could be loaded: the remote may still answer. It is not
    // asked where the user has pinned something, nor again where it is the reason for being here.
    if (answer.has_value() || request.pin.has_value() || route.degraded ||
        !may_ask_remote(request, decision)) {
      return answer;
    }
    const Error local_error = answer.error();
    if (local_error.code == ErrorCode::kInvalidArgument ||
        local_error.code == ErrorCode::kCancelled) {
      return answer;
    }
    route = {.place = Place::kRemote,
             .variant = {},
             .reason = local_error.code == ErrorCode::kContextFull ? RouteReason::kContext
                                                                   : RouteReason::kNoLocal,
             .confidence = full_model_success(decision.prediction.value_or(Prediction{})),
             .degraded = false};
    add_note(&journey.notes, local_error.message);
    answer = run_remote(journey);
    if (!answer.has_value()) return with_context(answer.error(), local_error.message);
    return answer;
  }
  Result<RoutedAnswer> answer = run_remote(journey);
  if (answer.has_value() || request.pin.has_value() || route.variant.empty()) return answer;
  journey.cause = fmt::format("remote unreachable ({})", answer.error().message);
  route.place = Place::kLocal;
  route.reason = RouteReason::kRemoteDown;
  route.confidence = success_of(decision, route.variant);
  route.degraded = true;
  const Error remote_error = answer.error();
  answer = run_local(journey);
  if (!answer.has_value()) return with_context(answer.error(), remote_error.message);
  return answer;
}

void Router::State::remember(const Journey& journey, const RoutedAnswer* answer) {
  const Decision& decision = journey.decision;
  const RouteRequest& request = journey.request;
  const std::lock_guard lock(shared);
  if (answer != nullptr) note_lesson(journey, *answer);
  if (answer != nullptr && drift && decision.gate == GateKind::kNgram && !request.pin.has_value()) {
    const auto cheapest = static_cast<double>(decision.prediction->success.front());
    drift->add(decision.is_novel, full_model_success(*decision.prediction) - cheapest);
  }
  if (request.workflow.empty()) return;
  WorkflowStep step{.usd = journey.spent};
  if (answer != nullptr && decision.prediction.has_value()) {
    step.success = answer->receipt.confidence;
    step.full_success = full_model_success(*decision.prediction);
  }
  if (answer != nullptr && answer->receipt.place == Place::kLocal) {
    for (const Candidate& candidate : decision.candidates) {
      if (candidate.id == answer->receipt.model) step.local_cost = candidate.cost;
    }
  }
  if (options.workflow_file.empty()) return workflows.add(request.workflow, step);
  if (const Status kept = add_to_workflows(options.workflow_file, request.workflow, step); !kept) {
    log_warning("{}", kept.error().message);
  }
}

// A new one where the request says of none.
Result<WorkflowState> Router::State::workflow_of(const RouteRequest& request) {
  if (request.workflow.empty()) return WorkflowState{};
  const std::lock_guard lock(shared);
  if (options.workflow_file.empty()) return workflows.find(request.workflow);
  AC_TRY(const WorkflowBook book, read_workflows(options.workflow_file));
  return book.find(request.workflow);
}

std::string Router::State::rule_against(const RouteRequest& request) const {
  if (options.forward_rules == nullptr) return {};
  const std::vector<std::string> texts = leaving_texts(request);
  return options.forward_rules->broken_by({texts.begin(), texts.end()});
}

RemoteFactory remote_factory(RemoteOptions options) {
  if (options.url.empty()) return nullptr;
  return [options = std::move(options)] { return make_remote_client(options); };
}

Router::Router(std::unique_ptr<State> state) : state_(std::move(state)) {}
Router::~Router() = default;

Result<std::unique_ptr<Router>> Router::create(RouterParts parts, RouterOptions options) {
  AC_TRY_STATUS(check_threshold(options.threshold));
  if (parts.variants == nullptr && !parts.make_remote) {
    return fail(ErrorCode::kInvalidArgument, "neither a local model nor a remote");
  }
  auto state = std::make_unique<State>();
  state->judge = std::move(parts.judge);
  if (parts.variants != nullptr) {
    state->variants.emplace(std::move(parts.variants), options.memory_budget_bytes);
  }
  state->make_remote = std::move(parts.make_remote);
  state->ledger = std::move(parts.ledger);
  state->learner = std::move(parts.learner);
  if (state->judge.usual) state->drift.emplace(*state->judge.usual);
  if (options.offline) state->goes_offline.raise();
  state->options = std::move(options);
  state->clock = state->options.clock != nullptr ? state->options.clock : &system_clock();
  state->audit_rng = Rng(static_cast<uint64_t>(state->clock->now().time_since_epoch().count()));
  return std::unique_ptr<Router>(new Router(std::move(state)));
}

Result<Decision> Router::decide(const RouteRequest& request) const {
  AC_TRY(const std::string_view prompt, judged_text(request));
  const double threshold = request.threshold.value_or(state_->options.threshold);
  AC_TRY_STATUS(check_threshold(threshold));
  if (!request.workflow.empty() && !good_workflow_id(request.workflow)) {
    return fail(ErrorCode::kInvalidArgument,
                "a workflow's id of {} bytes, expected 1 to {} without control characters",
                request.workflow.size(), kMaxWorkflowIdBytes);
  }
  AC_TRY(const WorkflowState workflow, state_->workflow_of(request));
  const bool raw = request.raw_prompt.has_value();
  if (raw && request.pin == "remote") {
    return fail(ErrorCode::kInvalidArgument,
                "raw text can only be continued locally: the remote answers conversations");
  }
  Decision decision;
  decision.threshold = threshold;
  decision.kept_here = request.keep_here;
  if (decision.kept_here.empty()) {
    decision.kept_here = state_->rule_against(request);
    decision.must_stay = !decision.kept_here.empty();
  }
  std::vector<VariantCost> costs;
  if (state_->variants.has_value()) {
    for (const LocalVariant& variant : state_->variants->variants()) costs.push_back(variant.cost);
  }
  // Outside the time of the decision: rules read all of the text, a long prompt is tokenised.
  decision.n_tokens_needed = state_->tokens_needed(request, decision, costs);
  const Clock::TimePoint start = state_->clock->now();
  std::unique_lock lock(state_->shared);
  if (state_->judge.judge) {
    Judgement judgement = state_->judge.judge(prompt, facts_of(request));
    decision.gate = judgement.gate;
    decision.prediction = std::move(judgement.prediction);
    decision.allowance = judgement.allowance;
    decision.draft_allowance = judgement.draft_allowance;
    decision.cascade_allowance = judgement.cascade_allowance;
    // A draft that nothing can replace had better be good from the start.
    if (decision.draft_allowance &&
        (request.pin.has_value() || !state_->may_ask_remote(request, decision))) {
      decision.allowance = std::exchange(decision.draft_allowance, std::nullopt);
    }
    decision.novelty = judgement.novelty;
    decision.is_novel = judgement.is_novel;
    if (state_->drift && state_->drift->alarmed()) {
      decision.alarm = state_->drift->summary();
      decision.cascade_allowance.reset();
      tighten(decision, judgement.alarm_margin);
    }
    weigh_by_workflow(decision, workflow);
    // Asked for by name, a threshold is the rule.
    if (request.threshold.has_value()) {
      decision.allowance.reset();
      decision.draft_allowance.reset();
    }
  }
  if (state_->options.usd_per_success > 0) {
    decision.worth_gain = state_->usual_price(request) / state_->options.usd_per_success;
  }
  const Prediction prediction = decision.prediction.value_or(Prediction{});
  decision.candidates = candidates_for(state_->judge.tiers, prediction, costs);
  double least_cost = workflow.dearest_local;
  for (const Candidate& candidate : decision.candidates) {
    if (decision.draft_allowance && candidate.id == state_->judge.usual_variant) {
      least_cost = std::max(least_cost, candidate.cost);
    }
  }
  PolicyInput input{.locals = decision.candidates,
                    .has_prediction = decision.prediction.has_value(),
                    .remote_success = full_model_success(prediction),
                    .threshold = threshold,
                    .allowance = decision.allowance,
                    .worth_gain = decision.worth_gain,
                    .least_cost = least_cost,
                    .n_tokens_needed = decision.n_tokens_needed,
                    .remote_configured = static_cast<bool>(state_->make_remote),
                    .offline = state_->offline(),
                    .kept_here = decision.kept_here,
                    .remote_reachable = !state_->client_error.has_value() &&
                                        (state_->client == nullptr || state_->client->available()),
                    .has_tools = !request.tools.empty(),
                    .pinned = request.pin};
  lock.unlock();
  if (raw && !input.pinned.has_value()) input.pinned = "local";
  AC_TRY(decision.route, ac::decide(input));
  if (decision.route.place == Place::kRemote && state_->may_ask_remote(request, decision)) {
    const Result<bool> may_spend = state_->may_spend(request);
    if (!may_spend) log_warning("{}", may_spend.error().message);
    input.may_spend = may_spend && *may_spend;
    if (!input.may_spend) {
      AC_TRY(decision.route, ac::decide(input));
    }
  }
  decision.cascade = state_->cascade_before(request, decision, workflow.dearest_local);
  decision.predict_seconds = seconds_between(start, state_->clock->now());
  return decision;
}

Result<RoutedAnswer> Router::answer(const RouteRequest& request) {
  const Clock::TimePoint start = state_->clock->now();
  AC_TRY(const Decision decision, decide(request));
  return state_->answer(request, decision, start);
}

Result<RoutedAnswer> Router::answer(const RouteRequest& request, const Decision& decision) {
  return state_->answer(request, decision, state_->clock->now());
}

Result<RoutedAnswer> Router::State::answer(const RouteRequest& request, const Decision& decision,
                                           Clock::TimePoint start) {
  Journey journey{.request = request,
                  .decision = decision,
                  .relay = Relay(request.options.on_text, *clock, start),
                  .route = decision.route,
                  .cause = {},
                  .notes = {}};
  if (!decision.alarm.empty()) add_note(&journey.notes, decision.alarm);
  struct Release {
    State& state;
    Journey& journey;
    ~Release() { state.release(journey); }
  } const release{*this, journey};
  Result<RoutedAnswer> answer = travel(journey);
  if (answer.has_value()) {
    remember(journey, &*answer);
    write_down(*answer);
  } else if (journey.spent > 0) {
    remember(journey, nullptr);
  }
  return answer;
}

Status Router::with_engine(std::string_view id, const std::function<Status(Engine&)>& use) {
  if (!state_->variants.has_value()) {
    return fail(ErrorCode::kNotFound, "there is no local model");
  }
  const std::lock_guard turn(state_->local_answers.turns());
  AC_TRY(Engine * engine, state_->engine_of(id));
  return use(*engine);
}

bool Router::unload(std::string_view id) {
  if (!state_->variants.has_value()) return false;
  const std::lock_guard turn(state_->local_answers.turns());
  const bool was_loaded = state_->variants->drop(id);
  const std::lock_guard lock(state_->shared);
  state_->loaded = state_->variants->loaded();
  return was_loaded;
}

void Router::set_offline(bool offline) {
  if (offline) {
    state_->goes_offline.raise();
  } else {
    state_->goes_offline.clear();
  }
}
bool Router::offline() const { return state_->offline(); }

std::shared_ptr<Ledger> Router::ledger() const { return state_->ledger; }

RouterView Router::view() const {
  RouterView view;
  const std::lock_guard lock(state_->shared);
  view.may_ask_remote = state_->make_remote && !state_->offline();
  view.remote_paused = state_->client_error.has_value() ||
                       (state_->client != nullptr && !state_->client->available());
  if (state_->drift && state_->drift->alarmed()) view.alarm = state_->drift->summary();
  view.loaded = state_->loaded;
  return view;
}

Result<std::vector<std::string>> Router::remote_models() {
  if (!state_->make_remote) return fail(ErrorCode::kNotFound, "no remote is configured");
  if (state_->offline()) return fail(ErrorCode::kUnsupported, "offline = yes");
  AC_TRY(RemoteClient * client, state_->remote());
  return client->list_models();
}

}  // namespace ac
