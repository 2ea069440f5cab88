// What is answered here: does it fit, which variant can be loaded, and its answer.
#include <algorithm>

#include "runtime/route/local_tools.h"
#include "runtime/route/read_signals.h"
#include "runtime/route/router_state.h"
#include "runtime/route/verify.h"

namespace ac {
namespace {

// What an answer may draw on.
std::string all_text(const RouteRequest& request) {
  std::string text;
  for (const ChatMessage& message : request.messages) text += message.content + "\n";
  return text;
}

}  // namespace

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
  const Result<int64_t> n_prompt = count_tokens(request);
  return n_prompt.has_value() ? *n_prompt + room : 0;
}

Result<int64_t> Router::State::count_tokens(const RouteRequest& request) {
  std::shared_ptr<const ModelText> text;
  {
    const std::lock_guard lock(shared);
    text = reads;
  }
  if (text == nullptr) {
    const std::lock_guard turn(local_answers.turns());
    return request.raw_prompt.has_value() ? variants->count_tokens(*request.raw_prompt)
                                          : variants->count_tokens(request.messages);
  }
  if (request.raw_prompt.has_value()) {
    return static_cast<int64_t>(text->tokens_of_text(*request.raw_prompt).size());
  }
  AC_TRY(const std::vector<int32_t> tokens, text->tokens_of_chat(request.messages));
  return static_cast<int64_t>(tokens.size());
}

Result<Engine*> Router::State::engine_of(std::string_view id) {
  Result<Engine*> engine = variants->get(id);
  const std::lock_guard lock(shared);
  loaded = variants->loaded();
  if (engine.has_value() && reads == nullptr) reads = (*engine)->text();
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

}  // namespace ac
