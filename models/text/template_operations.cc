#include "models/text/template_operations.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

namespace ac::text {
namespace {

Error bad(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }
Error unsupported(std::string message) {
  return Error{ErrorCode::kUnsupported, std::move(message)};
}

Result<Value> loop_attribute(const Loop& loop, std::string_view name) {
  const size_t n = loop.items->items.size();
  const auto integer = [](size_t i) { return Value(static_cast<int64_t>(i)); };
  if (name == "index") return integer(loop.index0 + 1);
  if (name == "index0") return integer(loop.index0);
  if (name == "revindex") return integer(n - loop.index0);
  if (name == "revindex0") return integer(n - loop.index0 - 1);
  if (name == "length") return integer(n);
  if (name == "first") return Value(loop.index0 == 0);
  if (name == "last") return Value(loop.index0 + 1 == n);
  if (name == "previtem") {
    return loop.index0 == 0 ? Value(Undefined{"loop.previtem"})
                            : loop.items->items[loop.index0 - 1];
  }
  if (name == "nextitem") {
    return loop.index0 + 1 == n ? Value(Undefined{"loop.nextitem"})
                                : loop.items->items[loop.index0 + 1];
  }
  return unsupported(fmt::format("loop.{} is not supported", name));
}

}  // namespace

Error undefined(const Value& value) {
  return bad(fmt::format("'{}' is undefined", value.as<Undefined>()->name));
}

Result<Value> attribute(const Value& object, const std::string& name) {
  if (object.is_undefined()) return undefined(object);
  if (const auto* dict = object.as_dict()) {
    if (const Value* found = dict->find(name)) return *found;
  } else if (const auto* space = object.as<std::shared_ptr<Namespace>>()) {
    for (const auto& [each, value] : (*space)->entries) {
      if (each == name) return value;
    }
  } else if (const auto* state = object.as<std::shared_ptr<const Loop>>()) {
    return loop_attribute(**state, name);
  }
  if (is_method(object, name))
    return unsupported(fmt::format("the method '{}' without a call is not supported", name));
  return Value(Undefined{name});
}

Result<Value> item(const Value& object, const Value& index, Budget& budget) {
  if (object.is_undefined()) return undefined(object);
  if (const auto* name = index.as_text()) {
    if (name->bytes().starts_with('_')) {
      return unsupported(fmt::format("the attribute '{}' is not supported", name->bytes()));
    }
    if (object.as_dict() != nullptr) {
      const Value* found = object.as_dict()->find(name->bytes());
      return found != nullptr ? *found : Value(Undefined{std::string(name->bytes())});
    }
    return attribute(object, std::string(name->bytes()));
  }
  int64_t i;
  if (!index.as_integer(i)) return Value(Undefined{"an element"});
  const auto* list = object.as_list();
  const auto* text = object.as_text();
  if (list == nullptr && text == nullptr) return Value(Undefined{"an element"});
  if (text != nullptr) AC_TRY_STATUS(budget.spend_bytes(text->size()));
  const auto size =
      static_cast<int64_t>(list != nullptr ? list->items.size() : count_chars(text->bytes()));
  if (i < 0) i += size;
  if (i < 0 || i >= size) return Value(Undefined{"an element"});
  if (list != nullptr) return list->items[static_cast<size_t>(i)];
  const size_t begin = char_offset(text->bytes(), static_cast<size_t>(i));
  return Value::text(text->slice(begin, begin + char_offset(text->bytes().substr(begin), 1)));
}

// Python's rules for [from:to:step].
Result<Value> slice(const std::vector<Value>& parts, Budget& budget) {
  const Value& object = parts[0];
  if (object.is_undefined()) return undefined(object);
  const auto* list = object.as_list();
  const auto* text = object.as_text();
  if (list == nullptr && text == nullptr)
    return bad(fmt::format("{} has no slices", object.type_name()));
  if (text != nullptr) AC_TRY_STATUS(budget.spend_bytes(text->size()));
  const auto size =
      static_cast<int64_t>(list != nullptr ? list->items.size() : count_chars(text->bytes()));
  int64_t step = 1;
  if (!parts[3].is_none() && (!parts[3].as_integer(step) || step == 0))
    return bad("a slice wants a step that is not 0");
  step = std::clamp<int64_t>(step, -size - 1, size + 1);
  int64_t bounds[2] = {step > 0 ? 0 : size - 1, step > 0 ? size : -1};
  for (size_t b = 0; b < 2; ++b) {
    if (parts[b + 1].is_none()) continue;
    int64_t i;
    if (!parts[b + 1].as_integer(i)) return bad("a slice wants integers");
    if (i < 0) i = i < -size ? -1 : i + size;  // -1: in front of all
    bounds[b] = step > 0 ? std::clamp<int64_t>(i, 0, size) : std::clamp<int64_t>(i, -1, size - 1);
  }
  if (text != nullptr && step == 1) {
    const size_t begin = char_offset(text->bytes(), static_cast<size_t>(bounds[0]));
    const size_t end =
        char_offset(text->bytes(), static_cast<size_t>(std::max(bounds[0], bounds[1])));
    return Value::text(text->slice(begin, end));
  }
  AC_TRY(const std::vector<Value> all, elements_of(object, budget));
  std::vector<Value> kept;
  for (int64_t i = bounds[0]; step > 0 ? i < bounds[1] : i > bounds[1]; i += step) {
    kept.push_back(all[static_cast<size_t>(i)]);
  }
  if (list != nullptr) return make_list(std::move(kept), budget);
  MarkedString out;
  for (const Value& c : kept) out.append(*c.as_text());
  return Value::text(std::move(out));
}

Result<bool> compare(const Value& a, const Value& b, char letter, Budget& budget) {
  if (const auto* text = a.as_text()) AC_TRY_STATUS(budget.spend_bytes(text->size()));
  if (const auto* list = a.as_list()) AC_TRY_STATUS(budget.spend_elements(list->items.size()));
  switch (letter) {
    case '=':
      return equal(a, b);
    case '!':
      return !equal(a, b);
    case 'i':
      return contains(b, a, budget);
    case 'n': {
      AC_TRY(const bool in, contains(b, a, budget));
      return !in;
    }
    default:
      break;
  }
  double x = 0;
  double y = 0;
  if (!a.as_real(x) || !b.as_real(y)) {
    if (a.as_text() == nullptr || b.as_text() == nullptr) {
      return bad(fmt::format("{} and {} have no order", a.type_name(), b.type_name()));
    }
    // UTF-8 sorts as its characters do.
    x = a.as_text()->bytes().compare(b.as_text()->bytes());
  }
  switch (letter) {
    case '<':
      return x < y;
    case 'l':
      return x <= y;
    case '>':
      return x > y;
    default:
      return x >= y;
  }
}

Result<Value> sum(const Value& a, const Value& b, char op, Budget& budget) {
  int64_t i, j;
  if (a.as_integer(i) && b.as_integer(j)) {
    int64_t result;
    const bool overflow =
        op == '+' ? __builtin_add_overflow(i, j, &result) : __builtin_sub_overflow(i, j, &result);
    if (overflow) return unsupported("an integer this large is not supported");
    return Value(result);
  }
  double x, y;
  if (a.as_real(x) && b.as_real(y)) return Value(op == '+' ? x + y : x - y);
  if (op == '+' && a.as_text() != nullptr && b.as_text() != nullptr) {
    AC_TRY_STATUS(budget.spend_bytes(a.as_text()->size() + b.as_text()->size()));
    MarkedString text = *a.as_text();
    text.append(*b.as_text());
    return Value::text(std::move(text));
  }
  if (op == '+' && a.as_list() != nullptr && b.as_list() != nullptr) {
    std::vector<Value> items = a.as_list()->items;
    items.insert(items.end(), b.as_list()->items.begin(), b.as_list()->items.end());
    return make_list(std::move(items), budget);
  }
  if (a.is_undefined()) return undefined(a);
  if (b.is_undefined()) return undefined(b);
  return bad(fmt::format("{} {} {} makes no sense", a.type_name(), op == '+' ? "plus" : "minus",
                         b.type_name()));
}

Result<Value> product(const Value& a, const Value& b, char op, Budget& budget) {
  int64_t i, j;
  double x, y;
  if (op == '*' && a.as_text() != nullptr && b.as_integer(j)) {
    const auto times = static_cast<uint64_t>(std::clamp<int64_t>(j, 0, 1 << 20));
    AC_TRY_STATUS(budget.spend_bytes(a.as_text()->size() * times));
    AC_TRY_STATUS(budget.spend(times));
    MarkedString text;
    for (uint64_t k = 0; k < times; ++k) text.append(*a.as_text());
    return Value::text(std::move(text));
  }
  if (!a.as_real(x) || !b.as_real(y)) {
    return bad(
        fmt::format("{} and {} cannot be multiplied or divided", a.type_name(), b.type_name()));
  }
  if (op != '*' && y == 0) return bad("division by zero");
  if (op == '/') return Value(x / y);
  if (!a.as_integer(i) || !b.as_integer(j)) {
    if (op == '*') return Value(x * y);
    const double floor = std::floor(x / y);
    return Value(op == 'f' ? floor : x - floor * y);
  }
  int64_t result;
  if (op == '*') {
    if (__builtin_mul_overflow(i, j, &result))
      return unsupported("an integer this large is not supported");
    return Value(result);
  }
  if (j == -1) {  // the one divisor whose quotient may not fit
    if (i == INT64_MIN) return unsupported("an integer this large is not supported");
    return Value(op == 'f' ? -i : int64_t{0});
  }
  // Python rounds down; the remainder has the sign of the divisor.
  const bool down = i % j != 0 && ((i % j < 0) != (j < 0));
  return Value(op == 'f' ? i / j - (down ? 1 : 0) : i % j + (down ? j : 0));
}

Result<Value> range(const Arguments& arguments, Budget& budget) {
  int64_t parts[3] = {0, 0, 1};  // from, to, step
  const size_t n = arguments.positional.size();
  if (n < 1 || n > 3 || !arguments.named.empty()) return bad("range() wants one to three integers");
  for (size_t i = 0; i < n; ++i) {
    if (!arguments.positional[i].as_integer(parts[n == 1 ? 1 : i]))
      return bad("range() wants integers");
  }
  constexpr int64_t kFar = int64_t{1} << 40;
  if (parts[2] == 0 ||
      std::any_of(parts, parts + 3, [](int64_t p) { return p > kFar || p < -kFar; })) {
    return bad("range() wants smaller integers and a step that is not 0");
  }
  std::vector<Value> items;
  for (int64_t i = parts[0]; parts[2] > 0 ? i < parts[1] : i > parts[1]; i += parts[2]) {
    AC_TRY_STATUS(budget.spend(1));
    items.emplace_back(i);
  }
  return make_list(std::move(items), budget);
}

Result<Value> strftime_now(const Arguments& arguments, const Clock& clock) {
  const Value* format = arguments.get(0, "format");
  if (format == nullptr || format->as_text() == nullptr)
    return bad("strftime_now() wants a format");
  const std::string pattern(format->as_text()->bytes());
  if (pattern.size() > 64) return unsupported("a date format this long is not supported");
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') continue;
    constexpr std::string_view kKnown = "aAbBdHIjmMpSyY%";
    if (++i == pattern.size() || kKnown.find(pattern[i]) == std::string_view::npos) {
      return unsupported(fmt::format("the date format '{}' is not supported", pattern));
    }
  }
  const std::time_t seconds = std::chrono::system_clock::to_time_t(clock.wall_now());
  std::tm parts{};
  localtime_r(&seconds, &parts);
  std::array<char, 1024> text;
  const size_t size = std::strftime(text.data(), text.size(), pattern.c_str(), &parts);
  return Value::text(
      MarkedString(std::string_view(text.data(), size), MarkedString::Source::kTemplate));
}

}  // namespace ac::text
