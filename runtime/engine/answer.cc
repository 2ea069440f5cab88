#include "runtime/engine/answer.h"

#include <algorithm>
#include <utility>

namespace ac {

std::string StopFilter::push(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  // The one that is complete first, and of those the longest, whatever pieces the text comes in.
  size_t begin = std::string::npos;
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    if (at + stop.size() < end || (at + stop.size() == end && at < begin)) {
      begin = at;
      end = at + stop.size();
    }
  }
  if (begin != std::string::npos) {
    stopped_ = true;
    held_.resize(begin);
    return std::exchange(held_, {});
  }
  // The longest end of the text with which a stop string begins stays here.
  size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) {
        keep = n;
      }
    }
  }
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return shown;
}

std::string StopFilter::finish() { return std::exchange(held_, {}); }

Answer::Answer(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
               const GenerateOptions& options, int32_t n_context, const TokenIndex* index)
    : options_(options),
      tokenizer_(tokenizer),
      sampler_(options.sampler),
      detokenizer_(tokenizer,
                   {.opens_text = prompt.empty() || tokenizer.token_bytes(prompt.back()).empty()}),
      filter_(options.stop),
      sequence_(prompt.begin(), prompt.end()),
      n_prompt_(prompt.size()),
      n_context_(static_cast<size_t>(n_context)) {
  made_.n_prompt_tokens = static_cast<int32_t>(n_prompt_);
  if (options.grammar != nullptr) {
    AC_CHECK(index != nullptr);
    guide_.emplace(options.grammar, *index);
  }
}

bool Answer::step(std::span<const float> logits) {
  if (options_.max_tokens == 0) {
    end(FinishReason::kLength);
    return false;
  }
  if (guide_ && guide_->is_whole()) {
    end(FinishReason::kStop);
    return false;
  }
  const int32_t token = sampler_.sample(guide_ ? guide_->masked(logits) : logits, sequence_);
  if (tokenizer_.ends_generation(token)) {
    end(FinishReason::kStop);
    return false;
  }
  made_.tokens.push_back(token);
  sequence_.push_back(token);
  if (guide_) guide_->accept(token);
  note_logprob(logits, token);
  show(detokenizer_.push(token));
  if (filter_.stopped()) {
    end(FinishReason::kStop);
  } else if (refused_) {
    end(FinishReason::kCancelled);
  } else if (made_.tokens.size() >= static_cast<size_t>(options_.max_tokens) ||
             sequence_.size() > n_context_) {
    // A token at position n_context has no place in the cache, so none can follow it.
    end(FinishReason::kLength);
  }
  return !done_;
}

void Answer::note_logprob(std::span<const float> logits, int32_t token) {
  const float logprob = log_probability(logits, token);
  logprobs_.push_back(logprob);
  if (options_.n_logprobs > 0) {
    made_.logprobs.push_back({token, logprob, top_log_probabilities(logits, options_.n_logprobs)});
  }
}

void Answer::show(std::string_view piece) {
  const std::string text = filter_.push(piece);
  if (text.empty() || refused_) return;
  made_.text += text;
  if (options_.on_text && !options_.on_text(text)) refused_ = true;
}

void Answer::end(FinishReason reason) {
  if (done_) return;
  done_ = true;
  made_.finish = reason;
  if (filter_.stopped() || refused_) return;
  show(detokenizer_.finish());
  // The held-back text may have become a stop string with the last piece.
  if (filter_.stopped()) {
    made_.finish = FinishReason::kStop;
    return;
  }
  const std::string rest = filter_.finish();
  if (rest.empty() || refused_) return;
  made_.text += rest;
  if (options_.on_text) options_.on_text(rest);
}

Generation Answer::take() {
  if (!logprobs_.empty()) {
    constexpr size_t kLowShare = 10;
    double sum = 0;
    for (const float logprob : logprobs_) sum += static_cast<double>(logprob);
    made_.mean_logprob = sum / static_cast<double>(logprobs_.size());
    std::sort(logprobs_.begin(), logprobs_.end());
    made_.least_logprob = logprobs_.front();
    made_.low_logprob = logprobs_[logprobs_.size() / kLowShare];
  }
  return std::move(made_);
}

}  // namespace ac
