// Small vocabularies made here, as checkpoints.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/text/unicode.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// GPT-2's printable character for a byte.
inline std::string spelled_byte(uint8_t byte) {
  const bool itself =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  uint32_t code = byte;
  if (!itself) {
    code = 0x100;
    for (uint32_t b = 0; b < byte; ++b) {
      if (!((b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae)) ++code;
    }
  }
  char bytes[4];
  return {bytes, text::encode_utf8(code, bytes)};
}

inline std::string spelled(std::string_view text) {
  std::string out;
  for (const char c : text) out += spelled_byte(static_cast<uint8_t>(c));
  return out;
}

enum TinyType : int32_t {
  kTinyNormal = 1,
  kTinyUnknown = 2,
  kTinyControl = 3,
  kTinyAdded = 4,
  kTinyByte = 6
};

struct TinyToken {
  std::string text;
  int32_t type = kTinyNormal;
  float score = 0;
};

inline Checkpoint tiny_checkpoint(std::string_view model, const std::vector<TinyToken>& tokens) {
  Checkpoint checkpoint;
  checkpoint.origin = "tiny";
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  std::vector<float> scores;
  for (const TinyToken& token : tokens) {
    texts.push_back(token.text);
    types.push_back(token.type);
    scores.push_back(token.score);
  }
  checkpoint.set_string("tokenizer.ggml.model", std::string(model));
  checkpoint.set_strings("tokenizer.ggml.tokens", texts);
  checkpoint.set_integers("tokenizer.ggml.token_type", types);
  if (model == "llama") checkpoint.set_floats("tokenizer.ggml.scores", scores);
  return checkpoint;
}

// All bytes (ids 0 to 255), some merges, and special tokens.
inline Checkpoint tiny_byte_level(const std::string& pre = "gpt-2") {
  std::vector<TinyToken> tokens;
  for (int b = 0; b < 256; ++b) tokens.push_back({spelled_byte(static_cast<uint8_t>(b))});
  std::vector<std::string> merges;
  for (const auto& [left, right] :
       std::vector<std::pair<std::string, std::string>>{{"l", "l"},
                                                        {"h", "e"},
                                                        {"he", "ll"},
                                                        {"hell", "o"},
                                                        {" ", "hello"},
                                                        {"a", "a"},
                                                        {"aa", "aa"},
                                                        {"aaaa", "aaaa"},
                                                        {" ", " "},
                                                        {"  ", "  "},
                                                        {"\xcc", "\x81"},
                                                        {"\xcc\x81", "\xcc\x81"},
                                                        {"1", "2"},
                                                        {"<", "|"},
                                                        {"<|", "e"}}) {
    tokens.push_back({spelled(left + right)});
    merges.push_back(spelled(left) + " " + spelled(right));
  }
  for (const char* mark : {"<|begin|>", "<|end|>", "<|endless|>", "<|im_start|>"}) {
    tokens.push_back({mark, kTinyControl});
  }
  tokens.push_back({"<think>", kTinyAdded});
  tokens.push_back({"wort", kTinyAdded});
  Checkpoint checkpoint = tiny_checkpoint("gpt2", tokens);
  checkpoint.set_string("tokenizer.ggml.pre", pre);
  checkpoint.set_strings("tokenizer.ggml.merges", merges);
  return checkpoint;
}

// Bytes, letters, words with a space in front; "b\xc3\xa9" with a character beyond ASCII.
inline Checkpoint tiny_sentencepiece() {
  std::vector<TinyToken> tokens = {
      {"<unk>", kTinyUnknown}, {"<s>", kTinyControl}, {"</s>", kTinyControl}};
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t b = 0; b < 256; ++b) {
    tokens.push_back({std::string("<0x") + kHex[b / 16] + kHex[b % 16] + ">", kTinyByte});
  }
  float score = 0;
  const std::string space = "\xe2\x96\x81";
  for (const std::string& token : {std::string("ll"),
                                   std::string("he"),
                                   space + "he",
                                   space + "hello",
                                   std::string("hello"),
                                   std::string("llo"),
                                   space + space,
                                   space + space + space + space,
                                   std::string("aa"),
                                   std::string("aaaa"),
                                   std::string("b\xc3\xa9"),
                                   space,
                                   std::string("h"),
                                   std::string("e"),
                                   std::string("l"),
                                   std::string("o"),
                                   std::string("a"),
                                   std::string("b"),
                                   std::string("\xc3\xa9"),
                                   std::string("<"),
                                   std::string("/"),
                                   std::string("s"),
                                   std::string(">"),
                                   std::string("</"),
                                   std::string("s>"),
                                   std::string("</s")}) {
    tokens.push_back({token, kTinyNormal, score});
    score -= 1;
  }
  tokens.push_back({"<start_of_turn>", kTinyControl});
  return tiny_checkpoint("llama", tokens);
}

}  // namespace ac
