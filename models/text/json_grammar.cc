#include "models/text/json_grammar.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "runtime/core/ordered_json.h"

namespace ac {
namespace {

using Sequence = Grammar::Sequence;

constexpr int kMaxDepth = 64;              // of schemas within schemas
constexpr size_t kMaxSymbols = 1 << 20;
constexpr int64_t kMaxUnrolled = 512;      // items or characters that are counted
constexpr int64_t kMostInteger = 999'999'999'999'999;  // 15 digits, which a double holds
constexpr int kMaxDigits = 15;
constexpr int kMaxIndent = 16;

// What says nothing of what is valid.
constexpr std::array<std::string_view, 11> kDescribing = {
    "$schema", "$id",     "$defs",   "definitions", "title",    "description",
    "default", "examples", "$comment", "deprecated", "readOnly"};

// As it stands in JSON without blanks.
std::string written(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

class Compiler {
 public:
  Compiler(Grammar& grammar, const OrderedJson& root) : grammar_(grammar), root_(root) {
    std::vector<Sequence> none = {{}};
    int32_t indent = grammar_.rule_of(none);
    for (int i = 0; i < kMaxIndent; ++i) {
      indent = grammar_.rule_of({{}, grammar_.text(" ") + Sequence{grammar_.rule(indent)}});
    }
    space_ = grammar_.rule(grammar_.rule_of(
        {{}, grammar_.text(" "), grammar_.text("\n") + Sequence{grammar_.rule(indent)}}));
    digit_ = grammar_.any_of(bytes_between('0', '9'));
    make_string();
    make_numbers();
    make_any();
  }

  int32_t any_object() const { return any_object_; }

  // `path`: of the schema, for messages.
  Result<int32_t> rule_for(const OrderedJson& schema, const std::string& path, int depth) {
    if (depth > kMaxDepth || grammar_.n_symbols() > kMaxSymbols) {
      return fail(ErrorCode::kUnsupported, "{}: the schema is too deep or too large", path);
    }
    if (schema.is_boolean() && schema.get<bool>()) return any_value_;
    if (!schema.is_object()) {
      return fail(ErrorCode::kInvalidArgument, "{}: a {}, expected a schema", path,
                  schema.type_name());
    }
    if (const OrderedJson* ref = json_find(schema, "$ref")) {
      AC_TRY_STATUS(only(schema, path, {"$ref"}));
      return rule_for_ref(*ref, path, depth);
    }
    for (const char* name : {"anyOf", "oneOf", "allOf"}) {
      const OrderedJson* parts = json_find(schema, name);
      if (parts == nullptr) continue;
      AC_TRY_STATUS(only(schema, path, {name}));
      return rule_for_parts(*parts, name, path, depth);
    }
    if (schema.contains("const")) {
      AC_TRY_STATUS(only(schema, path, {"const", "type"}));
      return grammar_.rule_of({grammar_.text(written(schema["const"]))});
    }
    if (const OrderedJson* values = json_find(schema, "enum")) {
      AC_TRY_STATUS(only(schema, path, {"enum", "type"}));
      if (!values->is_array() || values->empty()) {
        return fail(ErrorCode::kInvalidArgument, "{}.enum: expected a list", path);
      }
      const int32_t rule = grammar_.add_rule();
      for (const OrderedJson& value : *values) grammar_.add_choice(rule, grammar_.text(written(value)));
      return rule;
    }
    const OrderedJson* type = json_find(schema, "type");
    if (type == nullptr) {
      // What has properties is an object, whether or not it says so.
      if (json_find(schema, "properties") != nullptr) return rule_for_object(schema, path, depth);
      AC_TRY_STATUS(only(schema, path, {}));
      return any_value_;
    }
    if (!type->is_array()) return rule_for_type(*type, schema, path, depth);
    const int32_t rule = grammar_.add_rule();
    for (const OrderedJson& one : *type) {
      AC_TRY(const int32_t choice, rule_for_type(one, schema, path, depth));
      grammar_.add_choice(rule, {grammar_.rule(choice)});
    }
    return rule;
  }

 private:
  Sequence one(int32_t rule) const { return {grammar_.rule(rule)}; }

  // `n` digits at most, none too.
  int32_t digits(int n) {
    int32_t rule = grammar_.rule_of({{}});
    for (int i = 0; i < n; ++i) {
      rule = grammar_.rule_of({{}, Sequence{digit_} + one(rule)});
    }
    return rule;
  }

  void make_string() {
    const auto range = [&](int first, int last) {
      return grammar_.any_of(bytes_between(static_cast<uint8_t>(first), static_cast<uint8_t>(last)));
    };
    ByteSet plain = bytes_between(0x20, 0x7e);
    plain.reset('"');
    plain.reset('\\');
    const Grammar::Symbol more = range(0x80, 0xbf);
    ByteSet hex_digits = bytes_between('0', '9') | bytes_between('a', 'f') | bytes_between('A', 'F');
    const Grammar::Symbol hex = grammar_.any_of(hex_digits);
    hex_ = hex;
    // RFC 3629; and of \u escapes those that are no half of a pair.
    const Sequence escape = grammar_.text("\\");
    ByteSet not_d = hex_digits & ~bytes_of("dD");
    const int32_t unicode = grammar_.rule_of(
        {{grammar_.any_of(not_d), hex, hex, hex},
         {grammar_.any_of(bytes_of("dD")), grammar_.any_of(bytes_between('0', '7')), hex, hex}});
    character_ = grammar_.rule_of({
        {grammar_.any_of(plain)},
        {range(0xc2, 0xdf), more},
        {range(0xe0, 0xe0), range(0xa0, 0xbf), more},
        {range(0xe1, 0xec), more, more},
        {range(0xed, 0xed), range(0x80, 0x9f), more},
        {range(0xee, 0xef), more, more},
        {range(0xf0, 0xf0), range(0x90, 0xbf), more, more},
        {range(0xf1, 0xf3), more, more, more},
        {range(0xf4, 0xf4), range(0x80, 0x8f), more, more},
        escape + Sequence{grammar_.any_of(bytes_of("\"\\/bfnrt"))},
        escape + grammar_.text("u") + one(unicode),
    });
    const int32_t characters = grammar_.add_rule();
    grammar_.add_choice(characters, {});
    grammar_.add_choice(characters, one(character_) + one(characters));
    string_ = grammar_.rule_of({grammar_.text("\"") + one(characters) + grammar_.text("\"")});
  }

  void make_numbers() {
    const Grammar::Symbol first = grammar_.any_of(bytes_between('1', '9'));
    natural_ = grammar_.rule_of({grammar_.text("0"), Sequence{first} + one(digits(kMaxDigits - 1))});
    const int32_t fraction = grammar_.rule_of(
        {{}, grammar_.text(".") + Sequence{digit_} + one(digits(kMaxDigits - 1))});
    const int32_t sign = grammar_.rule_of({{}, grammar_.text("+"), grammar_.text("-")});
    const int32_t exponent =
        grammar_.rule_of({{},
                          Sequence{grammar_.any_of(bytes_of("eE"))} + one(sign) +
                              Sequence{digit_} + one(digits(1))});
    const Sequence positive = one(natural_) + one(fraction) + one(exponent);
    positive_number_ = grammar_.rule_of({positive});
    number_ = grammar_.rule_of({positive, grammar_.text("-") + positive});
  }

  // A list of `item`s, none too, within `open` and `close`.
  Sequence list(std::string_view open, const Sequence& item, std::string_view close) {
    const int32_t rest = grammar_.add_rule();
    grammar_.add_choice(rest, {});
    grammar_.add_choice(rest, grammar_.text(",") + Sequence{space_} + item + one(rest));
    const int32_t inside = grammar_.rule_of({{}, item + one(rest)});
    return grammar_.text(open) + Sequence{space_} + one(inside) + Sequence{space_} +
           grammar_.text(close);
  }

  void make_any() {
    any_value_ = grammar_.add_rule();
    any_object_ = grammar_.rule_of(
        {list("{", one(string_) + grammar_.text(":") + Sequence{space_} + one(any_value_), "}")});
    any_array_ = grammar_.rule_of({list("[", one(any_value_), "]")});
    for (const int32_t rule : {string_, number_, any_object_, any_array_}) {
      grammar_.add_choice(any_value_, one(rule));
    }
    for (const char* word : {"true", "false", "null"}) {
      grammar_.add_choice(any_value_, grammar_.text(word));
    }
  }

  // Errors: kUnsupported naming what is neither in `known` nor merely describes.
  Status only(const OrderedJson& schema, const std::string& path,
              std::initializer_list<std::string_view> known) const {
    for (const auto& entry : schema.items()) {
      const std::string& key = entry.key();
      const auto is = [&key](std::string_view name) { return key == name; };
      if (std::any_of(known.begin(), known.end(), is)) continue;
      if (std::any_of(kDescribing.begin(), kDescribing.end(), is)) continue;
      return fail(ErrorCode::kUnsupported, "{}: '{}' cannot be honoured", path, key);
    }
    return {};
  }

  Result<int32_t> rule_for_ref(const OrderedJson& ref, const std::string& path, int depth) {
    const auto* text = ref.get_ptr<const std::string*>();
    if (text == nullptr || !text->starts_with("#")) {
      return fail(ErrorCode::kUnsupported, "{}.$ref: expected a place in the schema, '#/...'", path);
    }
    const auto known = refs_.find(*text);
    if (known != refs_.end()) return known->second;
    // Checked by hand: the library's pointers throw.
    const OrderedJson* at = &root_;
    std::string_view rest = std::string_view(*text).substr(1);
    while (!rest.empty() && at != nullptr) {
      rest.remove_prefix(1);
      const size_t end = std::min(rest.find('/'), rest.size());
      at = json_find(*at, std::string(rest.substr(0, end)));
      rest.remove_prefix(end);
    }
    if (at == nullptr) {
      return fail(ErrorCode::kInvalidArgument, "{}.$ref: there is nothing at '{}'", path, *text);
    }
    // It may refer to itself from within.
    const int32_t rule = grammar_.add_rule();
    refs_.emplace(*text, rule);
    AC_TRY(const int32_t meant, rule_for(*at, *text, depth + 1));
    if (meant == rule) {
      return fail(ErrorCode::kInvalidArgument, "{}: refers to itself and nothing else", *text);
    }
    grammar_.add_choice(rule, one(meant));
    return rule;
  }

  Result<int32_t> rule_for_parts(const OrderedJson& parts, std::string_view name, const std::string& path,
                                 int depth) {
    const std::string here = fmt::format("{}.{}", path, name);
    if (!parts.is_array() || parts.empty()) {
      return fail(ErrorCode::kInvalidArgument, "{}: expected a list of schemas", here);
    }
    if (name == "allOf" && parts.size() > 1) {
      return fail(ErrorCode::kUnsupported, "{}: more than one cannot be honoured", here);
    }
    const int32_t rule = grammar_.add_rule();
    for (size_t i = 0; i < parts.size(); ++i) {
      AC_TRY(const int32_t choice, rule_for(parts[i], fmt::format("{}[{}]", here, i), depth + 1));
      grammar_.add_choice(rule, one(choice));
    }
    return rule;
  }

  Result<int32_t> rule_for_type(const OrderedJson& type, const OrderedJson& schema, const std::string& path,
                                int depth) {
    if (type == "object") return rule_for_object(schema, path, depth);
    if (type == "array") return rule_for_array(schema, path, depth);
    if (type == "string") return rule_for_string(schema, path);
    if (type == "integer") return rule_for_integer(schema, path);
    if (type == "number") return rule_for_number(schema, path);
    if (type == "boolean") return grammar_.rule_of({grammar_.text("true"), grammar_.text("false")});
    if (type == "null") return grammar_.rule_of({grammar_.text("null")});
    return fail(ErrorCode::kInvalidArgument, "{}.type: {} is no type", path, written(type));
  }

  Result<int32_t> rule_for_object(const OrderedJson& schema, const std::string& path, int depth) {
    AC_TRY_STATUS(only(schema, path,
                       {"type", "properties", "required", "additionalProperties"}));
    const OrderedJson* properties = json_find(schema, "properties");
    const OrderedJson* more = json_find(schema, "additionalProperties");
    std::set<std::string> required;
    if (const OrderedJson* names = json_find(schema, "required")) {
      if (!names->is_array()) {
        return fail(ErrorCode::kInvalidArgument, "{}.required: expected a list", path);
      }
      for (const OrderedJson& name : *names) {
        if (!name.is_string()) {
          return fail(ErrorCode::kInvalidArgument, "{}.required: expected names", path);
        }
        required.insert(name.get<std::string>());
      }
    }
    if (properties == nullptr || properties->empty()) {
      if (!required.empty()) {
        return fail(ErrorCode::kUnsupported, "{}.required: '{}' is not in properties", path,
                    *required.begin());
      }
      if (more != nullptr && more->is_boolean() && !more->get<bool>()) {
        return grammar_.rule_of({grammar_.text("{}")});
      }
      if (more == nullptr || more->is_boolean()) return any_object_;
      AC_TRY(const int32_t value, rule_for(*more, path + ".additionalProperties", depth + 1));
      return grammar_.rule_of(
          {list("{", one(string_) + grammar_.text(":") + Sequence{space_} + one(value), "}")});
    }
    if (!properties->is_object()) {
      return fail(ErrorCode::kInvalidArgument, "{}.properties: expected an object", path);
    }
    struct Property {
      Sequence written;
      bool required = false;
    };
    std::vector<Property> in_order;
    for (const auto& [name, of_property] : properties->items()) {
      AC_TRY(const int32_t value, rule_for(of_property, path + "." + name, depth + 1));
      in_order.push_back({grammar_.text(json_quote(name) + ":") + Sequence{space_} + one(value),
                          required.erase(name) > 0});
    }
    if (!required.empty()) {
      return fail(ErrorCode::kUnsupported, "{}.required: '{}' is not in properties", path,
                  *required.begin());
    }
    // From the last to the first: what may follow, with and without something before it.
    int32_t first = grammar_.rule_of({{}}), later = first;
    for (size_t i = in_order.size(); i-- > 0;) {
      const Sequence after = in_order[i].written + one(later);
      std::vector<Sequence> as_first = {after};
      std::vector<Sequence> as_later = {grammar_.text(",") + Sequence{space_} + after};
      if (!in_order[i].required) {
        as_first.push_back(one(first));
        as_later.push_back(one(later));
      }
      first = grammar_.rule_of(as_first);
      later = grammar_.rule_of(as_later);
    }
    return grammar_.rule_of({grammar_.text("{") + Sequence{space_} + one(first) +
                             Sequence{space_} + grammar_.text("}")});
  }

  // A bound that is a whole number; `missing` where there is none. Errors: kUnsupported.
  Result<int64_t> count(const OrderedJson& schema, const char* name, const std::string& path, int64_t missing,
                        int64_t most) const {
    const OrderedJson* value = json_find(schema, name);
    if (value == nullptr) return missing;
    if (!value->is_number_integer() || value->get<int64_t>() < 0 || value->get<int64_t>() > most) {
      return fail(ErrorCode::kUnsupported, "{}.{}: {}, expected a whole number from 0 to {}", path,
                  name, written(*value), most);
    }
    return value->get<int64_t>();
  }

  Result<int32_t> rule_for_array(const OrderedJson& schema, const std::string& path, int depth) {
    AC_TRY_STATUS(only(schema, path, {"type", "items", "minItems", "maxItems"}));
    int32_t item = any_value_;
    if (const OrderedJson* items = json_find(schema, "items")) {
      AC_TRY(item, rule_for(*items, path + ".items", depth + 1));
    }
    AC_TRY(const int64_t least, count(schema, "minItems", path, 0, kMaxUnrolled));
    AC_TRY(const int64_t most, count(schema, "maxItems", path, -1, kMaxUnrolled));
    if (most >= 0 && most < least) {
      return fail(ErrorCode::kInvalidArgument, "{}: maxItems is less than minItems", path);
    }
    if (least == 0 && most < 0) return grammar_.rule_of({list("[", one(item), "]")});
    const Sequence comma = grammar_.text(",") + Sequence{space_};
    // What may follow the first item.
    int32_t rest = 0;
    if (most < 0) {
      rest = grammar_.add_rule();
      grammar_.add_choice(rest, {});
      grammar_.add_choice(rest, comma + one(item) + one(rest));
    } else {
      rest = grammar_.rule_of({{}});
      for (int64_t i = std::max<int64_t>(least, 1); i < most; ++i) {
        rest = grammar_.rule_of({{}, comma + one(item) + one(rest)});
      }
    }
    for (int64_t i = 1; i < least; ++i) rest = grammar_.rule_of({comma + one(item) + one(rest)});
    std::vector<Sequence> inside;
    if (most != 0) inside.push_back(one(item) + one(rest));
    if (least == 0) inside.push_back({});
    return grammar_.rule_of({grammar_.text("[") + Sequence{space_} + one(grammar_.rule_of(inside)) +
                             Sequence{space_} + grammar_.text("]")});
  }

  Result<int32_t> rule_for_string(const OrderedJson& schema, const std::string& path) {
    if (const OrderedJson* format = json_find(schema, "format")) {
      AC_TRY_STATUS(only(schema, path, {"type", "format"}));
      return rule_for_format(*format, path);
    }
    AC_TRY_STATUS(only(schema, path, {"type", "minLength", "maxLength"}));
    AC_TRY(const int64_t least, count(schema, "minLength", path, 0, kMaxUnrolled));
    AC_TRY(const int64_t most, count(schema, "maxLength", path, -1, kMaxUnrolled));
    if (least == 0 && most < 0) return string_;
    if (most >= 0 && most < least) {
      return fail(ErrorCode::kInvalidArgument, "{}: maxLength is less than minLength", path);
    }
    int32_t rest = 0;
    if (most < 0) {
      rest = grammar_.add_rule();
      grammar_.add_choice(rest, {});
      grammar_.add_choice(rest, one(character_) + one(rest));
    } else {
      rest = grammar_.rule_of({{}});
      for (int64_t i = least; i < most; ++i) {
        rest = grammar_.rule_of({{}, one(character_) + one(rest)});
      }
    }
    for (int64_t i = 0; i < least; ++i) rest = grammar_.rule_of({one(character_) + one(rest)});
    return grammar_.rule_of({grammar_.text("\"") + one(rest) + grammar_.text("\"")});
  }

  // RFC 3339 and RFC 4122, as far as digits go: the thirty-first of February is not found out.
  Result<int32_t> rule_for_format(const OrderedJson& format, const std::string& path) {
    const auto digit = [&](char first, char last) {
      return grammar_.any_of(
          bytes_between(static_cast<uint8_t>(first), static_cast<uint8_t>(last)));
    };
    const Grammar::Symbol any = digit_;
    const int32_t month =
        grammar_.rule_of({grammar_.text("0") + Sequence{digit('1', '9')},
                          grammar_.text("1") + Sequence{digit('0', '2')}});
    const int32_t day = grammar_.rule_of({grammar_.text("0") + Sequence{digit('1', '9')},
                                          {digit('1', '2'), any},
                                          grammar_.text("3") + Sequence{digit('0', '1')}});
    const Sequence date = Sequence{any, any, any, any} + grammar_.text("-") + one(month) +
                          grammar_.text("-") + one(day);
    const int32_t hour =
        grammar_.rule_of({{digit('0', '1'), any}, grammar_.text("2") + Sequence{digit('0', '3')}});
    const Sequence minute = {digit('0', '5'), any};
    const int32_t zone = grammar_.rule_of(
        {grammar_.text("Z"), Sequence{grammar_.any_of(bytes_of("+-"))} + one(hour) +
                                 grammar_.text(":") + minute});
    const Sequence time = one(hour) + grammar_.text(":") + minute + grammar_.text(":") + minute +
                          one(zone);
    const auto quoted = [&](const Sequence& inside) {
      return grammar_.rule_of({grammar_.text("\"") + inside + grammar_.text("\"")});
    };
    if (format == "date") return quoted(date);
    if (format == "time") return quoted(time);
    if (format == "date-time") return quoted(date + grammar_.text("T") + time);
    if (format == "uuid") {
      Sequence uuid;
      for (const int n : {8, 4, 4, 4, 12}) {
        if (!uuid.empty()) uuid = uuid + grammar_.text("-");
        uuid.insert(uuid.end(), static_cast<size_t>(n), hex_);
      }
      return quoted(uuid);
    }
    return fail(ErrorCode::kUnsupported,
                "{}.format: {} cannot be honoured; date, time, date-time and uuid can", path,
                written(format));
  }

  // Whole numbers of as many digits as `low`, from `low` to `high`, which has as many.
  int32_t between(std::string_view low, std::string_view high) {
    const bool any = low.find_first_not_of('0') == std::string_view::npos &&
                     high.find_first_not_of('9') == std::string_view::npos;
    if (any) return grammar_.rule_of({Sequence(low.size(), digit_)});
    const std::string zeros(low.size() - 1, '0'), nines(low.size() - 1, '9');
    const auto digit = [&](char first, char last) {
      return grammar_.any_of(
          bytes_between(static_cast<uint8_t>(first), static_cast<uint8_t>(last)));
    };
    const char a = low[0], b = high[0];
    std::vector<Sequence> choices;
    if (a == b) {
      return grammar_.rule_of({Sequence{digit(a, a)} + one(between(low.substr(1), high.substr(1)))});
    }
    choices.push_back(Sequence{digit(a, a)} + one(between(low.substr(1), nines)));
    choices.push_back(Sequence{digit(b, b)} + one(between(zeros, high.substr(1))));
    if (a + 1 < b) {
      choices.push_back(Sequence{digit(static_cast<char>(a + 1), static_cast<char>(b - 1))} +
                        Sequence(low.size() - 1, digit_));
    }
    return grammar_.rule_of(choices);
  }

  // 0 <= low <= high.
  void add_naturals(int64_t low, int64_t high, const Sequence& before, std::vector<Sequence>& out) {
    if (low == 0) {
      out.push_back(before + grammar_.text("0"));
      low = 1;
    }
    for (int64_t first = 1; first <= high; first *= 10) {
      const int64_t from = std::max(low, first), to = std::min(high, 10 * first - 1);
      if (from > to) continue;
      out.push_back(before + one(between(std::to_string(from), std::to_string(to))));
    }
  }

  Result<int32_t> rule_for_integer(const OrderedJson& schema, const std::string& path) {
    AC_TRY_STATUS(only(schema, path, {"type", "minimum", "maximum", "exclusiveMinimum",
                                      "exclusiveMaximum"}));
    int64_t low = -kMostInteger, high = kMostInteger;
    for (const auto& [name, is_low, step] :
         {std::tuple{"minimum", true, 0}, {"exclusiveMinimum", true, 1}, {"maximum", false, 0},
          {"exclusiveMaximum", false, -1}}) {
      const OrderedJson* value = json_find(schema, name);
      if (value == nullptr) continue;
      if (!value->is_number()) {
        return fail(ErrorCode::kInvalidArgument, "{}.{}: expected a number", path, name);
      }
      // Beyond 15 digits nothing is written anyway.
      const double bound = std::clamp(value->get<double>(), -1e15, 1e15);
      const auto whole = static_cast<int64_t>(is_low ? std::ceil(bound) : std::floor(bound));
      const bool is_exact = static_cast<double>(whole) == bound;
      const int64_t limit = whole + (is_exact ? step : 0);
      low = is_low ? std::max(low, limit) : low;
      high = is_low ? high : std::min(high, limit);
    }
    if (low > high) return fail(ErrorCode::kInvalidArgument, "{}: no whole number fits", path);
    std::vector<Sequence> choices;
    if (high >= 0) add_naturals(std::max<int64_t>(low, 0), high, {}, choices);
    if (low < 0) {
      add_naturals(std::max<int64_t>(-high, 1), -low, grammar_.text("-"), choices);
    }
    return grammar_.rule_of(choices);
  }

  Result<int32_t> rule_for_number(const OrderedJson& schema, const std::string& path) {
    AC_TRY_STATUS(only(schema, path, {"type", "minimum"}));
    const OrderedJson* least = json_find(schema, "minimum");
    if (least == nullptr) return number_;
    if (*least == 0) return positive_number_;
    return fail(ErrorCode::kUnsupported, "{}.minimum: {}, expected 0 or an integer's", path,
                written(*least));
  }

  Grammar& grammar_;
  const OrderedJson& root_;
  std::map<std::string, int32_t> refs_;
  Grammar::Symbol space_, digit_, hex_;
  int32_t character_ = 0, string_ = 0, natural_ = 0, number_ = 0, positive_number_ = 0;
  int32_t any_value_ = 0, any_object_ = 0, any_array_ = 0;
};

}  // namespace

std::shared_ptr<const Grammar> json_object_grammar() {
  auto grammar = std::make_shared<Grammar>();
  const OrderedJson none;
  const Compiler compiler(*grammar, none);
  grammar->set_root(compiler.any_object());
  return grammar;
}

Result<std::shared_ptr<const Grammar>> json_schema_grammar(const OrderedJson& schema) {
  auto grammar = std::make_shared<Grammar>();
  Compiler compiler(*grammar, schema);
  AC_TRY(const int32_t root, compiler.rule_for(schema, "schema", 0));
  grammar->set_root(root);
  return std::shared_ptr<const Grammar>(std::move(grammar));
}

}  // namespace ac
