#include "models/store/hf_tokenizer.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <vector>

#include "models/store/byte_reader.h"
#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr uint64_t kMaxTokenizerBytes = 128u << 20;
constexpr uint64_t kMaxConfigBytes = 8u << 20;
constexpr uint64_t kMaxTemplateBytes = 1u << 20;
constexpr int64_t kMaxTokens = int64_t{1} << 21;
constexpr size_t kMaxTokenBytes = 64u << 10;
constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581, SentencePiece's space
// From so many merges on, a vocabulary in which no digit was ever merged was trained on single
// digits.
constexpr size_t kTellingMerges = 1000;

// GGUF's token types. On disk: never renumber.
enum TokenType : int32_t {
  kHole = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

using Merge = std::pair<std::string, std::string>;

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;  // kHole where no token has the id
  std::unordered_map<std::string, int32_t> ids;
  std::vector<Merge> merges;

  Status add(const std::string& text, int64_t id, TokenType type) {
    if (id < 0 || id >= kMaxTokens || text.size() > kMaxTokenBytes) {
      return fail(ErrorCode::kCorruptFile, "token '{}' has id {}, expected 0 to {}",
                  printable(text), id, kMaxTokens - 1);
    }
    const auto at = static_cast<size_t>(id);
    if (at >= tokens.size()) {
      tokens.resize(at + 1);
      types.resize(at + 1, kHole);
    }
    // An added token may repeat one of the vocabulary under the same id; its kind counts.
    if (types[at] != kHole && tokens[at] != text) {
      return fail(ErrorCode::kCorruptFile, "tokens '{}' and '{}' have the same id {}",
                  printable(tokens[at]), printable(text), id);
    }
    tokens[at] = text;
    types[at] = type;
    const auto [known, inserted] = ids.emplace(text, static_cast<int32_t>(id));
    if (!inserted && known->second != static_cast<int32_t>(id)) {
      return fail(ErrorCode::kCorruptFile, "token '{}' has the ids {} and {}", printable(text),
                  known->second, id);
    }
    return {};
  }
  std::optional<int32_t> find(const std::string& text) const {
    const auto it = ids.find(text);
    if (it == ids.end()) return std::nullopt;
    return it->second;
  }
};

// A file that may be absent.
Result<std::optional<std::string>> read_optional(const std::string& path, uint64_t limit_bytes) {
  auto text = read_file(path, limit_bytes);
  if (text) return std::optional<std::string>(std::move(*text));
  if (text.error().code == ErrorCode::kNotFound) return std::optional<std::string>();
  return text.error();
}

Result<std::optional<Json>> read_optional_json(const std::string& path, uint64_t limit_bytes) {
  AC_TRY(const std::optional<std::string> text, read_optional(path, limit_bytes));
  if (!text) return std::optional<Json>();
  auto json = parse_json(*text, {.max_bytes = limit_bytes, .max_depth = 32});
  if (!json) return with_context(json.error(), path);
  if (!json->is_object()) return fail(ErrorCode::kCorruptFile, "{}: is not an object", path);
  return std::optional<Json>(std::move(*json));
}

Status add_vocabulary(const Json& vocabulary, Vocabulary& out) {
  if (!vocabulary.is_object())
    return fail(ErrorCode::kCorruptFile, "the vocabulary is not an object");
  for (const auto& [text, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(kMaxTokens)) {
      return fail(ErrorCode::kCorruptFile, "token '{}' has no id from 0 to {}", printable(text),
                  kMaxTokens - 1);
    }
    AC_TRY_STATUS(out.add(text, id.get<int64_t>(), kNormal));
  }
  return {};
}

Result<Merge> split_merge(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    return fail(ErrorCode::kCorruptFile, "merge '{}' is not two tokens", printable(line));
  }
  return Merge(line.substr(0, space), line.substr(space + 1));
}

