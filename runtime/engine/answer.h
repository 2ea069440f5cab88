// One answer while it is being made: what to do with each token's logits until the answer ends.
// Knows nothing of slots, steps or backends.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/engine/session.h"
#include "runtime/engine/token_guide.h"

namespace ac {

// Holds back text that may turn out to be the beginning of a stop string.
class StopFilter {
 public:
  explicit StopFilter(std::span<const std::string> stops) : stops_(stops) {}
  // The text that can be shown now. Sets stopped() when a stop string was found; it and what
  // follows never come out.
  std::string push(std::string_view text);
  // What was held back and is no stop string after all.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::span<const std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

class Answer {
 public:
  // `options` must live as long. The sequence, prompt included, may grow to n_context tokens.
  // `index`: of that tokenizer, where the options have a grammar.
  Answer(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
         const GenerateOptions& options, int32_t n_context, const TokenIndex* index = nullptr);

  // Chooses the next token from the logits after the last one. True: it has to be fed to the model
  // and step() called again; false: the answer has ended.
  bool step(std::span<const float> logits);
  // Ends the answer now.
  void cancel() { end(FinishReason::kCancelled); }
  bool cancelled_from_outside() const {
    return options_.cancel != nullptr && options_.cancel->raised();
  }

  bool done() const { return done_; }
  // Prompt and answer so far.
  const std::vector<int32_t>& sequence() const { return sequence_; }
  size_t n_prompt() const { return n_prompt_; }
  const GenerateOptions& options() const { return options_; }
  // What was made; times and reuse are the caller's to fill in. REQUIRES: done().
  Generation take();

 private:
  void end(FinishReason reason);
  void show(std::string_view piece);
  void note_logprob(std::span<const float> logits, int32_t token);

  const GenerateOptions& options_;
  const Tokenizer& tokenizer_;
  Sampler sampler_;
  std::optional<TokenGuide> guide_;
  Detokenizer detokenizer_;
  StopFilter filter_;
  Generation made_;
  std::vector<int32_t> sequence_;
  size_t n_prompt_;
  size_t n_context_;
  std::vector<float> logprobs_;  // of made_.tokens
  bool refused_ = false;  // on_text wants no more
  bool done_ = false;
};

}  // namespace ac
