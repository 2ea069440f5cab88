#include "runtime/route/router.h"

#include <algorithm>
#include <utility>

#include "runtime/core/log.h"
#include "runtime/route/leaving_text.h"
#include "runtime/route/local_tools.h"
#include "runtime/route/read_signals.h"
#include "runtime/route/remote_pool.h"
#include "runtime/route/router_state.h"
#include "runtime/route/verify.h"
#include "runtime/route/written_down.h"

namespace ac {
namespace {

constexpr std::string_view kInterrupted = "interrupted";
constexpr std::string_view kNotCounted = "the server counted no tokens";

std::string_view finish_name(FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "stop";
}

// What an answer may draw on.
std::string all_text(const RouteRequest& request) {
  std::string text;
  for (const ChatMessage& message : request.messages) text += message.content + "\n";
  return text;
}

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
  const std::optional<double> allowance =
      decision.draft_allowance ? decision.draft_allowance : decision.allowance;
  if (!allowance || *allowance <= 0) return;
  tighten(decision, *allowance - *allowance / workflow.relative());
}

double success_of(const Decision& decision, std::string_view variant) {
  for (const Candidate& candidate : decision.candidates) {
    if (candidate.id == variant) return candidate.success;
  }
  return 0;
}

Receipt receipt_of(const Journey& journey) {
  Receipt receipt;
  receipt.place = journey.route.place;
  receipt.model = journey.route.variant;
  receipt.reason = journey.route.reason;
  if (journey.decision.prediction.has_value()) receipt.confidence = journey.route.confidence;
  receipt.degraded = journey.route.degraded;
  receipt.degraded_cause = journey.cause;
  receipt.note = journey.notes;
  receipt.seconds = journey.relay.seconds();
  receipt.first_token_seconds = journey.relay.first_seconds();
  return receipt;
}

// What there is when an answer broke off after its first piece, or was cancelled.
RoutedAnswer broken_off(Journey& journey, std::string_view model, const Error& error) {
  RoutedAnswer answer;
  answer.receipt = receipt_of(journey);
  answer.receipt.model = model;
  answer.text = journey.relay.take_text();
  if (error.code == ErrorCode::kCancelled) {
    answer.receipt.finish = finish_name(FinishReason::kCancelled);
  } else {
    answer.receipt.finish = kInterrupted;
    answer.interrupted = error;
  }
  if (answer.receipt.place == Place::kRemote) add_note(&answer.receipt.note, kNotCounted);
  return answer;
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

void add_note(std::string* notes, std::string_view note) {
  if (!notes->empty()) *notes += "; ";
  *notes += note;
}

// Prompt and room for an answer, as PolicyInput wants it. No text has more tokens than bytes,
// beside what a template puts around it; so most prompts fit without being tokenised. Text that
// cannot be counted (a template beyond our Jinja) is the engine's to complain about.
int64_t Router::State::tokens_needed(const RouteRequest& request, const Decision& decision,
                                     std::span<const VariantCost> locals) {
  constexpr int64_t kTemplateTokens = 128;
  constexpr int64_t kTokensPerMessage = 32;
  // An answer that has less room than this had better come from elsewhere. Where it cannot, one
  // token is enough, as for the engine.
  constexpr int32_t kAnswerRoom = 64;
  const int64_t room = may_ask_remote(request, decision) && !request.pin.has_value()
                           ? std::clamp(request.options.max_tokens, 1, kAnswerRoom)
                           : 1;
  int64_t shortest = 0;
  for (const VariantCost& variant : locals) {
    if (variant.n_context > 0 && (shortest == 0 || variant.n_context < shortest)) {
      shortest = variant.n_context;
    }
  }
  if (shortest == 0) return 0;
  int64_t most = kTemplateTokens + room;
  if (request.raw_prompt.has_value()) most += static_cast<int64_t>(request.raw_prompt->size());
  for (const ChatMessage& message : request.messages) {
    most += static_cast<int64_t>(message.content.size()) + kTokensPerMessage;
  }
  if (most <= shortest) return 0;
  const std::lock_guard turn(local_answers.turns());
  const Result<int64_t> n_prompt = request.raw_prompt.has_value()
                                       ? variants->count_tokens(*request.raw_prompt)
                                       : variants->count_tokens(request.messages);
  return n_prompt.has_value() ? *n_prompt + room : 0;
}

// The only place where the client comes into being. REQUIRES: make_remote. Errors: kUnsupported
// (offline by now), those of making it.
Result<RemoteClient*> Router::State::remote() {
  AC_CHECK(make_remote);
  if (offline()) return fail(ErrorCode::kRemote, "offline");
  const std::lock_guard lock(shared);
  if (client == nullptr && !client_error.has_value()) {
    Result<std::unique_ptr<RemoteClient>> made = make_remote();
    if (made.has_value()) {
      client = std::move(*made);
    } else {
      client_error = made.error();
    }
  }
  if (client_error.has_value()) return *client_error;
  return client.get();
}

Result<Engine*> Router::State::engine_of(std::string_view id) {
  Result<Engine*> engine = variants->get(id);
  const std::lock_guard lock(shared);
  loaded = variants->loaded();
  return engine;
}

// The engine of the route's variant. Where that cannot be loaded and was not pinned, of another
// one: the cheaper ones first, since they need less memory, then the dearer.
Result<Engine*> Router::State::load(Journey& journey) {
  Result<Engine*> wanted = engine_of(journey.route.variant);
  const std::optional<std::string>& pin = journey.request.pin;
  if (wanted.has_value() || (pin.has_value() && *pin != "local")) return wanted;
  const std::vector<Candidate>& all = journey.decision.candidates;
  const auto at = std::find_if(all.begin(), all.end(), [&](const Candidate& candidate) {
    return candidate.id == journey.route.variant;
  });
  std::vector<std::string_view> others;
  for (auto it = at; it != all.begin();) others.push_back((--it)->id);
  for (auto it = at; it != all.end() && ++it != all.end();) others.push_back(it->id);
  for (const std::string_view id : others) {
    Result<Engine*> engine = engine_of(id);
    if (!engine.has_value()) continue;
    add_note(&journey.notes, fmt::format("{} could not be loaded ({})", journey.route.variant,
                                         wanted.error().message));
    journey.route.variant = id;
    journey.route.confidence = success_of(journey.decision, id);
    return engine;
  }
  return wanted;
}

Result<RoutedAnswer> Router::State::run_local(Journey& journey) {
  const RouteRequest& request = journey.request;
  GenerateOptions generate = journey.request.options;
  generate.on_text = journey.relay.callback();
  std::optional<LocalTools> tools;
  if (!request.tools.empty()) {
    AC_TRY(tools, LocalTools::create(request.tools, request.tool_choice));
    if (tools->wanted() != nullptr) generate.grammar = tools->wanted();
    // Whether it is words is known when it is whole.
    journey.relay.hold();
  }
  const bool reads_signals = judge.drafts != nullptr || journey.request.wants_signals;
  DraftSignals signals;
  if (reads_signals) {
    generate.after_prefill = [&](const PrefillState& state) {
      read_prefill(state, signals);
      return !journey.goes_on || journey.goes_on(signals);
    };
  }
  LocalQuestion question;
  question.variant = journey.route.variant;
  question.options = &generate;
  question.load = [&]() -> Result<Engine*> {
    if (generate.cancel != nullptr && generate.cancel->raised()) {
      return fail(ErrorCode::kCancelled, "cancelled");
    }
    Result<Engine*> engine = load(journey);
    question.variant = journey.route.variant;  // others join what could be loaded
    return engine;
  };
  question.tokens = [&](const Engine& engine) -> Result<std::vector<int32_t>> {
    // Whoever has left meanwhile gives up the turn.
    if (generate.cancel != nullptr && generate.cancel->raised()) {
      return fail(ErrorCode::kCancelled, "cancelled");
    }
    if (request.raw_prompt.has_value()) return engine.tokens_of_text(*request.raw_prompt);
    return engine.tokens_of_chat(tools ? tools->told(request.messages) : request.messages);
  };
  local_answers.make(question);
  const Result<Generation>& generation = question.made;
  if (!generation.has_value()) {
    if (journey.relay.relayed() || generation.error().code == ErrorCode::kCancelled) {
      return broken_off(journey, journey.route.variant, generation.error());
    }
    journey.relay.restart();
    return generation.error();
  }
  RoutedAnswer answer;
  answer.receipt = receipt_of(journey);
  const auto n_answered = static_cast<int32_t>(generation->tokens.size());
  answer.receipt.level = question.level;
  answer.receipt.completion_tokens = n_answered;
  answer.receipt.prompt_tokens = generation->n_prompt_tokens;
  answer.receipt.reused_tokens = generation->n_reused_tokens;
  answer.receipt.finish = finish_name(generation->finish);
  answer.text = generation->text;
  if (tools) {
    if (auto call = tools->call_in(answer.text)) {
      answer.text.clear();
      answer.tool_calls.push_back(std::move(*call));
      return answer;
    }
    journey.relay.let_go();
  }
  const bool verifies = options.verify != Verify::kNo || reads_signals;
  if (!verifies || journey.request.raw_prompt.has_value() ||
      generation->finish == FinishReason::kCancelled) {
    return answer;
  }
  const DraftCheck check = check_draft(all_text(journey.request), answer.text);
  if (options.verify != Verify::kNo) answer.receipt.doubts = check.summary();
  if (!reads_signals) return answer;
  read_answer(*generation, check, signals);
  // What it has written says more than the prompt did.
  if (const auto success = judge_draft(DraftStage::kDraft, journey, signals)) {
    answer.receipt.confidence = success->variant;
  }
  answer.signals = std::move(signals);
  return answer;
}

// No text has more tokens than bytes, beside what a template puts around its messages.
double Router::State::highest_price(const RouteRequest& request) const {
  constexpr int64_t kTokensPerMessage = 32;
  const auto n_messages = static_cast<int64_t>(request.messages.size());
  const auto prompt_tokens =
      static_cast<int64_t>(leaving_bytes(request)) + kTokensPerMessage * n_messages;
  return options.prices.of(prompt_tokens, std::max(1, request.options.max_tokens));
}

// What it will cost if the answer is like those before.
double Router::State::usual_price(const RouteRequest& request) const {
  constexpr int64_t kBytesPerToken = 4;
  int64_t n_bytes = 0;
  for (const ChatMessage& message : request.messages) {
    n_bytes += static_cast<int64_t>(message.content.size());
  }
  return options.prices.of(n_bytes / kBytesPerToken,
                           static_cast<int64_t>(usual_completion_tokens));
}

Result<bool> Router::State::may_spend(const RouteRequest& request) {
  const double price = highest_price(request);
  if (options.usd_per_workflow > 0 && !request.workflow.empty()) {
    AC_TRY(const WorkflowState workflow, workflow_of(request));
    if (workflow.usd + price > options.usd_per_workflow) return false;
  }
  if (ledger == nullptr || price == 0) return true;
  // What cannot be accounted for is not spent.
  const Result<bool> allowed = ledger->allows(micro_usd(price), options.limits);
  if (!allowed) log_warning("{}", allowed.error().message);
  return allowed && *allowed;
}

void Router::State::write_down(const RoutedAnswer& answer) {
  if (ledger == nullptr || options.source.empty()) return;
  const Status written = ledger->append(
      written_down(answer.receipt, options.source, options.prices, options.local_watts));
  if (!written) log_warning("not in the ledger: {}", written.error().message);
}

Result<bool> Router::State::set_aside_in_workflow(Journey& journey, double price) {
  const std::string& id = journey.request.workflow;
  if (options.usd_per_workflow <= 0 || id.empty()) return true;
  AC_TRY(const WorkflowState workflow, workflow_of(journey.request));
  const std::lock_guard lock(shared);
  double& aside = set_aside[id];
  if (workflow.usd + journey.spent + aside + price > options.usd_per_workflow) return false;
  aside += price;
  journey.set_aside += price;
  return true;
}

void Router::State::release(Journey& journey) {
  if (journey.set_aside == 0) return;
  const std::lock_guard lock(shared);
  const auto aside = set_aside.find(journey.request.workflow);
  aside->second -= std::exchange(journey.set_aside, 0);
  if (aside->second <= 1e-12) set_aside.erase(aside);
}

Result<RoutedAnswer> Router::State::run_remote(Journey& journey) {
  const double price = highest_price(journey.request);
  AC_TRY(const bool has_room, set_aside_in_workflow(journey, price));
  if (!has_room) return fail(ErrorCode::kRemote, "the workflow's budget has no room for it");
  std::optional<int64_t> reservation;
  if (ledger != nullptr && price > 0) {
    AC_TRY(reservation, ledger->reserve(micro_usd(price), options.limits));
    if (!reservation) return fail(ErrorCode::kRemote, "the budget has no room for it");
  }
  double spent = 0;
  Result<RoutedAnswer> answer = ask_remote(journey, spent);
  journey.spent += spent;
  if (reservation) {
    if (const Status settled = ledger->settle(*reservation, micro_usd(spent)); !settled) {
      log_warning("{}", settled.error().message);
    }
  }
  return answer;
}

// `spent`: what it came to, whether or not there is an answer.
Result<RoutedAnswer> Router::State::ask_remote(Journey& journey, double& spent) {
  AC_TRY(RemoteClient * remote_client, remote());
  const GenerateOptions& generate = journey.request.options;
  // Who goes offline means at once.
  bool begun = false;
  const CancelFlag nobody;
  const CancelFlag ends(generate.cancel != nullptr ? *generate.cancel : nobody, goes_offline);
  const RemoteRequest request{.messages = journey.request.messages,
                              .max_tokens = std::max(1, generate.max_tokens),
                              .temperature = generate.sampler.temperature,
                              .top_p = generate.sampler.top_p,
                              .seed = generate.sampler.seed,
                              .stop = generate.stop,
                              .response_format = journey.request.response_format,
                              .tools = journey.request.tools,
                              .tool_choice = journey.request.tool_choice,
                              .on_text = journey.relay.callback(),
                              .cancel = &ends,
                              .begun = &begun};
  Result<RemoteAnswer> remote_answer = remote_client->complete(request);
  if (!remote_answer.has_value()) {
    Error error = remote_answer.error();
    const bool left = generate.cancel != nullptr && generate.cancel->raised();
    if (error.code == ErrorCode::kCancelled && offline() && !left) {
      error = {ErrorCode::kRemote, "offline by now"};
    }
    // Text that came was made, and whoever made it will want to be paid.
    if (begun || journey.relay.has_text()) spent = highest_price(journey.request);
    if (journey.relay.relayed() || error.code == ErrorCode::kCancelled) {
      return broken_off(journey, remote_client->model(), error);
    }
    journey.relay.restart();
    return error;
  }
  spent = remote_answer->usage_known ? remote_answer->cost_usd : highest_price(journey.request);
  if (remote_answer->usage_known) {
    constexpr double kShareOfNew = 0.1;
    const std::lock_guard lock(shared);
    usual_completion_tokens +=
        kShareOfNew *
        (static_cast<double>(remote_answer->completion_tokens) - usual_completion_tokens);
  }
  RoutedAnswer answer;
  answer.receipt = receipt_of(journey);
  answer.receipt.model = remote_answer->model;
  answer.receipt.completion_tokens = remote_answer->completion_tokens;
  answer.receipt.prompt_tokens = remote_answer->prompt_tokens;
  answer.receipt.cost_usd = remote_answer->cost_usd;
  answer.receipt.finish = remote_answer->finish_reason;
  if (!remote_answer->usage_known) add_note(&answer.receipt.note, kNotCounted);
  answer.text = std::move(remote_answer->text);
  answer.tool_calls = std::move(remote_answer->tool_calls);
  return answer;
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
    // A draft that nothing can replace had better be good from the start.
    if (decision.draft_allowance &&
        (request.pin.has_value() || !state_->may_ask_remote(request, decision))) {
      decision.allowance = std::exchange(decision.draft_allowance, std::nullopt);
    }
    decision.novelty = judgement.novelty;
    decision.is_novel = judgement.is_novel;
    if (state_->drift && state_->drift->alarmed()) {
      decision.alarm = state_->drift->summary();
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
  PolicyInput input{.locals = decision.candidates,
                    .has_prediction = decision.prediction.has_value(),
                    .remote_success = full_model_success(prediction),
                    .threshold = threshold,
                    .allowance = decision.allowance,
                    .worth_gain = decision.worth_gain,
                    .least_cost = workflow.dearest_local,
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
  decision.predict_seconds = seconds_between(start, state_->clock->now());
  return decision;
}

Result<RoutedAnswer> Router::answer(const RouteRequest& request) {
  const Clock::TimePoint start = state_->clock->now();
  AC_TRY(const Decision decision, decide(request));
  Journey journey{.request = request,
                  .decision = decision,
                  .relay = Relay(request.options.on_text, *state_->clock, start),
                  .route = decision.route,
                  .cause = {},
                  .notes = {}};
  if (!decision.alarm.empty()) add_note(&journey.notes, decision.alarm);
  struct Release {
    State& state;
    Journey& journey;
    ~Release() { state.release(journey); }
  } const release{*state_, journey};
  Result<RoutedAnswer> answer = state_->travel(journey);
  if (answer.has_value()) {
    state_->remember(journey, &*answer);
    state_->write_down(*answer);
  } else if (journey.spent > 0) {
    state_->remember(journey, nullptr);
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
