// Engine: one variant loaded on one backend, and the sequences that are live in its slots.
//
// Prefill runs in chunks, decode token by token; several sequences can be advanced in one step.
// What two turns of a conversation share is not computed again.
//
// Thread safety: one call at a time per engine; a CancelFlag may be raised from any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/arch/model.h"
#include "models/text/chat_template.h"
#include "models/text/grammar.h"
#include "models/text/tokenizer.h"
#include "runtime/core/cancel.h"
#include "runtime/core/checkpoint.h"
#include "runtime/engine/model_text.h"
#include "runtime/engine/sampler.h"

namespace ac {

struct EngineOptions {
  std::string backend = "auto";
  int n_threads = 0;            // 0: one per core
  int32_t n_context = 0;        // 0: the trained context, at most 4096
  int32_t n_slots = 1;          // sequences that can be live at once
  int32_t prefill_chunk = 512;  // tokens per step
  KvFormat kv_format = KvFormat::kF16;
  uint64_t memory_limit_bytes = 0;  // 0: what the machine has available
  // Of a nested model, 0 to 100 (models/arch/nested.h); by default what the checkpoint says.
  std::optional<int32_t> level = std::nullopt;
  std::string device = {};  // of a backend that has several: a part of its name; empty: the best
  std::string choices_file = {};  // BackendOptions'
  // Makes the backend that takes over, once, where a step or the loading fails on the first one. load()
  // sets it to the CPU's for any other.
  std::function<Result<std::unique_ptr<Backend>>()> fall_back = {};
};

// The tokens that an engine with these options holds, of a model trained on `n_trained`.
inline int32_t context_of(const EngineOptions& options, int32_t n_trained) {
  constexpr int32_t kMost = 4096;
  return options.n_context > 0 ? options.n_context : std::min(n_trained, kMost);
}

// What a model knows once it has read a prompt, before it says anything.
struct PrefillState {
  std::span<const float> logits;  // of the first token, [n_vocab]
  std::span<const float> hidden;  // what the last norm reads at the prompt's last token, [d_model]
};

struct GenerateOptions {
  SamplerOptions sampler = {};
  int32_t max_tokens = 256;
  std::vector<std::string> stop =
      {};                  // the answer ends before the first of these; none may be empty
  int32_t n_logprobs = 0;  // > 0: top log-probabilities per token
  // Called with each piece of whole UTF-8; returning false stops the answer as a cancel does.
  std::function<bool(std::string_view piece)> on_text = {};
  const CancelFlag* cancel = nullptr;
  // Called once, before the first token is chosen; false ends the answer there, as a cancel does.
  std::function<bool(const PrefillState& state)> after_prefill = {};
  // Of a nested model: the level, 0 to 100, for the step after n_answered tokens of the answer (0
  // while the prompt is read). It may change with every token; what the cache holds stays valid.
  // Empty: the engine's level. A step that serves several answers runs at the highest of theirs.
  std::function<int32_t(int32_t n_answered)> level_at = {};
  // The answer is a text of this grammar, or the beginning of one where max_tokens cuts it off.
  std::shared_ptr<const Grammar> grammar = {};
};

enum class FinishReason { kStop, kLength, kCancelled };

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top;  // (token, logprob), best first
};

struct Generation {
  std::string text;
  std::vector<int32_t> tokens;  // without the one that ended the answer
  FinishReason finish = FinishReason::kStop;
  int32_t n_prompt_tokens = 0;
  int32_t n_reused_tokens = 0;  // prompt tokens whose state was still in the cache
  double prefill_s = 0;
  double decode_s = 0;
  // Of the log-probabilities of `tokens`, as the model gave them, before any sampling option: the
  // mean, the one that a tenth of them lie below, and the least. 0 without tokens.
  double mean_logprob = 0;
  float low_logprob = 0;
  float least_logprob = 0;
  std::vector<TokenLogprob> logprobs;
};

// A question to be answered beside others. What it refers to stays until `done` has been called.
struct Asked {
  std::span<const int32_t> prompt;
  const GenerateOptions* options = nullptr;
  std::function<void(Result<Generation> made)> done;  // called once, from within serve()
};

class Engine {
 public:
  // The memory needed is computed and compared before any of it is taken.
  // Errors: those of load_model and Tokenizer; kOutOfMemory with the sum by part.
  // `checkpoint` is kept alive by the engine where the backend still reads it.
  static Result<std::unique_ptr<Engine>> load(Checkpoint checkpoint, const EngineOptions& options);
  // The same on a backend that the caller made; options.backend and n_threads are not looked at.
  static Result<std::unique_ptr<Engine>> load_on(std::unique_ptr<Backend> backend,
                                                 Checkpoint checkpoint,
                                                 const EngineOptions& options);
  virtual ~Engine() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  virtual const ChatTemplate* chat_template() const = 0;  // nullptr: a base model without one
  virtual int32_t n_context() const = 0;
  virtual std::string_view backend_name() const = 0;
  // 0 to 100, of a nested model; nullopt: it has one precision.
  virtual std::optional<int32_t> level() const { return std::nullopt; }
  // From the next step on, where an answer has no level_at. Costs nothing and keeps the cache.
  // Errors: kInvalidArgument (out of range, or there is one precision).
  virtual Status set_level(int32_t level) {
    return fail(ErrorCode::kInvalidArgument, "level {} of a model of one precision", level);
  }

  // What it runs on, as Backend::device.
  virtual std::string_view device() const { return {}; }
  // How it reads text; outlives it, and may be used by other threads meanwhile. nullptr: it does not
  // say.
  virtual std::shared_ptr<const ModelText> text() const { return nullptr; }
  // As ModelText's.
  virtual Result<std::vector<int32_t>> tokens_of_chat(
      const std::vector<ChatMessage>& messages) const = 0;
  virtual std::vector<int32_t> tokens_of_text(std::string_view text) const = 0;

  // One answer. Reuses what a slot still holds of the same beginning.
  // Errors: kContextFull before anything is computed when the prompt and one token do not fit;
  // kInvalidArgument (an empty prompt, an id outside the vocabulary, a bad option); kCancelled is
  // not an error but a finish reason.
  virtual Result<Generation> generate(std::span<const int32_t> prompt,
                                      const GenerateOptions& options) = 0;

  // Several answers decoded together, one slot each; where there are more than slots, the rest wait
  // for one to become free. REQUIRES: as many options as prompts. Errors: as generate(), for any of
  // them.
  virtual Result<std::vector<Generation>> generate_batch(
      std::span<const std::vector<int32_t>> prompts, std::span<const GenerateOptions> options) = 0;

  // Answers what `next` gives, each in a slot of its own, decoded together. `next` is asked before
  // every step in which a slot is free: who comes while others are answered joins them. Returns when
  // nothing runs any more and `next` gives nothing. An error that is one question's own, as
  // generate()'s, is told to that one; a step that fails, to all that run.
  virtual void serve(const std::function<std::optional<Asked>()>& next) = 0;

  // Logits of every position of `tokens`, [tokens.size(), n_vocab], from an empty cache.
  virtual Result<std::vector<float>> logits(std::span<const int32_t> tokens) = 0;
  // What the last norm reads, averaged over the positions of `tokens`, from an empty cache; of length
  // 1, [d_model]. Errors: kContextFull, kInvalidArgument (no tokens, an id outside the vocabulary),
  // kUnsupported.
  virtual Result<std::vector<float>> embed(std::span<const int32_t> tokens) {
    return fail(ErrorCode::kUnsupported, "{} tokens: this engine embeds none", tokens.size());
  }
};

}  // namespace ac
