// Engine: slots, steps and what lies in the cache.
//
// A step takes one token of every sequence that is answering and fills up with prompt tokens of
// those that are not yet; so a long prompt does not hold up the others for longer than a chunk.
#include "runtime/engine/session.h"

#include <tbb/task_group.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <list>
#include <numeric>
#include <optional>

#include "runtime/core/clock.h"
#include "runtime/core/log.h"
#include "runtime/core/memory.h"
#include "runtime/engine/answer.h"
#include "runtime/engine/backends.h"
#include "runtime/engine/memory.h"
#include "runtime/engine/model_text.h"

namespace ac {
namespace {

constexpr int32_t kMaxContext = 1 << 24;
constexpr int32_t kMaxSlots = 256;
// Rows of logits that are computed at once when all positions are wanted; bounds their memory.
constexpr size_t kLogitRows = 32;

// A sequence of the cache: the tokens whose keys and values it holds, from position 0.
struct Slot {
  std::vector<int32_t> tokens;
  uint64_t last_used = 0;
  bool busy = false;
};

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first - a.begin());
}

// The tokens of a step, gathered from several sequences.
struct StepTokens {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<int32_t> slots;
  std::vector<int32_t> logit_rows;

  void clear() {
    tokens.clear();
    positions.clear();
    slots.clear();
    logit_rows.clear();
  }
  void append(std::span<const int32_t> sequence, size_t begin, size_t end, size_t slot) {
    for (size_t i = begin; i < end; ++i) {
      tokens.push_back(sequence[i]);
      positions.push_back(static_cast<int32_t>(i));
      slots.push_back(static_cast<int32_t>(slot));
    }
  }
  void want_last_logits() { logit_rows.push_back(static_cast<int32_t>(tokens.size()) - 1); }
};

// An answer that has a slot.
struct Running {
  std::function<void(Result<Generation> made)> done;
  size_t slot;
  Answer answer;
  int32_t n_reused = 0;
  Clock::TimePoint started;
  Clock::TimePoint first_logits;
  bool has_logits = false;
  // Where its logits are in the current step; -1: none yet.
  int32_t logit_row = -1;
};

class EngineImpl final : public Engine {
 public:
  EngineImpl(Checkpoint checkpoint, std::unique_ptr<Backend> backend, const EngineOptions& options)
      : checkpoint_(std::move(checkpoint)), backend_(std::move(backend)), options_(options) {}

  Status load();

  const ModelConfig& config() const override { return model_.config; }
  const Tokenizer& tokenizer() const override { return text_->tokenizer(); }
  const ChatTemplate* chat_template() const override { return text_->chat_template(); }
  int32_t n_context() const override { return n_context_; }
  std::string_view backend_name() const override {
    return backend_ != nullptr ? backend_->name() : "none";
  }
  std::string_view device() const override {
    return backend_ != nullptr ? backend_->device() : std::string_view();
  }
  std::optional<int32_t> level() const override {
    return has_levels() ? std::optional(level_) : std::nullopt;
  }
  Status set_level(int32_t level) override;

  std::shared_ptr<const ModelText> text() const override { return text_; }
  Result<std::vector<int32_t>> tokens_of_chat(
      const std::vector<ChatMessage>& messages) const override {
    return text_->tokens_of_chat(messages);
  }
  std::vector<int32_t> tokens_of_text(std::string_view text) const override {
    return text_->tokens_of_text(text);
  }
  Result<Generation> generate(std::span<const int32_t> prompt,
                              const GenerateOptions& options) override;
  Result<std::vector<Generation>> generate_batch(std::span<const std::vector<int32_t>> prompts,
                                                 std::span<const GenerateOptions> options) override;
  void serve(const std::function<std::optional<Asked>()>& next) override;
  Result<std::vector<float>> logits(std::span<const int32_t> tokens) override;
  Result<std::vector<float>> embed(std::span<const int32_t> tokens) override;

