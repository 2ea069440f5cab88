// The values a chat template computes with: a small part of Python's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "models/text/marked_string.h"

namespace ac::text {

struct Value;

struct Undefined {
  std::string name;  // of what was looked up, for messages
};
struct None {};

// Immutable once made; nesting is limited, so that nothing that walks or frees them runs deep.
struct List {
  std::vector<Value> items;
  int depth = 1;
};
struct Dict {
  std::vector<std::pair<MarkedString, Value>> entries;  // in the order of insertion, keys unique
  int depth = 1;
  const Value* find(std::string_view key) const;
};
// The one kind of value that can change: namespace(). Owned by the interpreter, which empties them
// at its end.
struct Namespace {
  std::vector<std::pair<std::string, Value>> entries;
};
// What `loop` is inside a for block.
struct Loop {
  std::shared_ptr<const List> items;
  size_t index0 = 0;
};
struct Callable {
  enum class Kind { kMacro, kRaiseException, kStrftimeNow, kNamespace, kRange, kDict } kind;
  uint32_t macro = 0;  // node
};

struct Value {
  using Text = std::shared_ptr<const MarkedString>;
  std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<const List>,
               std::shared_ptr<const Dict>, std::shared_ptr<Namespace>, std::shared_ptr<const Loop>,
               Callable>
      held;

  Value() = default;
  template <class T>
  Value(T value) : held(std::move(value)) {}  // NOLINT: implicit
  static Value text(MarkedString text) {
    return Value(std::make_shared<const MarkedString>(std::move(text)));
  }

  template <class T>
  const T* as() const {
    return std::get_if<T>(&held);
  }
  const MarkedString* as_text() const { return pointee<MarkedString>(); }
  const List* as_list() const { return pointee<List>(); }
  const Dict* as_dict() const { return pointee<Dict>(); }
  bool is_undefined() const { return as<Undefined>() != nullptr; }
  bool is_none() const { return as<None>() != nullptr; }
  // Numbers, and bool as Python has it.
  bool as_integer(int64_t& out) const;
  bool as_real(double& out) const;

  bool truthy() const;
  std::string_view type_name() const;
  int depth() const;

 private:
  template <class T>
  const T* pointee() const {
    const auto* pointer = std::get_if<std::shared_ptr<const T>>(&held);
    return pointer == nullptr ? nullptr : pointer->get();
  }
};

bool equal(const Value& a, const Value& b);

// Characters as Python counts them; a byte that is not UTF-8 is one.
size_t count_chars(std::string_view text);
// The byte offset of character i. REQUIRES: i <= count_chars(text).
size_t char_offset(std::string_view text, size_t i);

// What Python's str() gives for numbers: "1", "0.5", "True".
std::string number_text(const Value& value);
// Python's json.dumps(value, ensure_ascii=False, indent=indent); indent < 0: one line. False for a
// value that JSON cannot hold.
bool append_json(const Value& value, int indent, int level, MarkedString& out);

}  // namespace ac::text
