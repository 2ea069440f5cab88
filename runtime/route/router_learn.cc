// Learning from use: what is answered twice, and what that says.
#include <algorithm>

#include "models/predictor/compare_text.h"
#include "runtime/route/router_state.h"

namespace ac {
namespace {

// Older ones are forgotten: what people ask today is worth more.
constexpr size_t kMostLessons = 64;

constexpr const char* kEscalated = "escalated";
constexpr const char* kAudit = "audit";
constexpr const char* kThumb = "thumb";

bool is_whole(const RoutedAnswer& answer) {
  return !answer.interrupted && answer.receipt.finish == "stop" && !answer.text.empty();
}

}  // namespace

void Router::State::note_lesson(const Journey& journey, const RoutedAnswer& answer) {
  const RouteRequest& request = journey.request;
  const Decision& decision = journey.decision;
  if (learner == nullptr || decision.gate != GateKind::kNgram || request.pin.has_value() ||
      request.raw_prompt.has_value() || request.options.grammar != nullptr || !request.tools.empty() ||
      !is_whole(answer)) {
    return;
  }
  // A sampled answer says less of its prompt than a greedy one.
  GenerateOptions generate = request.options;
  generate.on_text = nullptr;
  generate.cancel = nullptr;
  generate.sampler.temperature = 0;
  Lesson lesson{.messages = request.messages,
                .options = std::move(generate),
                .variant = answer.receipt.model,
                .answer = answer.text};
  const std::vector<Candidate>& locals = decision.candidates;
  if (answer.receipt.place == Place::kLocal) {
    last_local = lesson;
    lesson.audit = true;
    if (answer.receipt.degraded || !may_ask_remote(request, decision) ||
        audit_rng.uniform() >= options.audit_share) {
      return;
    }
  } else {
    if (locals.empty()) return;
    // Each of the variants in its turn, so that every head goes on learning.
    lesson.variant = locals[static_cast<size_t>(audit_rng.below(locals.size()))].id;
  }
  const auto tiers = std::span(judge.tiers);
  if (std::find(tiers.begin(), tiers.end(), lesson.variant) == tiers.end()) return;
  if (lessons.size() >= kMostLessons) lessons.pop_front();
  lessons.push_back(std::move(lesson));
}

Result<bool> Router::State::take_lesson(const Lesson& lesson, const CancelFlag* cancel) {
  RouteRequest request;
  request.messages = lesson.messages;
  request.options = lesson.options;
  request.options.cancel = cancel;
  std::string other;
  if (lesson.audit) {
    const Decision decision;
    Journey journey{.request = request,
                    .decision = decision,
                    .relay = Relay(request.options.on_text, *clock, clock->now()),
                    .route = {.place = Place::kRemote, .variant = {}},
                    .cause = {},
                    .notes = {}};
    AC_TRY(RoutedAnswer answer, run_remote(journey));
    if (answer.receipt.finish == "cancelled") return false;
    if (!is_whole(answer)) return true;
    other = std::move(answer.text);
  } else {
    const std::lock_guard turn(local_answers.turns());
    AC_TRY(Engine * engine, engine_of(lesson.variant));
    AC_TRY(const std::vector<int32_t> prompt, engine->tokens_of_chat(lesson.messages));
    AC_TRY(Generation generation, engine->generate(prompt, request.options));
    if (generation.finish == FinishReason::kCancelled) return false;
    other = std::move(generation.text);
  }
  AC_TRY(const std::string_view prompt, judged_text(request));
  const std::lock_guard lock(shared);
  AC_TRY_STATUS(learner->learn(prompt, facts_of(request), lesson.variant,
                               word_overlap(lesson.answer, other),
                               lesson.audit ? 1 / options.audit_share : 1,
                               lesson.audit ? kAudit : kEscalated));
  return true;
}

bool Router::has_lessons() const {
  const std::lock_guard lock(state_->shared);
  return !state_->lessons.empty();
}

Result<bool> Router::learn_one(const CancelFlag* cancel) {
  std::unique_lock lock(state_->shared);
  if (state_->lessons.empty()) return false;
  State::Lesson lesson = std::move(state_->lessons.front());
  state_->lessons.pop_front();
  lock.unlock();
  const Result<bool> taken = state_->take_lesson(lesson, cancel);
  lock.lock();
  if (taken && !*taken) state_->lessons.push_front(std::move(lesson));
  return taken;
}

Status Router::judge_last(bool good) {
  if (state_->learner == nullptr) {
    return fail(ErrorCode::kNotFound, "nothing is learned from use (learn in [route])");
  }
  const std::lock_guard lock(state_->shared);
  if (!state_->last_local) {
    return fail(ErrorCode::kNotFound, "no local answer yet that a gate had chosen");
  }
  const State::Lesson lesson = *std::exchange(state_->last_local, std::nullopt);
  RouteRequest request;
  request.messages = lesson.messages;
  AC_TRY(const std::string_view prompt, judged_text(request));
  return state_->learner->learn(prompt, facts_of(request), lesson.variant, good ? 1 : 0, 1, kThumb);
}

}  // namespace ac
