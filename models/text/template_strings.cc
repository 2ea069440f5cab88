#include "models/text/template_strings.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <optional>

#include "models/text/unicode.h"

namespace ac::text {
namespace {

Error bad(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }
Error unsupported(std::string message) {
  return Error{ErrorCode::kUnsupported, std::move(message)};
}

// Python's str.isspace for one character.
bool is_space(Char c) { return (c.cls & kSpace) != 0 || (c.code >= 0x1c && c.code <= 0x1f); }

struct Range {
  size_t begin;
  size_t end;
};

// Which characters strip() takes off: white space, or those of a given string.
class StripSet {
 public:
  explicit StripSet(const MarkedString* chars) {
    if (chars == nullptr) return;
    listed_.emplace();
    const std::string_view bytes = chars->bytes();
    for (const char *p = bytes.data(), *end = p + bytes.size(); p < end;) {
      const CodePoint c = decode_utf8(p, end);
      listed_->push_back(c.code);
      p += c.size;
    }
  }
  bool has(Char c) const {
    if (!listed_) return is_space(c);
    return std::find(listed_->begin(), listed_->end(), c.code) != listed_->end();
  }

 private:
  std::optional<std::vector<uint32_t>> listed_;
};

Range stripped(std::string_view text, const StripSet& set, bool left, bool right) {
  const char* begin = text.data();
  const char* p = begin;
  const char* end = p + text.size();
  while (left && p < end) {
    const Char c = char_at(p, end);
    if (!set.has(c)) break;
    p += c.size;
  }
  while (right && p < end) {
    const char* q = end - 1;
    while (q > p && end - q < 4 && (static_cast<uint8_t>(*q) & 0xc0) == 0x80) --q;
    const Char c = char_at(q, end);
    if (q + c.size != end || !set.has(c)) break;
    end = q;
  }
  return {static_cast<size_t>(p - begin), static_cast<size_t>(end - begin)};
}

Result<Value> strip(const MarkedString& text, const Arguments& arguments, bool left, bool right,
                    Budget& budget) {
  AC_TRY(const MarkedString* chars, text_argument(arguments, 0, "chars"));
  AC_TRY_STATUS(budget.spend_bytes(text.size()));
  const Range range = stripped(text.bytes(), StripSet(chars), left, right);
  return Value::text(text.slice(range.begin, range.end));
}

Result<Value> split_text(const MarkedString& text, const Arguments& arguments, Budget& budget) {
  AC_TRY(const MarkedString* separator, text_argument(arguments, 0, "sep"));
  AC_TRY(int64_t left, integer_argument(arguments, 1, "maxsplit", -1));
  AC_TRY_STATUS(budget.spend_bytes(text.size()));
  const std::string_view bytes = text.bytes();
  std::vector<Value> parts;
  size_t at = 0;
  if (separator != nullptr) {
    if (separator->empty()) return bad("split() wants a separator that is not empty");
    for (size_t hit; left != 0 && (hit = bytes.find(separator->bytes(), at)) != bytes.npos;
         --left) {
      AC_TRY_STATUS(budget.spend(1));
      parts.push_back(Value::text(text.slice(at, hit)));
      at = hit + separator->size();
    }
    parts.push_back(Value::text(text.slice(at, bytes.size())));
    return make_list(std::move(parts), budget);
  }
  const StripSet spaces(nullptr);
  for (;;) {
    at += stripped(bytes.substr(at), spaces, true, false).begin;
    if (at == bytes.size()) break;
    AC_TRY_STATUS(budget.spend(1));
    if (left-- == 0) {
      const size_t end = at + stripped(bytes.substr(at), spaces, false, true).end;
      parts.push_back(Value::text(text.slice(at, end)));
      break;
    }
    const char* p = bytes.data() + at;
    const char* end = bytes.data() + bytes.size();
    while (p < end && !is_space(char_at(p, end))) p += char_at(p, end).size;
    const auto word_end = static_cast<size_t>(p - bytes.data());
    parts.push_back(Value::text(text.slice(at, word_end)));
    at = word_end;
  }
  return make_list(std::move(parts), budget);
}

// Whether the text starts (ends) with a string, or with one of a list of them.
Result<Value> affix(const MarkedString& text, const Arguments& arguments, bool at_start) {
  const Value* wanted = arguments.get(0, "prefix");
  if (wanted == nullptr || arguments.positional.size() > 1) return bad("one argument is wanted");
  const auto holds = [&](const MarkedString& part) {
    return at_start ? text.bytes().starts_with(part.bytes()) : text.bytes().ends_with(part.bytes());
  };
  if (const auto* part = wanted->as_text()) return Value(holds(*part));
  if (const auto* list = wanted->as_list()) {
    for (const Value& item : list->items) {
      if (item.as_text() == nullptr) return bad("a string is wanted");
      if (holds(*item.as_text())) return Value(true);
    }
    return Value(false);
  }
  return bad(fmt::format("a string is wanted, not {}", wanted->type_name()));
}

constexpr std::array<std::string_view, 16> kTextMethods = {
    "strip", "lstrip",     "rstrip",  "split", "startswith", "endswith", "upper",      "lower",
    "title", "capitalize", "replace", "join",  "find",       "count",    "splitlines", "isdigit"};

}  // namespace

std::string_view without_space_around(std::string_view text) {
  const Range range = stripped(text, StripSet(nullptr), true, true);
  return text.substr(range.begin, range.end - range.begin);
}

Result<const MarkedString*> text_argument(const Arguments& arguments, size_t i,
                                          std::string_view name) {
  const Value* value = arguments.get(i, name);
  if (value == nullptr || value->is_none()) return static_cast<const MarkedString*>(nullptr);
  if (const auto* text = value->as_text()) return text;
  return bad(fmt::format("'{}' wants a string, not {}", name, value->type_name()));
}

Result<int64_t> integer_argument(const Arguments& arguments, size_t i, std::string_view name,
                                 int64_t missing) {
  const Value* value = arguments.get(i, name);
  if (value == nullptr || value->is_none()) return missing;
  int64_t number;
  if (value->as_integer(number)) return number;
  return bad(fmt::format("'{}' wants an integer, not {}", name, value->type_name()));
}

// Changes letters one by one; of the few that become several, only the German sharp s.
Result<Value> with_case(const MarkedString& text, Case wanted, Budget& budget) {
  AC_TRY_STATUS(budget.spend_bytes(text.size() * 4));
  MarkedString out;
  bool first = true;  // of a word, or of the text
  const std::string_view bytes = text.bytes();
  for (const char *p = bytes.data(), *end = p + bytes.size(); p < end;) {
    const Char c = char_at(p, end);
    const auto offset = static_cast<size_t>(p - bytes.data());
    p += c.size;
    const bool upper = wanted == Case::kUpper || (first && wanted != Case::kLower);
    if (c.code == kInvalidChar) {
      out.append(text, offset, offset + 1);
    } else if (upper && c.code == 0xdf) {
      out.append(wanted == Case::kUpper ? "SS" : "Ss", text.source_at(offset));
    } else {
      const auto code = static_cast<utf8proc_int32_t>(c.code);
      std::array<char, 4> mapped;
      const size_t size = encode_utf8(
          static_cast<uint32_t>(upper ? utf8proc_toupper(code) : utf8proc_tolower(code)),
          mapped.data());
      out.append(std::string_view(mapped.data(), size), text.source_at(offset));
    }
    const bool separates = is_space(c) || c.code == '-' || c.code == '(' || c.code == '{' ||
                           c.code == '[' || c.code == '<';
    first = (wanted == Case::kTitleWords && separates) ||
            (wanted == Case::kTitleLetters && (c.cls & kLetter) == 0);
  }
  return Value::text(std::move(out));
}

Result<Value> replace_text(const MarkedString& text, const Arguments& arguments, Budget& budget) {
  AC_TRY(const MarkedString* from, text_argument(arguments, 0, "old"));
  AC_TRY(const MarkedString* to, text_argument(arguments, 1, "new"));
  AC_TRY(int64_t left, integer_argument(arguments, 2, "count", -1));
  if (from == nullptr || to == nullptr) return bad("replace() wants two strings");
  if (from->empty()) return unsupported("replace() of an empty string is not supported");
  AC_TRY_STATUS(budget.spend_bytes(text.size()));
  MarkedString out;
  size_t at = 0;
  for (size_t hit;
       left != 0 && (hit = text.bytes().find(from->bytes(), at)) != std::string_view::npos;
       --left) {
    AC_TRY_STATUS(budget.spend(1));
    out.append(text, at, hit);
    out.append(*to);
    AC_TRY_STATUS(budget.spend_bytes(out.size() > (size_t{1} << 16) ? out.size() : 0));
    at = hit + from->size();
  }
  out.append(text, at, text.size());
  AC_TRY_STATUS(budget.spend_bytes(out.size()));
  return Value::text(std::move(out));
}

Result<Value> join(const Value& input, const MarkedString* separator, const MarkedString* attribute,
                   Budget& budget) {
  AC_TRY(const std::vector<Value> items, elements_of(input, budget));
  MarkedString out;
  for (size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (attribute != nullptr) {
      const auto* dict = item.as_dict();
      const Value* found = dict == nullptr ? nullptr : dict->find(attribute->bytes());
      item = found == nullptr ? Value() : *found;
    }
    AC_TRY(const MarkedString text, printed(item, budget));
    if (i > 0 && separator != nullptr) out.append(*separator);
    out.append(text);
    AC_TRY_STATUS(budget.spend_bytes(text.size()));
    if (separator != nullptr) AC_TRY_STATUS(budget.spend_bytes(separator->size()));
  }
  AC_TRY_STATUS(budget.spend_bytes(out.size()));
  return Value::text(std::move(out));
}

Result<Value> trim(const MarkedString& text, const Arguments& arguments, Budget& budget) {
  return strip(text, arguments, true, true, budget);
}

bool is_text_method(std::string_view name) {
  return std::find(kTextMethods.begin(), kTextMethods.end(), name) != kTextMethods.end();
}

Result<Value> call_text_method(const MarkedString& text, std::string_view name,
                               const Arguments& arguments, Budget& budget) {
  AC_TRY_STATUS(budget.spend_bytes(text.size()));
  if (name == "strip") return strip(text, arguments, true, true, budget);
  if (name == "lstrip") return strip(text, arguments, true, false, budget);
  if (name == "rstrip") return strip(text, arguments, false, true, budget);
  if (name == "split") return split_text(text, arguments, budget);
  if (name == "startswith") return affix(text, arguments, true);
  if (name == "endswith") return affix(text, arguments, false);
  if (name == "upper") return with_case(text, Case::kUpper, budget);
  if (name == "lower") return with_case(text, Case::kLower, budget);
  if (name == "title") return with_case(text, Case::kTitleLetters, budget);
  if (name == "capitalize") return with_case(text, Case::kCapitalized, budget);
  if (name == "replace") return replace_text(text, arguments, budget);
  if (name == "join") {
    const Value* items = arguments.get(0, "iterable");
    if (items == nullptr) return bad("join() wants a list");
    return join(*items, &text, nullptr, budget);
  }
  if (name == "find" || name == "count") {
    AC_TRY(const MarkedString* part, text_argument(arguments, 0, "sub"));
    if (part == nullptr || part->empty())
      return unsupported(fmt::format("{}() without a string is not supported", name));
    if (name == "find") {
      const size_t hit = text.bytes().find(part->bytes());
      if (hit == std::string_view::npos) return Value(int64_t{-1});
      return Value(static_cast<int64_t>(count_chars(text.bytes().substr(0, hit))));
    }
    int64_t n = 0;
    for (size_t at = 0; (at = text.bytes().find(part->bytes(), at)) != std::string_view::npos;
         at += part->size()) {
      ++n;
    }
    return Value(n);
  }
  if (name == "isdigit") {
    const std::string_view bytes = text.bytes();
    return Value(!bytes.empty() && std::all_of(bytes.begin(), bytes.end(),
                                               [](char c) { return c >= '0' && c <= '9'; }));
  }
  // splitlines
  std::vector<Value> lines;
  const std::string_view bytes = text.bytes();
  for (size_t at = 0; at < bytes.size();) {
    AC_TRY_STATUS(budget.spend(1));
    const size_t end = std::min(bytes.find_first_of("\r\n", at), bytes.size());
    lines.push_back(Value::text(text.slice(at, end)));
    at = end + (bytes.substr(end).starts_with("\r\n") ? 2 : 1);
  }
  return make_list(std::move(lines), budget);
}

}  // namespace ac::text
