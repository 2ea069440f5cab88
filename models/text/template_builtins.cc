#include "models/text/template_builtins.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "models/text/template_strings.h"
#include "models/text/unicode.h"

namespace ac::text {
namespace {

constexpr int kMaxValueDepth = 64;
constexpr auto kTemplate = MarkedString::Source::kTemplate;

Error bad(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }
Error unsupported(std::string message) {
  return Error{ErrorCode::kUnsupported, std::move(message)};
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
    const std::string_view digits = without_space_around(text->bytes());
    const char* end = digits.data() + digits.size();
    const auto result = std::from_chars(digits.data(), end, number);
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
  for (auto& entry : entries) {
    dict.depth = std::max(dict.depth, entry.second.depth() + 1);
    const auto same =
        std::find_if(dict.entries.begin(), dict.entries.end(),
                     [&](const auto& known) { return known.first.bytes() == entry.first.bytes(); });
    if (same != dict.entries.end()) {
      same->second = std::move(entry.second);
    } else {
      dict.entries.push_back(std::move(entry));
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
  if (name == "trim") return trim(text, arguments, budget);
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
constexpr std::array<std::string_view, 4> kDictMethods = {"get", "items", "keys", "values"};
}  // namespace

bool is_method(const Value& object, std::string_view name) {
  if (object.as_text() != nullptr) return is_text_method(name);
  return object.as_dict() != nullptr &&
         std::find(kDictMethods.begin(), kDictMethods.end(), name) != kDictMethods.end();
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
  return call_text_method(*object.as_text(), name, arguments, budget);
}

}  // namespace ac::text
