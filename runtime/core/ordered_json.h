// json_find for JSON that keeps the order of its fields.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "runtime/core/json.h"

namespace ac {

// nullptr when missing or null, or where `object` is none.
inline const OrderedJson* json_find(const OrderedJson& object, const std::string& key) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

}  // namespace ac