Status add_merges(const Json& merges, Vocabulary& out) {
  if (!merges.is_array()) return fail(ErrorCode::kCorruptFile, "the merges are not a list");
  out.merges.reserve(merges.size());
  for (const Json& merge : merges) {
    if (merge.is_string()) {
      AC_TRY(Merge pair, split_merge(merge.get_ref<const std::string&>()));
      out.merges.push_back(std::move(pair));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      out.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      return fail(ErrorCode::kCorruptFile, "a merge is neither \"a b\" nor [\"a\", \"b\"]");
    }
  }
  return {};
}

// "#version: 0.2", then a merge a line.
Status add_merges(std::string_view text, Vocabulary& out) {
  bool first = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool header = first && line.starts_with("#version");
    first = false;
    if (header || line.empty()) continue;
    AC_TRY(Merge pair, split_merge(line));
    out.merges.push_back(std::move(pair));
  }
  return {};
}

Status add_added_token(const Json& token, int64_t id, Vocabulary& out) {
  AC_TRY(const std::string text, json_string(token, "content"));
  const Json* special = json_find(token, "special");
  const bool control = special != nullptr && special->is_boolean() && special->get<bool>();
  return out.add(text, id, control ? kControl : kUserDefined);
}

bool splits_digits(const Vocabulary& vocabulary) {
  const auto has_digit = [](const std::string& text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  return vocabulary.merges.size() >= kTellingMerges &&
         std::none_of(vocabulary.merges.begin(), vocabulary.merges.end(),
                      [&](const Merge& m) { return has_digit(m.first) || has_digit(m.second); });
}

// Whether any step of the (possibly nested one level) pipeline satisfies `wanted`.
template <class Predicate>
bool any_step(const Json* pipeline, std::string_view list_key, const Predicate& wanted) {
  if (pipeline == nullptr) return false;
  const Json* list = json_find(*pipeline, list_key);
  if (list == nullptr || !list->is_array()) return wanted(*pipeline);
  return std::any_of(list->begin(), list->end(), wanted);
}

bool is_type(const Json& step, std::string_view type) {
  const Json* found = json_find(step, "type");
  return found != nullptr && found->is_string() && found->get_ref<const std::string&>() == type;
}

bool is_text(const Json* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->get_ref<const std::string&>() == text;
}

// SentencePiece's way of writing a space: by a normalizer or by the Metaspace pre-tokenizer.
bool marks_spaces(const Json& tokenizer) {
  return any_step(json_find(tokenizer, "normalizer"), "normalizers",
                  [](const Json& step) {
                    return is_type(step, "Replace") &&
                           is_text(json_find(step, "content"), kSpaceMark);
                  }) ||
         any_step(json_find(tokenizer, "pre_tokenizer"), "pretokenizers",
                  [](const Json& step) { return is_type(step, "Metaspace"); });
}

// Whether a text gets a space put before it.
bool adds_space_prefix(const Json& tokenizer) {
  return any_step(json_find(tokenizer, "normalizer"), "normalizers",
                  [](const Json& step) { return is_type(step, "Prepend"); }) ||
         any_step(json_find(tokenizer, "pre_tokenizer"), "pretokenizers", [](const Json& step) {
           if (!is_type(step, "Metaspace")) return false;
           if (const Json* scheme = json_find(step, "prepend_scheme"))
             return !is_text(scheme, "never");
           const Json* prefix = json_find(step, "add_prefix_space");
           return prefix == nullptr || !prefix->is_boolean() || prefix->get<bool>();
         });
}

// Whether the post-processor puts `bos` before a text.
bool processor_adds(const Json& tokenizer, const std::string& bos) {
  return any_step(json_find(tokenizer, "post_processor"), "processors", [&](const Json& step) {
    const Json* single = is_type(step, "TemplateProcessing") ? json_find(step, "single") : nullptr;
    if (single == nullptr || !single->is_array() || single->empty()) return false;
    const Json* token = json_find(single->front(), "SpecialToken");
    return token != nullptr && is_text(json_find(*token, "id"), bos);
  });
}

class TokenizerReader {
 public:
  TokenizerReader(const std::string& folder, int64_t n_vocab, Checkpoint& out)
      : folder_(folder), n_vocab_(n_vocab), out_(out) {}

  Status read() {
    AC_TRY(config_, read_optional_json(folder_ + "/tokenizer_config.json", kMaxConfigBytes));
    AC_TRY(tokenizer_, read_optional_json(folder_ + "/tokenizer.json", kMaxTokenizerBytes));
    AC_TRY_STATUS(tokenizer_ ? read_tokenizer_json() : read_vocabulary_and_merges());
    AC_TRY_STATUS(add_config_tokens());
    AC_TRY_STATUS(read_special("unk_token", "unknown", &unk_));
    AC_TRY_STATUS(read_special("bos_token", "bos", &bos_));
    AC_TRY_STATUS(read_special("eos_token", "eos", nullptr));
    AC_TRY_STATUS(read_special("pad_token", "padding", nullptr));
    AC_TRY_STATUS(write_vocabulary());
    AC_TRY_STATUS(write_flags());
    return write_template();
  }

 private:
  Status read_tokenizer_json() {
    const Json* model = json_find(*tokenizer_, "model");
    if (model == nullptr) return fail(ErrorCode::kCorruptFile, "tokenizer.json has no model");
    // Files from before the type was written hold BPE when they hold merges.
    const Json* type = json_find(*model, "type");
    const Json* vocabulary = json_find(*model, "vocab");
    const Json* merges = json_find(*model, "merges");
    if ((type != nullptr && !is_text(type, "BPE")) || merges == nullptr || vocabulary == nullptr) {
      return fail(ErrorCode::kUnsupported, "tokenizer.json holds a model of type {}, expected BPE",
                  type == nullptr ? "unknown" : printable(json_line(*type)));
    }
    AC_TRY_STATUS(add_vocabulary(*vocabulary, vocabulary_));
    AC_TRY_STATUS(add_merges(*merges, vocabulary_));
    if (const Json* added = json_find(*tokenizer_, "added_tokens"); added != nullptr) {
      if (!added->is_array()) return fail(ErrorCode::kCorruptFile, "added_tokens is not a list");
      for (const Json& token : *added) {
        AC_TRY(const int64_t id, json_integer(token, "id", 0, kMaxTokens - 1));
        AC_TRY_STATUS(add_added_token(token, id, vocabulary_));
      }
    }
    sentencepiece_ = marks_spaces(*tokenizer_);
    if (sentencepiece_) return {};
    const Json* pre_tokenizer = json_find(*tokenizer_, "pre_tokenizer");
    if (pre_tokenizer == nullptr) {
      return fail(ErrorCode::kUnsupported,
                  "tokenizer.json has neither a pre-tokenizer nor SentencePiece's spaces");
    }
    AC_TRY(pre_, recognise_pre_tokenizer(*pre_tokenizer, splits_digits(vocabulary_)));
    return {};
  }

  Status read_vocabulary_and_merges() {
    AC_TRY(const std::optional<Json> vocabulary,
           read_optional_json(folder_ + "/vocab.json", kMaxTokenizerBytes));
    AC_TRY(const std::optional<std::string> merges,
           read_optional(folder_ + "/merges.txt", kMaxTokenizerBytes));
    if (!vocabulary || !merges) {
      return fail(ErrorCode::kNotFound, "no tokenizer.json, and no vocab.json with merges.txt");
    }
    AC_TRY_STATUS(add_vocabulary(*vocabulary, vocabulary_));
    AC_TRY_STATUS(add_merges(std::string_view(*merges), vocabulary_));
    const Json* name = config_ ? json_find(*config_, "tokenizer_class") : nullptr;
    if (is_text(name, "Qwen2Tokenizer") || is_text(name, "Qwen2TokenizerFast")) {
      pre_ = "qwen2";
    } else if (is_text(name, "GPT2Tokenizer") || is_text(name, "GPT2TokenizerFast")) {
      pre_ = splits_digits(vocabulary_) ? "smollm" : "gpt-2";
    } else {
      return fail(ErrorCode::kUnsupported,
                  "vocab.json and merges.txt without tokenizer.json, tokenizer_class {}: expected "
                  "Qwen2Tokenizer "
                  "or GPT2Tokenizer",
                  name == nullptr ? "missing" : printable(json_line(*name)));
    }
    return {};
  }

  // tokenizer_config.json repeats the added tokens, keyed by id; older folders have them only
  // there.
  Status add_config_tokens() {
    const Json* decoder = config_ ? json_find(*config_, "added_tokens_decoder") : nullptr;
    if (decoder == nullptr) return {};
    if (!decoder->is_object())
      return fail(ErrorCode::kCorruptFile, "added_tokens_decoder is not an object");
    for (const auto& [text, token] : decoder->items()) {
      int64_t id = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
      if (error != std::errc() || end != text.data() + text.size()) {
        return fail(ErrorCode::kCorruptFile,
                    "added_tokens_decoder has the key '{}', expected an id", printable(text));
      }
      AC_TRY_STATUS(add_added_token(token, id, vocabulary_));
    }
    return {};
  }

  // "bos_token": null, "<s>", or {"content": "<s>", ...}.
  Status read_special(const char* key, const char* ours, std::optional<int32_t>* id_out) {
    const Json* value = config_ ? json_find(*config_, key) : nullptr;
    if (value != nullptr && value->is_object()) value = json_find(*value, "content");
    if (value == nullptr) return {};
    if (!value->is_string()) return fail(ErrorCode::kCorruptFile, "{} is not a string", key);
    const auto& text = value->get_ref<const std::string&>();
    const std::optional<int32_t> id = vocabulary_.find(text);
    if (!id)
      return fail(ErrorCode::kCorruptFile, "{} '{}' is not in the vocabulary", key,
                  printable(text));
    if (std::string_view(ours) == "bos") bos_text_ = text;
    out_.set_uint(fmt::format("tokenizer.ggml.{}_token_id", ours), static_cast<uint32_t>(*id));
    if (id_out != nullptr) *id_out = id;
    return {};
  }

  Status write_vocabulary() {
    Vocabulary& v = vocabulary_;
    const size_t listed = v.tokens.size();
    const size_t n = n_vocab_ > 0 ? static_cast<size_t>(n_vocab_) : listed;
    // Gemma 3's tokenizer knows an image token that the text model has no row for.
    for (size_t i = n; i < listed; ++i) {
      if (v.types[i] == kControl || v.types[i] == kUserDefined || v.types[i] == kHole) continue;
      return fail(ErrorCode::kCorruptFile, "the tokenizer has {} tokens, the embedding {} rows",
                  listed, n);
    }
    v.tokens.resize(n);
    v.types.resize(n, kHole);
    for (size_t i = 0; i < n; ++i) {
      if (v.types[i] != kHole) continue;
      v.tokens[i] = fmt::format("[PAD{}]", i);
      v.types[i] = kUnused;
    }
    if (sentencepiece_) {
      write_scores();
    } else {
      AC_TRY_STATUS(write_merges());
    }
    out_.set_string("tokenizer.ggml.model", sentencepiece_ ? "llama" : "gpt2");
    out_.set_string("tokenizer.ggml.pre", sentencepiece_ ? "default" : pre_);
    out_.set_strings("tokenizer.ggml.tokens", v.tokens);
    out_.set_integers("tokenizer.ggml.token_type", v.types);
    return {};
  }

  Status write_merges() {
    std::vector<std::string> lines;
    lines.reserve(vocabulary_.merges.size());
    for (const auto& [left, right] : vocabulary_.merges) {
      if (left.empty() || right.empty() || left.find(' ') != std::string::npos ||
          right.find(' ') != std::string::npos) {
        return fail(ErrorCode::kCorruptFile, "merge '{}' '{}' cannot be written as two words",
                    printable(left), printable(right));
      }
      lines.push_back(left + " " + right);
    }
    out_.set_strings("tokenizer.ggml.merges", lines);
    return {};
  }

  // SentencePiece merges the pair whose joint token has the best score; the files were exported
  // with merges in that order, so the rank of the first merge that makes a token stands for its
  // score.
  void write_scores() {
    Vocabulary& v = vocabulary_;
    std::vector<float> scores(v.tokens.size(), 0.0f);
    std::vector<bool> is_made(v.tokens.size(), false);
    float rank = 0;
    for (const auto& [left, right] : v.merges) {
      const std::optional<int32_t> id = v.find(left + right);
      if (!id || static_cast<size_t>(*id) >= scores.size()) continue;
      const auto at = static_cast<size_t>(*id);
      if (is_made[at]) continue;
      is_made[at] = true;
      scores[at] = -rank;
      rank += 1;
    }
    for (size_t i = 0; i < v.tokens.size(); ++i) {
      if (v.types[i] != kNormal) continue;
      const std::string& text = v.tokens[i];
      if (is_byte(text)) {
        v.types[i] = kByte;
      } else if (!is_made[i]) {
        scores[i] = -rank;  // a character, or a token that nothing makes: never before the others
      }
    }
    if (unk_ && static_cast<size_t>(*unk_) < v.types.size())
      v.types[static_cast<size_t>(*unk_)] = kUnknown;
    out_.set_floats("tokenizer.ggml.scores", scores);
  }

  // "<0x0A>"
  static bool is_byte(const std::string& text) {
    const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
    return text.size() == 6 && text.starts_with("<0x") && text[5] == '>' && hex(text[3]) &&
           hex(text[4]);
  }

  Status write_flags() {
    bool adds_bos = sentencepiece_;
    if (tokenizer_ && json_find(*tokenizer_, "post_processor") != nullptr) {
      adds_bos = bos_text_ && processor_adds(*tokenizer_, *bos_text_);
    }
    const Json* stated = config_ ? json_find(*config_, "add_bos_token") : nullptr;
    if (stated != nullptr && stated->is_boolean()) adds_bos = stated->get<bool>();
    out_.set_bool("tokenizer.ggml.add_bos_token", adds_bos && bos_.has_value());
    const Json* adds_eos = config_ ? json_find(*config_, "add_eos_token") : nullptr;
    if (adds_eos != nullptr && adds_eos->is_boolean())
      out_.set_bool("tokenizer.ggml.add_eos_token", adds_eos->get<bool>());
    if (sentencepiece_)
      out_.set_bool("tokenizer.ggml.add_space_prefix", adds_space_prefix(*tokenizer_));
    return {};
  }

  // A string, or a list of named ones of which "default" counts; or a file of its own.
  Status write_template() {
    const Json* value = config_ ? json_find(*config_, "chat_template") : nullptr;
    if (value != nullptr && value->is_array()) {
      const Json* chosen = nullptr;
      for (const Json& named : *value) {
        if (is_text(json_find(named, "name"), "default")) chosen = json_find(named, "template");
      }
      value = chosen;
    }
    std::optional<std::string> text;
    if (value != nullptr) {
      if (!value->is_string())
        return fail(ErrorCode::kCorruptFile, "chat_template is not a string");
      text = value->get<std::string>();
    } else {
      AC_TRY(text, read_optional(folder_ + "/chat_template.jinja", kMaxTemplateBytes));
    }
    if (!text) return {};
    if (text->size() > kMaxTemplateBytes) {
      return fail(ErrorCode::kCorruptFile, "chat_template has {} bytes, at most {} expected",
                  text->size(), kMaxTemplateBytes);
    }
    out_.set_string("tokenizer.chat_template", std::move(*text));
    return {};
  }

  const std::string& folder_;
  int64_t n_vocab_;
  Checkpoint& out_;
  std::optional<Json> config_, tokenizer_;
  Vocabulary vocabulary_;
  bool sentencepiece_ = false;
  std::string pre_;
  std::optional<int32_t> unk_, bos_;
  std::optional<std::string> bos_text_;
};

}  // namespace

Status read_hf_tokenizer(const std::string& folder, int64_t n_vocab, Checkpoint& out) {
  return TokenizerReader(folder, n_vocab, out).read();
}

}  // namespace ac
