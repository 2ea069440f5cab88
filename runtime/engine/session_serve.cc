// Answers: slots, and what goes into a step.
//
// A step takes one token of every sequence that is answering and fills up with prompt tokens of
// those that are not yet; so a long prompt does not hold up the others for longer than a chunk.
#include <algorithm>
#include <utility>

#include "runtime/engine/engine_impl.h"

namespace ac {
namespace {

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first - a.begin());
}

}  // namespace

Status EngineImpl::check_request(std::span<const int32_t> prompt,
                                 const GenerateOptions& options) const {
  AC_TRY_STATUS(check_tokens(prompt));
  AC_TRY_STATUS(check_sampler_options(options.sampler));
  AC_TRY_STATUS(check_option("max_tokens", options.max_tokens, 0, kMaxContext));
  if (options.level_at && !has_levels()) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: a level for a model of one precision, expected a nested one",
                checkpoint_.origin);
  }
  AC_TRY_STATUS(check_option("n_logprobs", options.n_logprobs, 0, model_.config.n_vocab));
  for (const std::string& stop : options.stop) {
    if (stop.empty()) return fail(ErrorCode::kInvalidArgument, "an empty stop string");
  }
  if (prompt.size() + 1 > static_cast<size_t>(n_context_)) {
    return fail(ErrorCode::kContextFull,
                "a prompt of {} tokens and one of the answer exceed the context of {}",
                prompt.size(), n_context_);
  }
  return {};
}

Result<Generation> EngineImpl::generate(std::span<const int32_t> prompt,
                                        const GenerateOptions& options) {
  Result<Generation> out = fail(ErrorCode::kCancelled, "not asked");
  bool asked = false;
  serve([&]() -> std::optional<Asked> {
    if (std::exchange(asked, true)) return std::nullopt;
    return Asked{prompt, &options, [&](Result<Generation> made) { out = std::move(made); }};
  });
  return out;
}

Result<std::vector<Generation>> EngineImpl::generate_batch(
    std::span<const std::vector<int32_t>> prompts, std::span<const GenerateOptions> options) {
  AC_CHECK(prompts.size() == options.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    AC_TRY_STATUS(check_request(prompts[i], options[i]));
  }
  std::vector<Generation> out(prompts.size());
  std::optional<Error> failed;
  size_t n_asked = 0;
  serve([&]() -> std::optional<Asked> {
    if (failed || n_asked == prompts.size()) return std::nullopt;
    const size_t i = n_asked++;
    return Asked{prompts[i], &options[i], [&, i](Result<Generation> made) {
                   if (made) {
                     out[i] = std::move(*made);
                   } else {
                     failed = made.error();
                   }
                 }};
  });
  if (failed) return *failed;
  return out;
}

// The free slot that holds most of the prompt's beginning; among equals the one unused for longest.
Running EngineImpl::start(Asked asked) {
  const std::span<const int32_t> prompt = asked.prompt;
  const GenerateOptions& options = *asked.options;
  size_t best = slots_.size();
  size_t best_prefix = 0;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].busy) continue;
    const size_t prefix = common_prefix(slots_[i].tokens, prompt);
    const bool wins = best == slots_.size() || prefix > best_prefix ||
                      (prefix == best_prefix && slots_[i].last_used < slots_[best].last_used);
    if (wins) {
      best = i;
      best_prefix = prefix;
    }
  }
  AC_CHECK(best < slots_.size());
  Slot& slot = slots_[best];
  slot.busy = true;
  slot.last_used = ++use_count_;
  // The last token is always computed: its logits are what the answer begins with.
  const size_t reused = std::min(best_prefix, prompt.size() - 1);
  slot.tokens.resize(reused);
  const auto now = system_clock().now();
  return {.done = std::move(asked.done),
          .slot = best,
          .answer = Answer(tokenizer(), prompt, options, n_context_,
                           options.grammar != nullptr ? &token_index() : nullptr),
          .n_reused = static_cast<int32_t>(reused),
          .started = now,
          .first_logits = now};
}

