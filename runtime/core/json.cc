#include "runtime/core/json.h"

#include <cmath>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

namespace ac {
namespace {

// Walks the text and remembers how far the parser has read, for messages that the parser itself
// does not write (nesting, duplicate keys).
class TrackingIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackingIterator() = default;
  TrackingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  TrackingIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  TrackingIterator operator++(int) {
    TrackingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const TrackingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_ = nullptr;
  const char** furthest_ = nullptr;
};

std::string type_of(const Json& value) {
  if (value.is_number_integer()) return "an integer";
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "true or false";
    default:
      return "a number";
  }
}

// Builds the value bottom-up. The library's parser keeps its own stack on the heap, so that only
// what is built here could become too deep; the library's copy, dump and destructor recurse.
class Builder {
 public:
  Builder(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

  Result<Json> parse() {
    furthest_ = text_.data();
    const TrackingIterator first(text_.data(), &furthest_);
    const TrackingIterator last(text_.data() + text_.size(), &furthest_);
    if (!Json::sax_parse(first, last, this)) return Error{ErrorCode::kCorruptFile, message_};
    return std::move(root_);
  }

  // --- what the library's parser calls; false stops it.
  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return refuse("binary values are not JSON"); }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (stack_.back()->contains(name)) {
      return refuse(fmt::format("key {} occurs twice in one object", json_quote(name)));
    }
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Json::exception& error) {
    std::string_view what = error.what();
    // "[json.exception...] parse error at line 1, column 2: syntax error ...": keep the end.
    if (const size_t at = what.find("syntax error"); at != std::string_view::npos) {
      what.remove_prefix(at);
    } else if (const size_t bracket = what.find("] "); bracket != std::string_view::npos) {
      what.remove_prefix(bracket + 2);
    }
    return refuse_at(position == 0 ? 0 : position - 1, what);
  }

 private:
  template <class T>
  bool add(T&& value) {
    place(Json(std::forward<T>(value)));
    return true;
  }

  Json* place(Json&& value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  bool open(Json&& container) {
    if (stack_.size() >= static_cast<size_t>(max_depth_)) {
      return refuse(fmt::format("nested deeper than {} levels", max_depth_));
    }
    stack_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  bool refuse(std::string_view what) {
    const auto read = static_cast<size_t>(furthest_ - text_.data());
    return refuse_at(read == 0 ? 0 : read - 1, what);
  }

  bool refuse_at(size_t offset, std::string_view what) {
    size_t line = 1;
    size_t line_begin = 0;
    for (size_t i = 0; i < std::min(offset, text_.size()); ++i) {
      if (text_[i] == '\n') {
        ++line;
        line_begin = i + 1;
      }
    }
    message_ = fmt::format("line {}, column {}: {}", line, offset - line_begin + 1, what);
    return false;
  }

  std::string_view text_;
  int max_depth_;
  const char* furthest_ = nullptr;
  Json root_;
  std::vector<Json*> stack_;  // open containers, outermost first
  std::string key_;           // of the value that comes next in an object
  std::string message_;
};

Result<const Json*> require(const Json& object, std::string_view key, std::string_view expected) {
  if (!object.is_object()) {
    return fail(ErrorCode::kCorruptFile, "key '{}' is looked for in {}, expected an object", key,
                type_of(object));
  }
  const auto it = object.find(key);
  if (it == object.end()) return fail(ErrorCode::kNotFound, "key '{}' is missing", key);
  if (it->is_null()) {
    return fail(ErrorCode::kCorruptFile, "key '{}' is null, expected {}", key, expected);
  }
  return &*it;
}

Error wrong_type(std::string_view key, const Json& found, std::string_view expected) {
  return fail(ErrorCode::kCorruptFile, "key '{}' is {}, expected {}", key, type_of(found),
              expected);
}

// Line and paragraph separators end a line of JavaScript, so some readers of events stop there. They
// can be nowhere but inside strings.
void escape_separators(std::string* text) {
  constexpr std::string_view kSeparators = "\xe2\x80";  // U+2028 and U+2029, but for the last byte
  for (size_t at = text->find(kSeparators); at != std::string::npos;
       at = text->find(kSeparators, at + 1)) {
    if (at + 2 >= text->size()) return;
    const char last = (*text)[at + 2];
    if (last == '\xa8' || last == '\xa9') text->replace(at, 3, last == '\xa8' ? "\\u2028" : "\\u2029");
  }
}

template <class AnyJson>
std::string one_line(const AnyJson& value) {
  std::string text = value.dump(-1, ' ', false, AnyJson::error_handler_t::replace);
  escape_separators(&text);
  return text;
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return fail(ErrorCode::kCorruptFile, "JSON of {} bytes, expected at most {}", text.size(),
                limits.max_bytes);
  }
  return Builder(text, limits.max_depth).parse();
}

const Json* json_find(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

Result<std::string> json_string(const Json& object, std::string_view key) {
  AC_TRY(const Json* found, require(object, key, "a string"));
  if (!found->is_string()) return wrong_type(key, *found, "a string");
  return found->get_ref<const std::string&>();
}

Result<int64_t> json_integer(const Json& object, std::string_view key, int64_t min, int64_t max) {
  AC_TRY(const Json* found, require(object, key, "an integer"));
  if (!found->is_number_integer()) return wrong_type(key, *found, "an integer");
  // The library holds positive numbers unsigned: beyond int64 they would come out negative.
  const bool too_large =
      found->is_number_unsigned() && found->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t value = too_large ? 0 : found->get<int64_t>();
  if (too_large || value < min || value > max) {
    return fail(ErrorCode::kCorruptFile, "key '{}' is {}, expected {} to {}", key, one_line(*found),
                min, max);
  }
  return value;
}

Result<double> json_number(const Json& object, std::string_view key) {
  AC_TRY(const Json* found, require(object, key, "a number"));
  if (!found->is_number()) return wrong_type(key, *found, "a number");
  const double value = found->get<double>();
  if (!std::isfinite(value)) {
    return fail(ErrorCode::kCorruptFile, "key '{}' is not a finite number", key);
  }
  return value;
}

Result<bool> json_bool(const Json& object, std::string_view key) {
  AC_TRY(const Json* found, require(object, key, "true or false"));
  if (!found->is_boolean()) return wrong_type(key, *found, "true or false");
  return found->get<bool>();
}

std::string json_line(const Json& value) { return one_line(value); }
std::string json_line(const OrderedJson& value) { return one_line(value); }

std::string json_quote(std::string_view text) { return one_line(Json(text)); }

}  // namespace ac
