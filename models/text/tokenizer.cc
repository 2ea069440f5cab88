#include "models/text/tokenizer.h"

#include "models/text/byte_bpe.h"
#include "models/text/sentencepiece.h"

namespace ac {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// What the bytes at p begin with.
struct Utf8Head {
  enum class Kind { kWhole, kUnfinished, kBroken } kind;
  size_t size;  // bytes: of the character, of all that is left, or of the part that led nowhere
};

// The table of well-formed byte sequences: The Unicode Standard, table 3-7.
Utf8Head utf8_head(std::string_view bytes) {
  using Kind = Utf8Head::Kind;
  const auto first = static_cast<uint8_t>(bytes[0]);
  if (first < 0x80) return {Kind::kWhole, 1};
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return {Kind::kBroken, 1};
  for (size_t i = 1; i < size; ++i) {
    if (i == bytes.size()) return {Kind::kUnfinished, i};
    const auto byte = static_cast<uint8_t>(bytes[i]);
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    if (i == 1 && first == 0xe0) low = 0xa0;
    if (i == 1 && first == 0xed) high = 0x9f;
    if (i == 1 && first == 0xf0) low = 0x90;
    if (i == 1 && first == 0xf4) high = 0x8f;
    if (byte < low || byte > high) return {Kind::kBroken, i};
  }
  return {Kind::kWhole, size};
}

}  // namespace

Result<std::unique_ptr<const Tokenizer>> Tokenizer::from_checkpoint(const Checkpoint& checkpoint) {
  AC_TRY(const std::string_view model, checkpoint.get_string("tokenizer.ggml.model"));
  if (model == "gpt2") return text::make_byte_bpe(checkpoint);
  if (model == "llama") return text::make_sentencepiece(checkpoint);
  return fail(ErrorCode::kUnsupported, "{}: tokenizer.ggml.model '{}' is not one of gpt2, llama",
              checkpoint.origin, model);
}

std::vector<std::string> Tokenizer::vocabulary() const {
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < n_vocab(); ++id) tokens.emplace_back(token_bytes(id));
  return tokens;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool special) const {
  std::string out;
  bool first = drops_first_space();
  for (const int32_t id : ids) {
    std::string_view bytes = token_bytes(id, special);
    if (first && !bytes.empty()) {
      if (bytes.front() == ' ') bytes.remove_prefix(1);
      first = false;
    }
    out.append(bytes);
  }
  return out;
}

std::string Detokenizer::push(int32_t id) {
  std::string_view bytes = tokenizer_.token_bytes(id, special_);
  if (first_ && !bytes.empty()) {
    if (bytes.front() == ' ') bytes.remove_prefix(1);
    first_ = false;
  }
  held_.append(bytes);
  std::string out;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Head head = utf8_head(rest);
    if (head.kind == Utf8Head::Kind::kUnfinished) break;
    out.append(head.kind == Utf8Head::Kind::kWhole ? rest.substr(0, head.size) : kReplacement);
    rest.remove_prefix(head.size);
  }
  held_.erase(0, held_.size() - rest.size());
  return out;
}

std::string Detokenizer::finish() {
  std::string out(held_.empty() ? std::string_view() : kReplacement);
  held_.clear();
  return out;
}

}  // namespace ac