void EngineImpl::gather(std::list<Running>& running) {
  step_.clear();
  const auto chunk = static_cast<size_t>(options_.prefill_chunk);
  // All but one where its cache was lost: the last token is what follows from the others.
  const auto decodes = [&](const Running& one) {
    return one.has_logits && slots_[one.slot].tokens.size() + 1 == one.answer.sequence().size();
  };
  const auto take = [&](Running& one, size_t limit) {
    const std::vector<int32_t>& sequence = one.answer.sequence();
    std::vector<int32_t>& held = slots_[one.slot].tokens;
    const size_t begin = held.size();
    const size_t end = std::min(sequence.size(), begin + limit);
    step_.append(sequence, begin, end, one.slot);
    held.insert(held.end(), sequence.begin() + static_cast<ptrdiff_t>(begin),
                sequence.begin() + static_cast<ptrdiff_t>(end));
    if (end == sequence.size()) {
      one.logit_row = static_cast<int32_t>(step_.logit_rows.size());
      step_.want_last_logits();
    }
  };
  for (Running& one : running) {
    one.logit_row = -1;
    if (decodes(one)) take(one, 1);
  }
  for (Running& one : running) {
    if (one.logit_row < 0 && !decodes(one) && step_.tokens.size() < chunk) {
      take(one, chunk - step_.tokens.size());
    }
  }
}

int32_t EngineImpl::level_for(const std::list<Running>& running) const {
  int32_t highest = 0;
  for (const Running& one : running) {
    const Answer& answer = one.answer;
    const auto n_answered = static_cast<int32_t>(answer.sequence().size() - answer.n_prompt());
    const auto& level_at = answer.options().level_at;
    highest = std::max(highest, level_at ? level_at(n_answered) : level_);
  }
  return std::min(highest, kFullLevel);
}

void EngineImpl::serve(const std::function<std::optional<Asked>()>& next) {
  try {
    serve_all(next);
  } catch (...) {
    // What a callback throws must not leave slots that nobody frees.
    forget_all();
    throw;
  }
}

void EngineImpl::serve_all(const std::function<std::optional<Asked>()>& next) {
  std::list<Running> running;
  while (true) {
    take_in(next, running);
    for (Running& one : running) {
      if (one.answer.cancelled_from_outside()) one.answer.cancel();
    }
    std::erase_if(running, [&](Running& one) {
      if (!one.answer.done()) return false;
      finish(one);
      return true;
    });
    if (running.empty()) {
      take_in(next, running);
      if (running.empty()) return;
      continue;
    }
    if (const Status ran = run_together(running); !ran && !go_on_elsewhere(ran.error())) {
      for (Running& one : running) one.done(ran.error());
      running.clear();
      forget_all();
    }
  }
}

void EngineImpl::take_in(const std::function<std::optional<Asked>()>& next,
                         std::list<Running>& running) {
  while (running.size() < slots_.size()) {
    std::optional<Asked> asked = next();
    if (!asked) return;
    if (const Status good = check_request(asked->prompt, *asked->options); !good) {
      asked->done(good.error());
      continue;
    }
    running.push_back(start(std::move(*asked)));
  }
}

void EngineImpl::finish(Running& one) {
  slots_[one.slot].busy = false;
  const auto now = system_clock().now();
  if (!one.has_logits) one.first_logits = now;
  Generation generation = one.answer.take();
  generation.n_reused_tokens = one.n_reused;
  generation.prefill_s = seconds_between(one.started, one.first_logits);
  generation.decode_s = seconds_between(one.first_logits, now);
  one.done(std::move(generation));
}

// One step of all of them.
Status EngineImpl::run_together(std::list<Running>& running) {
  gather(running);
  apply_level(level_for(running));
  const bool shows_state = std::ranges::any_of(running, [](const Running& one) {
    return !one.has_logits && one.answer.options().after_prefill;
  });
  AC_TRY(const std::span<const float> all_logits, run_step(shows_state ? &hidden_ : nullptr));
  const auto n_vocab = static_cast<size_t>(model_.config.n_vocab);
  for (Running& one : running) {
    if (one.logit_row < 0) continue;
    const auto row = static_cast<size_t>(one.logit_row);
    const std::span<const float> logits = all_logits.subspan(row * n_vocab, n_vocab);
    if (!one.has_logits) {
      const auto& after_prefill = one.answer.options().after_prefill;
      one.has_logits = true;
      one.first_logits = system_clock().now();
      const auto n_hidden = static_cast<size_t>(model_.config.d_model);
      if (after_prefill &&
          !after_prefill({logits, std::span(hidden_).subspan(row * n_hidden, n_hidden)})) {
        one.answer.cancel();
        continue;
      }
    }
    one.answer.step(logits);
  }
  return {};
}

}  // namespace ac
