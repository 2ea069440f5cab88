// The class behind Engine::load, for the files that implement it and for nobody else:
//
//   session.cc         loading, precision, one step, another backend where one fails
//   session_serve.cc   answers, several at a time
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <vector>

#include "runtime/core/clock.h"
#include "runtime/engine/answer.h"
#include "runtime/engine/session.h"

namespace ac {

inline constexpr int32_t kMaxContext = 1 << 24;


// A sequence of the cache: the tokens whose keys and values it holds, from position 0.
struct Slot {
  std::vector<int32_t> tokens;
  uint64_t last_used = 0;
  bool busy = false;
};

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
  // Whether the model fits, computed before any of it is taken. Errors: kOutOfMemory.
  Status check_fits() const;
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

// Errors: kInvalidArgument, naming what it is.
Status check_option(std::string_view name, int64_t value, int64_t min, int64_t max);

}  // namespace ac