 private:
  Status arrange_model();
  bool go_on_elsewhere(const Error& error);
  Status check_tokens(std::span<const int32_t> tokens) const;
  Status check_request(std::span<const int32_t> prompt, const GenerateOptions& options) const;

  void serve_all(const std::function<std::optional<Asked>()>& next);
  Running start(Asked asked);
  // As long as a slot is free.
  void take_in(const std::function<std::optional<Asked>()>& next, std::list<Running>& running);
  void finish(Running& one);
  Status run_together(std::list<Running>& running);
  void gather(std::list<Running>& running);
  const TokenIndex& token_index() {
    if (!index_) index_.emplace(tokenizer());
    return *index_;
  }
  bool has_levels() const { return !model_.nested.matrices.empty(); }
  int32_t level_for(const std::list<Running>& running) const;
  // Makes the model run at this level, if it does not already.
  void apply_level(int32_t level);
  // Runs step_. -> the logits of its logit_rows, valid until the next step. `hidden`, where wanted:
  // what the last norm read for them. After an error nothing is known of the cache.
  Result<std::span<const float>> run_step(std::vector<float>* hidden = nullptr);
  void forget_all();
  // Runs all of `tokens` from an empty cache, a chunk at a time. `visit` sees each chunk's logits and
  // what the last norm read, a row for each position.
  using Walk = std::function<void(std::span<const float> logits, std::span<const float> hidden)>;
  // `begin`: before the first chunk, again where it has to be done again on another backend.
  Status walk(std::span<const int32_t> tokens, const std::function<void()>& begin,
              const Walk& visit);
  Status walk_once(std::span<const int32_t> tokens, const Walk& visit);

  Checkpoint checkpoint_;
  std::unique_ptr<Backend> backend_;  // nullptr: none is left
  std::optional<Error> lost_;         // why
  EngineOptions options_;
  Model model_;
  std::shared_ptr<const ModelText> text_;  // set once loaded
  std::optional<TokenIndex> index_;  // made when a grammar first needs it
  int32_t n_context_ = 0;
  int32_t level_ = kFullLevel;          // of answers that have none of their own
  int32_t applied_level_ = kFullLevel;  // of the last step
  std::vector<Slot> slots_;
  uint64_t use_count_ = 0;
  StepTokens step_;
  std::vector<float> hidden_;  // of the last step where somebody looks at it
};

// --- loading ------------------------------------------------------------------------------------

Status check_option(std::string_view name, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return {};
  return fail(ErrorCode::kInvalidArgument, "{} is {}, expected {} to {}", name, value, min, max);
}

Status EngineImpl::load() {
  AC_TRY_STATUS(check_option("the context", options_.n_context, 0, kMaxContext));
  AC_TRY_STATUS(check_option("the number of slots", options_.n_slots, 1, kMaxSlots));
  AC_TRY_STATUS(check_option("the prefill chunk", options_.prefill_chunk, 1, 1 << 16));
  if (options_.level) AC_TRY_STATUS(set_checkpoint_level(checkpoint_, *options_.level));
  AC_TRY(const ModelConfig config, read_model_config(checkpoint_));
  n_context_ = context_of(options_, config.n_context);
  if (n_context_ > config.n_context) {
    log_warning("{}: a context of {} tokens; the model was trained on {}", checkpoint_.origin,
                n_context_, config.n_context);
  }
  options_.prefill_chunk = std::min(options_.prefill_chunk, n_context_);

  const KvShape kv_shape = config.kv_shape(options_.n_slots, n_context_, options_.kv_format);
  const MemoryPlan plan =
      plan_memory(checkpoint_, config, kv_shape, options_.prefill_chunk, *backend_);
  const uint64_t limit =
      options_.memory_limit_bytes > 0 ? options_.memory_limit_bytes : available_memory_bytes();
  AC_TRY_STATUS(check_memory(plan, limit, checkpoint_.origin));

  // The vocabulary is read while the backend arranges the weights.
  std::optional<Result<ModelText>> text;
  tbb::task_group beside;
  beside.run([&] { text = ModelText::create(checkpoint_); });
  Status arranged = arrange_model();
  if (!arranged && go_on_elsewhere(arranged.error())) arranged = {};
  beside.wait();
  AC_TRY_STATUS(arranged);
  AC_TRY(ModelText reads, std::move(*text));
  text_ = std::make_shared<const ModelText>(std::move(reads));
  if (tokenizer().n_vocab() > model_.config.n_vocab) {
    return fail(ErrorCode::kCorruptFile, "{}: the tokenizer has {} tokens, the model {}",
                checkpoint_.origin, tokenizer().n_vocab(), model_.config.n_vocab);
  }
  level_ = model_.nested.level;
  slots_.resize(static_cast<size_t>(options_.n_slots));
  return {};
}

