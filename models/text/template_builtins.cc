#include "models/text/template_builtins.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "models/text/unicode.h"

namespace ac::text {
namespace {

constexpr int kMaxValueDepth = 64;
constexpr auto kTemplate = MarkedString::Source::kTemplate;

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

Result<Value> strip(const MarkedString& text, const Arguments& arguments, bool left, bool right,
                    Budget& budget) {
  AC_TRY(const MarkedString* chars, text_argument(arguments, 0, "chars"));
  AC_TRY_STATUS(budget.spend_bytes(text.size()));
  const Range range = stripped(text.bytes(), StripSet(chars), left, right);
  return Value::text(text.slice(range.begin, range.end));
}

enum class Case { kUpper, kLower, kCapitalized, kTitleWords, kTitleLetters };

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

Result<Value> dict_items(const Dict& dict, Budget& budget) {
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict.entries) {
    AC_TRY(Value pair, make_list({Value::text(key), value}, budget));
    pairs.push_back(std::move(pair));
  }
  return make_list(std::move(pairs), budget);
}

Result<int64_t> length_of(const Value& value, Budget& budget) {
  if (const auto* text = value.as_text()) {
    AC_TRY_STATUS(budget.spend_bytes(text->size()));
    return static_cast<int64_t>(count_chars(text->bytes()));
  }
  if (const auto* list = value.as_list()) return static_cast<int64_t>(list->items.size());
  if (const auto* dict = value.as_dict()) return static_cast<int64_t>(dict->entries.size());
  if (value.is_undefined()) return 0;
  return bad(fmt::format("{} has no length", value.type_name()));
}

// a.b.c of an element, for selectattr and map.
Value attribute_of(const Value& item, std::string_view path) {
  Value value = item;
  while (!path.empty()) {
    const size_t dot = path.find('.');
    const auto* dict = value.as_dict();
    const Value* found = dict == nullptr ? nullptr : dict->find(path.substr(0, dot));
    if (found == nullptr) return Undefined{std::string(path)};
    value = Value(*found);
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return value;
}

// select, reject, selectattr, rejectattr.
Result<Value> select(const Value& input, const Arguments& arguments, bool by_attribute, bool keep,
                     Budget& budget) {
  size_t next = 0;
  std::string_view attribute;
  if (by_attribute) {
    const Value* name = arguments.get(next++, {});
    if (name == nullptr || name->as_text() == nullptr)
      return bad("the name of an attribute is wanted");
    attribute = name->as_text()->bytes();
  }
  const Value* test = arguments.get(next++, {});
  if (test != nullptr && test->as_text() == nullptr) return bad("the name of a test is wanted");
  Arguments rest;
  for (; next < arguments.positional.size(); ++next) {
    rest.positional.push_back(arguments.positional[next]);
  }
  AC_TRY(const std::vector<Value> items, elements_of(input, budget));
  std::vector<Value> kept;
  for (const Value& item : items) {
    AC_TRY_STATUS(budget.spend(1));
    const Value subject = by_attribute ? attribute_of(item, attribute) : item;
    bool hit = subject.truthy();
    if (test != nullptr) {
      AC_TRY(hit, apply_test(test->as_text()->bytes(), subject, rest, budget));
    }
    if (hit == keep) kept.push_back(item);
  }
  return make_list(std::move(kept), budget);
}

Result<Value> map(const Value& input, const Arguments& arguments, Budget& budget) {
  const Value* attribute = arguments.get(SIZE_MAX, "attribute");
  const Value* filter = arguments.get(0, {});
  if ((attribute == nullptr) == (filter == nullptr)) return bad("map wants a filter or attribute=");
  const Value* name = attribute != nullptr ? attribute : filter;
  if (name->as_text() == nullptr) return bad("map wants a name");
  Arguments rest;
  for (size_t i = 1; i < arguments.positional.size(); ++i) {
    rest.positional.push_back(arguments.positional[i]);
  }
  AC_TRY(const std::vector<Value> items, elements_of(input, budget));
  std::vector<Value> mapped;
  for (const Value& item : items) {
    AC_TRY_STATUS(budget.spend(1));
    if (attribute != nullptr) {
      mapped.push_back(attribute_of(item, name->as_text()->bytes()));
    } else {
      AC_TRY(Value value, apply_filter(name->as_text()->bytes(), item, rest, budget));
      mapped.push_back(std::move(value));
    }
  }
  return make_list(std::move(mapped), budget);
}

Result<Value> to_integer(const Value& input, const Arguments& arguments) {
  int64_t number;
  if (input.as_integer(number)) return Value(number);
  double real;
  if (input.as_real(real) && std::abs(real) < 0x1p62) return Value(static_cast<int64_t>(real));
  if (const auto* text = input.as_text()) {
    const Range range = stripped(text->bytes(), StripSet(nullptr), true, true);
    const char* end = text->bytes().data() + range.end;
    const auto result = std::from_chars(text->bytes().data() + range.begin, end, number);
    if (result.ec == std::errc() && result.ptr == end) return Value(number);
  }
  const Value* otherwise = arguments.get(0, "default");
  return otherwise == nullptr ? Value(int64_t{0}) : *otherwise;
}

Result<Value> reversed(const Value& input, Budget& budget) {
  AC_TRY(std::vector<Value> items, elements_of(input, budget));
  std::reverse(items.begin(), items.end());
  if (input.as_text() == nullptr) return make_list(std::move(items), budget);
  MarkedString out;
  for (const Value& item : items) out.append(*item.as_text());
  return Value::text(std::move(out));
}

}  // namespace

Status Budget::spend(uint64_t steps) {
  if (steps > steps_) {
    steps_ = 0;
    return unsupported("the template does more work than the limit allows");
  }
  steps_ -= steps;
  return {};
}

Status Budget::spend_bytes(uint64_t n_bytes) {
  if (n_bytes > max_bytes_) {
    return unsupported(
        fmt::format("the template makes a text longer than the limit of {} bytes", max_bytes_));
  }
  return spend(n_bytes / 256);
}

const Value* Arguments::get(size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  for (const auto& [each, value] : named) {
    if (each == name) return &value;
  }
  return nullptr;
}

Result<Value> make_list(std::vector<Value> items, Budget& budget) {
  AC_TRY_STATUS(budget.spend_elements(items.size()));
  List list;
  for (const Value& item : items) list.depth = std::max(list.depth, item.depth() + 1);
  if (list.depth > kMaxValueDepth) return unsupported("lists nested this deep are not supported");
  list.items = std::move(items);
  return Value(std::make_shared<const List>(std::move(list)));
}

Result<Value> make_dict(std::vector<std::pair<MarkedString, Value>> entries, Budget& budget) {
  AC_TRY_STATUS(budget.spend_elements(entries.size() * entries.size()));
  Dict dict;
  for (auto& [key, value] : entries) {
    dict.depth = std::max(dict.depth, value.depth() + 1);
    const auto same =
        std::find_if(dict.entries.begin(), dict.entries.end(),
                     [&](const auto& entry) { return entry.first.bytes() == key.bytes(); });
    if (same != dict.entries.end()) {
      same->second = std::move(value);
    } else {
      dict.entries.emplace_back(std::move(key), std::move(value));
    }
  }
  if (dict.depth > kMaxValueDepth)
    return unsupported("mappings nested this deep are not supported");
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

Result<std::vector<Value>> elements_of(const Value& value, Budget& budget) {
  std::vector<Value> items;
  if (const auto* list = value.as_list()) {
    AC_TRY_STATUS(budget.spend_elements(list->items.size()));
    return list->items;
  }
  if (const auto* dict = value.as_dict()) {
    for (const auto& entry : dict->entries) items.push_back(Value::text(entry.first));
    return items;
  }
  if (const auto* text = value.as_text()) {
    AC_TRY_STATUS(budget.spend(text->size()));
    const std::string_view bytes = text->bytes();
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = decode_utf8(bytes.data() + at, bytes.data() + bytes.size()).size;
      items.push_back(Value::text(text->slice(at, at + size)));
      at += size;
    }
    return items;
  }
  if (value.is_undefined()) return items;
  return bad(fmt::format("{} cannot be looped over", value.type_name()));
}

Result<MarkedString> printed(const Value& value, Budget& budget) {
  if (const auto* text = value.as_text()) {
    AC_TRY_STATUS(budget.spend_bytes(text->size()));
    return *text;
  }
  double number;
  if (value.as_real(number)) return MarkedString(number_text(value), kTemplate);
  if (value.is_none()) return MarkedString("None", kTemplate);
  if (value.is_undefined()) return MarkedString();
  return unsupported(fmt::format("printing {} is not supported", value.type_name()));
}

Result<bool> contains(const Value& container, const Value& item, Budget& budget) {
  if (const auto* text = container.as_text()) {
    if (item.as_text() == nullptr)
      return bad(fmt::format("{} cannot be in a string", item.type_name()));
    AC_TRY_STATUS(budget.spend_bytes(text->size()));
    return text->bytes().find(item.as_text()->bytes()) != std::string_view::npos;
  }
  if (const auto* dict = container.as_dict()) {
    return item.as_text() != nullptr && dict->find(item.as_text()->bytes()) != nullptr;
  }
  if (const auto* list = container.as_list()) {
    AC_TRY_STATUS(budget.spend_elements(list->items.size()));
    return std::any_of(list->items.begin(), list->items.end(),
                       [&](const Value& each) { return equal(each, item); });
  }
  if (container.is_undefined()) return false;
  return bad(fmt::format("nothing can be in {}", container.type_name()));
}

Result<Value> apply_filter(std::string_view name, const Value& input, const Arguments& arguments,
                           Budget& budget) {
  if (name == "default" || name == "d") {
    const Value* otherwise = arguments.get(0, "default_value");
    const Value* boolean = arguments.get(1, "boolean");
    const bool replace =
        input.is_undefined() || (boolean != nullptr && boolean->truthy() && !input.truthy());
    if (!replace) return input;
    return otherwise == nullptr ? Value::text({}) : *otherwise;
  }
  if (name == "length" || name == "count") {
    AC_TRY(const int64_t n, length_of(input, budget));
    return Value(n);
  }
  if (name == "tojson") {
    AC_TRY(const int64_t indent, integer_argument(arguments, 1, "indent", -1));
    if (indent > 16) return unsupported("tojson with an indent this wide is not supported");
    MarkedString out;
    if (!append_json(input, static_cast<int>(indent), 0, out)) {
      return bad(fmt::format("{} is not JSON", input.type_name()));
    }
    AC_TRY_STATUS(budget.spend_bytes(out.size()));
    return Value::text(std::move(out));
  }
  if (name == "list") {
    AC_TRY(std::vector<Value> items, elements_of(input, budget));
    return make_list(std::move(items), budget);
  }
  if (name == "first" || name == "last") {
    AC_TRY(const std::vector<Value> items, elements_of(input, budget));
    if (items.empty()) return Value(Undefined{std::string(name)});
    return name == "first" ? items.front() : items.back();
  }
  if (name == "join") {
    AC_TRY(const MarkedString* separator, text_argument(arguments, 0, "d"));
    AC_TRY(const MarkedString* attribute, text_argument(arguments, 1, "attribute"));
    return join(input, separator, attribute, budget);
  }
  if (name == "selectattr") return select(input, arguments, true, true, budget);
  if (name == "rejectattr") return select(input, arguments, true, false, budget);
  if (name == "select") return select(input, arguments, false, true, budget);
  if (name == "reject") return select(input, arguments, false, false, budget);
  if (name == "map") return map(input, arguments, budget);
  if (name == "reverse") return reversed(input, budget);
  if (name == "int") return to_integer(input, arguments);
  if (name == "items") {
    if (input.is_undefined()) return make_list({}, budget);
    if (const auto* dict = input.as_dict()) return dict_items(*dict, budget);
    return bad(fmt::format("{} has no items", input.type_name()));
  }
  // The others are about strings, and take anything that prints.
  constexpr std::array<std::string_view, 8> kOfText = {"trim",  "upper",   "lower",  "capitalize",
                                                       "title", "replace", "string", "safe"};
  if (std::find(kOfText.begin(), kOfText.end(), name) == kOfText.end()) {
    return unsupported(fmt::format("the filter '{}' is not supported", name));
  }
  AC_TRY(const MarkedString text, printed(input, budget));
  if (name == "trim") return strip(text, arguments, true, true, budget);
  if (name == "upper") return with_case(text, Case::kUpper, budget);
  if (name == "lower") return with_case(text, Case::kLower, budget);
  if (name == "capitalize") return with_case(text, Case::kCapitalized, budget);
  if (name == "title") return with_case(text, Case::kTitleWords, budget);
  if (name == "replace") return replace_text(text, arguments, budget);
  return Value::text(text);
}

Result<bool> apply_test(std::string_view name, const Value& input, const Arguments& arguments,
                        Budget& budget) {
  const Value* other = arguments.get(0, {});
  if (name == "defined") return !input.is_undefined();
  if (name == "undefined") return input.is_undefined();
  if (name == "none") return input.is_none();
  if (name == "string") return input.as_text() != nullptr;
  if (name == "mapping") return input.as_dict() != nullptr;
  if (name == "iterable" || name == "sequence") {
    return input.as_text() != nullptr || input.as_list() != nullptr || input.as_dict() != nullptr ||
           input.is_undefined();
  }
  if (name == "boolean") return input.as<bool>() != nullptr;
  if (name == "integer") return input.as<int64_t>() != nullptr;
  if (name == "float") return input.as<double>() != nullptr;
  double number;
  if (name == "number") return input.as_real(number);
  if (name == "true") return input.as<bool>() != nullptr && *input.as<bool>();
  if (name == "false") return input.as<bool>() != nullptr && !*input.as<bool>();
  if (name == "callable") return input.as<Callable>() != nullptr;
  int64_t integer;
  if (name == "odd" || name == "even") {
    if (!input.as_integer(integer))
      return bad(fmt::format("{} is neither odd nor even", input.type_name()));
    return (integer % 2 != 0) == (name == "odd");
  }
  if (other != nullptr) {
    if (name == "equalto" || name == "eq" || name == "==") return equal(input, *other);
    if (name == "ne" || name == "!=") return !equal(input, *other);
    if (name == "in") return contains(*other, input, budget);
    int64_t divisor;
    if (name == "divisibleby" && input.as_integer(integer) && other->as_integer(divisor) &&
        divisor != 0 && divisor != -1) {
      return integer % divisor == 0;
    }
  }
  return unsupported(fmt::format("the test '{}' is not supported", name));
}

namespace {
constexpr std::array<std::string_view, 16> kTextMethods = {
    "strip", "lstrip",     "rstrip",  "split", "startswith", "endswith", "upper",      "lower",
    "title", "capitalize", "replace", "join",  "find",       "count",    "splitlines", "isdigit"};
constexpr std::array<std::string_view, 4> kDictMethods = {"get", "items", "keys", "values"};
}  // namespace

bool is_method(const Value& object, std::string_view name) {
  const auto listed = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return (object.as_text() != nullptr && listed(kTextMethods)) ||
         (object.as_dict() != nullptr && listed(kDictMethods));
}

Result<Value> call_method(const Value& object, std::string_view name, const Arguments& arguments,
                          Budget& budget) {
  if (const auto* dict = object.as_dict()) {
    if (name == "items") return dict_items(*dict, budget);
    if (name == "get") {
      const Value* key = arguments.get(0, "key");
      if (key == nullptr) return bad("get() wants a key");
      const Value* found =
          key->as_text() == nullptr ? nullptr : dict->find(key->as_text()->bytes());
      if (found != nullptr) return *found;
      const Value* otherwise = arguments.get(1, "default");
      return otherwise == nullptr ? Value(None{}) : *otherwise;
    }
    std::vector<Value> parts;
    for (const auto& [key, value] : dict->entries) {
      parts.push_back(name == "keys" ? Value::text(key) : value);
    }
    return make_list(std::move(parts), budget);
  }
  const MarkedString& text = *object.as_text();
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
