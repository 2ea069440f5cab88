// Pre-tokenizers: where byte-level BPE cuts a text before it merges.
//
// Each is published as one regular expression, or as several that are applied one after the other
// to the pieces of the one before (a piece that matches stays whole, what lies between two matches
// is a piece too). They are scanned by hand here; tests compare every one of them with PCRE2
// running the published expressions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ac::text {

enum class PreTokenizer : uint8_t {
  kDefault,  // of files that name none
  kGpt2,
  kLlama3,
  kQwen2,
  kDigitsThenGpt2,  // StarCoder, SmolLM
  kFalcon,
  kDeepSeekLlm,
  kDeepSeekCoder,
  kDeepSeekV3,
};

struct PreTokenizerInfo {
  std::string_view name;  // as `tokenizer.ggml.pre` spells it
  PreTokenizer kind;
  bool whole_words = false;  // a piece that is a token is that token, whatever the merges say
  bool adds_bos = false;     // unless the file says otherwise
};

// All known names; several may share a kind.
std::span<const PreTokenizerInfo> pre_tokenizers();
std::optional<PreTokenizerInfo> find_pre_tokenizer(std::string_view name);

// Called with each piece, in order; the pieces are the text, cut.
using PieceSink = void (*)(void* context, const char* begin, const char* end);
void split_pieces(PreTokenizer kind, std::string_view text, PieceSink sink, void* context);

}  // namespace ac::text