// Weights and an empty cache to the backend.
Status EngineImpl::arrange_model() {
  AC_TRY(model_, load_model(checkpoint_, *backend_, {.n_context = n_context_}));
  applied_level_ = model_.nested.level;
  return backend_->create_kv(
      model_.config.kv_shape(options_.n_slots, n_context_, options_.kv_format));
}

// --- precision ----------------------------------------------------------------------------------

Status EngineImpl::set_level(int32_t level) {
  AC_TRY_STATUS(check_level(checkpoint_.origin, has_levels(), level));
  level_ = level;
  return {};
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

void EngineImpl::apply_level(int32_t level) {
  if (level == applied_level_ || backend_ == nullptr) return;
  ac::set_level(*backend_, model_, level);
  applied_level_ = level;
}

// --- answers ------------------------------------------------------------------------------------

Status EngineImpl::check_tokens(std::span<const int32_t> tokens) const {
  if (tokens.empty()) return fail(ErrorCode::kInvalidArgument, "a prompt without tokens");
  for (int32_t token : tokens) {
    if (token < 0 || token >= model_.config.n_vocab) {
      return fail(ErrorCode::kInvalidArgument, "token {} is outside the vocabulary of {}", token,
                  model_.config.n_vocab);
    }
  }
  return {};
}

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

Result<std::span<const float>> EngineImpl::run_step(std::vector<float>* hidden) {
  if (backend_ == nullptr) return *lost_;
  backend_->begin_step(
      {.tokens = step_.tokens, .positions = step_.positions, .slots = step_.slots});
  Value last;
  const Value out = forward(*backend_, model_, step_.logit_rows, &last);
  AC_TRY_STATUS(backend_->end_step());
  if (step_.logit_rows.empty()) return std::span<const float>();
  // A backend may read into one place.
  if (hidden != nullptr) {
    const std::span<const float> rows = backend_->read(last);
    hidden->assign(rows.begin(), rows.end());
  }
  return backend_->read(out);
}

// Another backend takes over where this one has failed: with the tokens that there are, and an empty cache.
bool EngineImpl::go_on_elsewhere(const Error& error) {
  if (!options_.fall_back) return false;
  log_warning("{} on the backend '{}'; going on without it", error.message, backend_->name());
  const auto make = std::exchange(options_.fall_back, nullptr);
  model_ = Model();
  backend_.reset();
  auto backend = make();
  if (backend) backend_ = std::move(*backend);
  const Status ready = backend ? arrange_model() : backend.error();
  for (Slot& slot : slots_) slot.tokens.clear();
  if (ready) return true;
  log_warning("{} on another backend, too", ready.error().message);
  backend_.reset();
  lost_ = ready.error();
  return false;
}

void EngineImpl::forget_all() {
  for (Slot& slot : slots_) slot = Slot{};
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

Status EngineImpl::walk(std::span<const int32_t> tokens, const std::function<void()>& begin,
                        const Walk& visit) {
  begin();
  const Status walked = walk_once(tokens, visit);
  if (walked || walked.error().code == ErrorCode::kInvalidArgument ||
      walked.error().code == ErrorCode::kContextFull) {
    return walked;
  }
  forget_all();
  if (!go_on_elsewhere(walked.error())) return walked;
  begin();
  return walk_once(tokens, visit);
}

Status EngineImpl::walk_once(std::span<const int32_t> tokens, const Walk& visit) {
  AC_TRY_STATUS(check_tokens(tokens));
  if (tokens.size() > static_cast<size_t>(n_context_)) {
    return fail(ErrorCode::kContextFull, "{} tokens exceed the context of {}", tokens.size(),
                n_context_);
  }
  std::vector<int32_t>& held = slots_[0].tokens;
  held.clear();
  apply_level(level_);
  const size_t chunk = std::min(kLogitRows, static_cast<size_t>(options_.prefill_chunk));
  while (held.size() < tokens.size()) {
    const size_t begin = held.size();
    const size_t end = std::min(tokens.size(), begin + chunk);
    step_.clear();
    step_.append(tokens, begin, end, 0);
    step_.logit_rows.resize(end - begin);
    std::iota(step_.logit_rows.begin(), step_.logit_rows.end(), 0);
    AC_TRY(const std::span<const float> rows, run_step(&hidden_));
    visit(rows, hidden_);
    held.assign(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(end));
  }
  return {};
}

Result<std::vector<float>> EngineImpl::logits(std::span<const int32_t> tokens) {
  const auto n_vocab = static_cast<size_t>(model_.config.n_vocab);
  const uint64_t bytes = uint64_t{tokens.size()} * n_vocab * sizeof(float);
  if (bytes > available_memory_bytes()) {
    return fail(ErrorCode::kOutOfMemory, "logits of {} positions take {} bytes", tokens.size(),
                bytes);
  }
  std::vector<float> all;
  AC_TRY_STATUS(walk(tokens, [&] { all.clear(); },
                     [&](std::span<const float> rows, std::span<const float>) {
                       all.insert(all.end(), rows.begin(), rows.end());
                     }));
  return all;
}

Result<std::vector<float>> EngineImpl::embed(std::span<const int32_t> tokens) {
  const auto n = static_cast<size_t>(model_.config.d_model);
  std::vector<double> sum;
  AC_TRY_STATUS(walk(tokens, [&] { sum.assign(n, 0); },
                     [&](std::span<const float>, std::span<const float> hidden) {
                       for (size_t i = 0; i < hidden.size(); ++i) {
                         sum[i % n] += static_cast<double>(hidden[i]);
                       }
                     }));
  const double length = std::sqrt(std::inner_product(sum.begin(), sum.end(), sum.begin(), 0.0));
  std::vector<float> unit(n);
  for (size_t i = 0; i < n; ++i) unit[i] = static_cast<float>(length > 0 ? sum[i] / length : 0);
  return unit;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::load_on(std::unique_ptr<Backend> backend,
                                                Checkpoint checkpoint,
                                                const EngineOptions& options) {
  auto engine = std::make_unique<EngineImpl>(std::move(checkpoint), std::move(backend), options);
  AC_TRY_STATUS(engine->load());
  return std::unique_ptr<Engine>(std::move(engine));
}

Result<std::unique_ptr<Engine>> Engine::load(Checkpoint checkpoint, const EngineOptions& options) {
  const BackendOptions wanted{.n_threads = options.n_threads,
                              .device = options.device,
                              .choices_file = options.choices_file,
                              .drop_pages = checkpoint.drop_pages};
  AC_TRY(std::unique_ptr<Backend> backend, make_backend(options.backend, wanted));
  EngineOptions with_fall_back = options;
  if (backend->name() != "cpu") {
    // It reads the weights where they lie, which must then stay.
    with_fall_back.fall_back = [n_threads = options.n_threads] {
      return make_backend("cpu", {.n_threads = n_threads});
    };
  }
  return load_on(std::move(backend), std::move(checkpoint), with_fall_back);
}

}  // namespace ac
