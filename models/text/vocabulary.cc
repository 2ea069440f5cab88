#include "models/text/vocabulary.h"

#include <algorithm>
#include <array>
#include <charconv>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "models/text/unicode.h"

namespace ac::text {
namespace {

constexpr uint64_t kMaxTokens = 1u << 24;
constexpr size_t kMaxTokenBytes = 64u << 10;
constexpr uint64_t kMaxArenaBytes = 1u << 30;
constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581

// GPT-2's alphabet: printable bytes of Latin-1 stand for themselves, the other 68 bytes, in order,
// for U+0100 onwards. -1: not in the alphabet.
constexpr std::array<int16_t, 0x144> byte_of_code_point() {
  std::array<int16_t, 0x144> table{};
  for (auto& entry : table) entry = -1;
  int16_t next = 0x100;
  for (int16_t b = 0; b < 256; ++b) {
    const bool itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    table[static_cast<size_t>(itself ? b : next++)] = b;
  }
  return table;
}
constexpr auto kByteOfCodePoint = byte_of_code_point();

// The value of <0xHH>, or -1.
int byte_value(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int value = -1;
  const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
  return error == std::errc() && end == text.data() + 5 && value >= 0 ? value : -1;
}

void append_replacing(std::string_view text, std::string_view what, char with, std::string& out) {
  size_t at = 0;
  for (;;) {
    const size_t hit = text.find(what, at);
    out.append(text, at, hit - at);
    if (hit == std::string_view::npos) return;
    out.push_back(with);
    at = hit + what.size();
  }
}

bool wrapped(std::string_view text, std::string_view open, std::string_view close) {
  return text.size() > open.size() + close.size() && text.starts_with(open) &&
         text.ends_with(close);
}

// Marks that published templates and training data use to end a turn or an answer.
constexpr std::array<std::string_view, 13> kEndNames = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot|>",
    "<EOT>",
    "</s>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_utterance>",
    "<\xef\xbd\x9c"
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"};
constexpr std::array<std::string_view, 8> kMarkNames = {
    "<s>", "<pad>", "<unk>", "<bos>", "<eos>", "<start_of_turn>", "[INST]", "[/INST]"};

// Some files call every added token user-defined. Those that structure a conversation must not come
// out of a user's words all the same.
bool names_a_mark(std::string_view text, Spelling spelling) {
  const auto listed = [&](const auto& names) {
    return std::find(names.begin(), names.end(), text) != names.end();
  };
  if (listed(kEndNames) || listed(kMarkNames)) return true;
  if (wrapped(text, "<|", "|>") || wrapped(text, "<\xef\xbd\x9c", "\xef\xbd\x9c>")) return true;
  // In byte-level vocabularies whatever stands in angle brackets was added for that purpose; in
  // SentencePiece ones it may be markup of ordinary text (Gemma's <table>).
  return spelling == Spelling::kByteLevel && wrapped(text, "<", ">");
}

// Fill-ins for ids that the model has and its tokenizer has not.
bool names_padding(std::string_view text) { return wrapped(text, "[PAD", "]"); }

}  // namespace

bool append_byte_level(std::string_view spelled, std::string& out) {
  const size_t before = out.size();
  for (size_t i = 0; i < spelled.size();) {
    const auto first = static_cast<uint8_t>(spelled[i]);
    uint32_t code = first;
    size_t size = 1;
    if (first >= 0x80) {
      // Every character of the alphabet takes one or two bytes.
      if (first < 0xc2 || first > 0xc5 || i + 1 == spelled.size()) code = kInvalidChar;
      const auto second = code == kInvalidChar ? 0u : static_cast<uint8_t>(spelled[i + 1]);
      if ((second & 0xc0) != 0x80) code = kInvalidChar;
      if (code != kInvalidChar) code = (first & 0x1fu) << 6 | (second & 0x3fu);
      size = 2;
    }
    const int byte = code < kByteOfCodePoint.size() ? kByteOfCodePoint[code] : -1;
    if (byte < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(byte));
    i += size;
  }
  return true;
}

std::string byte_level_spelling(std::string_view bytes) {
  std::string spelled;
  for (const char byte : bytes) {
    const auto at = std::ranges::find(kByteOfCodePoint, static_cast<uint8_t>(byte));
    const auto code = static_cast<uint32_t>(at - kByteOfCodePoint.begin());
    if (code < 0x80) {
      spelled.push_back(static_cast<char>(code));
    } else {
      spelled.push_back(static_cast<char>(0xc0u | code >> 6));
      spelled.push_back(static_cast<char>(0x80u | (code & 0x3fu)));
    }
  }
  return spelled;
}

Result<Vocabulary> Vocabulary::read(const Checkpoint& checkpoint, Spelling spelling) {
  Vocabulary vocabulary;
  AC_TRY_STATUS(vocabulary.read_tokens(checkpoint, spelling));
  AC_TRY_STATUS(vocabulary.read_ids(checkpoint, spelling));
  vocabulary.index_specials(spelling);
  vocabulary.index_tokens();
  // Some files name their end of text as the unknown token. Stray bytes of a user must not become
  // it.
  auto& unknown = vocabulary.unknown;
  if (unknown && (vocabulary.type(*unknown) == TokenType::kControl ||
                  vocabulary.ends_generation(*unknown) || unknown == vocabulary.bos)) {
    unknown.reset();
  }
  return vocabulary;
}

Status Vocabulary::read_tokens(const Checkpoint& checkpoint, Spelling spelling) {
  AC_TRY(const auto spelled, checkpoint.get_strings("tokenizer.ggml.tokens"));
  if (spelled.empty() || spelled.size() > kMaxTokens) {
    return fail(ErrorCode::kCorruptFile, "{}: tokenizer.ggml.tokens has {} entries, want 1 to {}",
                checkpoint.origin, spelled.size(), kMaxTokens);
  }
  types_.assign(spelled.size(), TokenType::kNormal);
  if (checkpoint.has("tokenizer.ggml.token_type")) {
    AC_TRY(const auto types, checkpoint.get_integers("tokenizer.ggml.token_type"));
    if (types.size() != spelled.size()) {
      return fail(ErrorCode::kCorruptFile,
                  "{}: tokenizer.ggml.token_type has {} entries, tokenizer.ggml.tokens {}",
                  checkpoint.origin, types.size(), spelled.size());
    }
    for (size_t i = 0; i < types.size(); ++i) {
      if (types[i] < 0 || types[i] > 6) {
        return fail(ErrorCode::kCorruptFile, "{}: tokenizer.ggml.token_type[{}] is {}, want 0 to 6",
                    checkpoint.origin, i, types[i]);
      }
      types_[i] = static_cast<TokenType>(types[i]);
    }
  }
  uint64_t total_bytes = 0;
  for (size_t i = 0; i < spelled.size(); ++i) {
    total_bytes += spelled[i].size();
    if (spelled[i].size() > kMaxTokenBytes || total_bytes > kMaxArenaBytes) {
      return fail(ErrorCode::kCorruptFile, "{}: tokenizer.ggml.tokens[{}] has {} bytes (total {})",
                  checkpoint.origin, i, spelled[i].size(), total_bytes);
    }
  }
  arena_.reserve(total_bytes);
  offsets_.reserve(spelled.size() + 1);
  offsets_.push_back(0);
  byte_tokens_.assign(256, -1);
  for (size_t i = 0; i < spelled.size(); ++i) {
    const std::string_view text = spelled[i];
    const TokenType type = types_[i];
    const bool literal = type == TokenType::kControl || type == TokenType::kUnknown ||
                         type == TokenType::kUserDefined;
    const size_t begin = arena_.size();
    if (spelling == Spelling::kByteLevel) {
      if (literal || !append_byte_level(text, arena_)) {
        arena_.append(text);
      } else if (arena_.size() == begin + 1) {
        int32_t& slot = byte_tokens_[static_cast<uint8_t>(arena_.back())];
        if (slot < 0) slot = static_cast<int32_t>(i);
      }
    } else if (const int byte = type == TokenType::kByte ? byte_value(text) : -1; byte >= 0) {
      arena_.push_back(static_cast<char>(byte));
      int32_t& slot = byte_tokens_[static_cast<size_t>(byte)];
      if (slot < 0) slot = static_cast<int32_t>(i);
    } else {
      append_replacing(text, kSpaceMark, ' ', arena_);
    }
    max_token_bytes_ = std::max(max_token_bytes_, arena_.size() - begin);
    offsets_.push_back(static_cast<uint32_t>(arena_.size()));
  }
  return {};
}

Status Vocabulary::read_ids(const Checkpoint& checkpoint, Spelling spelling) {
  // Writers say "none" with the largest number. A missing id has SentencePiece's customary value in
  // SentencePiece vocabularies, and is none in others.
  const auto read_id = [&](std::string_view name, std::optional<int32_t> missing,
                           std::optional<int32_t>& id) -> Status {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    if (!checkpoint.has(key)) {
      id = missing && *missing < size() ? missing : std::nullopt;
      return {};
    }
    AC_TRY(const uint64_t value, checkpoint.get_uint(key, 0, UINT32_MAX));
    if (value == UINT32_MAX) {
      id = std::nullopt;
    } else if (value >= types_.size()) {
      return fail(ErrorCode::kCorruptFile, "{}: {} is {}, the vocabulary has {} tokens",
                  checkpoint.origin, key, value, types_.size());
    } else {
      id = static_cast<int32_t>(value);
    }
    return {};
  };
  const bool customary = spelling == Spelling::kSentencePiece;
  const auto custom = [&](int32_t id) {
    return customary ? std::optional<int32_t>(id) : std::nullopt;
  };
  AC_TRY_STATUS(read_id("bos", custom(1), bos));
  AC_TRY_STATUS(read_id("eos", custom(2), eos));
  AC_TRY_STATUS(read_id("unknown", custom(0), unknown));
  std::optional<int32_t> eot, eom;
  AC_TRY_STATUS(read_id("eot", std::nullopt, eot));
  AC_TRY_STATUS(read_id("eom", std::nullopt, eom));
  for (const auto& id : {eos, eot, eom}) {
    if (id) ends_.push_back(*id);
  }
  // A file without types says through these ids alone which tokens are special.
  for (const auto& id : {bos, eos, eot, eom}) {
    if (id && types_[static_cast<size_t>(*id)] == TokenType::kNormal &&
        names_a_mark(bytes(*id), spelling)) {
      types_[static_cast<size_t>(*id)] = TokenType::kControl;
    }
  }
  return {};
}

void Vocabulary::index_specials(Spelling spelling) {
  for (int32_t id = 0; id < size(); ++id) {
    const std::string_view text = bytes(id);
    TokenType& type = types_[static_cast<size_t>(id)];
    const bool added = type == TokenType::kUserDefined;
    if (!added && type != TokenType::kControl && type != TokenType::kUnknown) continue;
    if (std::find(kEndNames.begin(), kEndNames.end(), text) != kEndNames.end()) {
      ends_.push_back(id);
      if (added) type = TokenType::kControl;
    }
    if (names_padding(text)) {
      type = TokenType::kUnused;
    } else if (type == TokenType::kUserDefined && !names_a_mark(text, spelling)) {
      words_.insert(text, id);
    } else {
      marks_.insert(text, id);
    }
  }
  std::sort(ends_.begin(), ends_.end());
  ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
}

void Vocabulary::index_tokens() {
  size_t capacity = 64;
  while (capacity < types_.size() * 2) capacity *= 2;
  slots_.assign(capacity, 0);
  for (int32_t id = 0; id < size(); ++id) {
    const std::string_view text = bytes(id);
    const TokenType t = type(id);
    if (text.empty() || (t != TokenType::kNormal && t != TokenType::kUndefined)) continue;
    const uint64_t hash = XXH3_64bits(text.data(), text.size());
    size_t at = hash & (capacity - 1);
    bool known = false;
    while (slots_[at] != 0 && !known) {
      known = slots_[at] >> 32 == hash >> 32 &&
              bytes(static_cast<int32_t>(slots_[at] & 0xffffffff) - 1) == text;
      if (!known) at = (at + 1) & (capacity - 1);
    }
    // Of two tokens with the same bytes the first stays.
    if (!known) slots_[at] = (hash >> 32) << 32 | static_cast<uint64_t>(id + 1);
  }
}

int32_t Vocabulary::find(std::string_view text) const {
  const uint64_t hash = XXH3_64bits(text.data(), text.size());
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at] != 0; at = (at + 1) & mask) {
    if (slots_[at] >> 32 != hash >> 32) continue;
    const auto id = static_cast<int32_t>(slots_[at] & 0xffffffff) - 1;
    if (bytes(id) == text) return id;
  }
  return -1;
}

bool Vocabulary::ends_generation(int32_t id) const {
  return std::binary_search(ends_.begin(), ends_.end(), id);
}

std::optional<int32_t> Vocabulary::find_special(std::string_view text) const {
  for (const SpecialTrie* trie : {&marks_, &words_}) {
    if (const int32_t id = trie->exact(text).id; id >= 0) return id;
  }
  return std::nullopt;
}

}  // namespace ac::text
