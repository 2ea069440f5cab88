#include "models/text/template_value.h"

#include <array>
#include <charconv>
#include <cmath>

#include "models/text/unicode.h"

namespace ac::text {

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name.bytes() == key) return &value;
  }
  return nullptr;
}

bool Value::as_integer(int64_t& out) const {
  if (const auto* b = as<bool>()) {
    out = *b ? 1 : 0;
  } else if (const auto* i = as<int64_t>()) {
    out = *i;
  } else {
    return false;
  }
  return true;
}

bool Value::as_real(double& out) const {
  int64_t integer;
  if (as_integer(integer)) {
    out = static_cast<double>(integer);
  } else if (const auto* d = as<double>()) {
    out = *d;
  } else {
    return false;
  }
  return true;
}

bool Value::truthy() const {
  double number;
  if (as_real(number)) return number != 0;
  if (is_undefined() || is_none()) return false;
  if (const auto* text = as_text()) return !text->empty();
  if (const auto* list = as_list()) return !list->items.empty();
  if (const auto* dict = as_dict()) return !dict->entries.empty();
  return true;
}

std::string_view Value::type_name() const {
  constexpr std::array<std::string_view, 11> kNames = {
      "an undefined value", "none",     "a boolean", "an integer",
      "a number",           "a string", "a list",    "a mapping",
      "a namespace",        "a loop",   "a function"};
  static_assert(kNames.size() == std::variant_size_v<decltype(held)>);
  return kNames[held.index()];
}

int Value::depth() const {
  if (const auto* list = as_list()) return list->depth;
  if (const auto* dict = as_dict()) return dict->depth;
  if (const auto* loop = pointee<Loop>()) return loop->items->depth + 1;
  return 0;
}

bool equal(const Value& a, const Value& b) {
  double x, y;
  if (a.as_real(x) && b.as_real(y)) return x == y;
  if (a.held.index() != b.held.index()) return false;
  if (a.is_none() || a.is_undefined()) return true;
  if (const auto* text = a.as_text()) return text->bytes() == b.as_text()->bytes();
  if (const auto* list = a.as_list()) {
    const auto& other = b.as_list()->items;
    if (list->items.size() != other.size()) return false;
    for (size_t i = 0; i < other.size(); ++i) {
      if (!equal(list->items[i], other[i])) return false;
    }
    return true;
  }
  if (const auto* dict = a.as_dict()) {
    if (dict->entries.size() != b.as_dict()->entries.size()) return false;
    for (const auto& [key, value] : dict->entries) {
      const Value* other = b.as_dict()->find(key.bytes());
      if (other == nullptr || !equal(value, *other)) return false;
    }
    return true;
  }
  if (const auto* space = a.as<std::shared_ptr<Namespace>>()) {
    return *space == *b.as<std::shared_ptr<Namespace>>();
  }
  return false;
}

size_t count_chars(std::string_view text) {
  size_t n = 0;
  for (const char *p = text.data(), *end = p + text.size(); p < end; ++n) {
    p += decode_utf8(p, end).size;
  }
  return n;
}

size_t char_offset(std::string_view text, size_t i) {
  const char* p = text.data();
  const char* end = p + text.size();
  for (; i > 0 && p < end; --i) p += decode_utf8(p, end).size;
  return static_cast<size_t>(p - text.data());
}

std::string number_text(const Value& value) {
  if (const auto* b = value.as<bool>()) return *b ? "True" : "False";
  std::array<char, 32> buffer;
  if (const auto* i = value.as<int64_t>()) {
    return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + 32, *i).ptr};
  }
  const double real = *value.as<double>();
  if (std::isnan(real)) return "nan";
  if (std::isinf(real)) return real > 0 ? "inf" : "-inf";
  std::string text(buffer.data(), std::to_chars(buffer.data(), buffer.data() + 32, real).ptr);
  if (text.find_first_of(".e") == std::string::npos) text.append(".0");
  return text;
}

namespace {

constexpr auto kTemplate = MarkedString::Source::kTemplate;

void append_json_string(const MarkedString& text, MarkedString& out) {
  const std::string_view bytes = text.bytes();
  out.append("\"", kTemplate);
  size_t run = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text, run, i);
    run = i + 1;
    constexpr std::string_view kFrom = "\"\\\n\r\t\b\f";
    constexpr std::string_view kTo = "\"\\nrtbf";
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string escaped = "\\";
    if (const size_t hit = kFrom.find(bytes[i]); hit != std::string_view::npos) {
      escaped.push_back(kTo[hit]);
    } else {
      escaped.append("u00").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    }
    out.append(escaped, text.source_at(i));
  }
  out.append(text, run, bytes.size());
  out.append("\"", kTemplate);
}

void append_line(int indent, int level, MarkedString& out) {
  if (indent < 0) return;
  out.append("\n" + std::string(static_cast<size_t>(indent) * static_cast<size_t>(level), ' '),
             kTemplate);
}

}  // namespace

bool append_json(const Value& value, int indent, int level, MarkedString& out) {
  if (value.is_none()) {
    out.append("null", kTemplate);
  } else if (const auto* b = value.as<bool>()) {
    out.append(*b ? "true" : "false", kTemplate);
  } else if (value.as<int64_t>() != nullptr || value.as<double>() != nullptr) {
    out.append(number_text(value), kTemplate);
  } else if (const auto* text = value.as_text()) {
    append_json_string(*text, out);
  } else if (const auto* list = value.as_list()) {
    out.append("[", kTemplate);
    for (size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) out.append(indent < 0 ? ", " : ",", kTemplate);
      append_line(indent, level + 1, out);
      if (!append_json(list->items[i], indent, level + 1, out)) return false;
    }
    if (!list->items.empty()) append_line(indent, level, out);
    out.append("]", kTemplate);
  } else if (const auto* dict = value.as_dict()) {
    out.append("{", kTemplate);
    for (size_t i = 0; i < dict->entries.size(); ++i) {
      if (i > 0) out.append(indent < 0 ? ", " : ",", kTemplate);
      append_line(indent, level + 1, out);
      append_json_string(dict->entries[i].first, out);
      out.append(": ", kTemplate);
      if (!append_json(dict->entries[i].second, indent, level + 1, out)) return false;
    }
    if (!dict->entries.empty()) append_line(indent, level, out);
    out.append("}", kTemplate);
  } else {
    return false;
  }
  return true;
}

}  // namespace ac::text
