// JSON from outside is read through one guarded parse and typed getters; nothing else in the
// project calls the library's parser. Writing is plain nlohmann.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace ac {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

struct JsonLimits {
  uint64_t max_bytes = 8u << 20;
  int max_depth = 32;
};

// Errors: kCorruptFile with line, column and what was expected; also for nesting deeper than the
// limit, duplicate keys in one object, trailing bytes, and text that is not UTF-8.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

// Typed getters on an object. A missing key is kNotFound; another type or a value out of range is
// kCorruptFile. Messages name the key, the type found and the one expected.
const Json* json_find(const Json& object, std::string_view key);  // nullptr when missing or null
Result<std::string> json_string(const Json& object, std::string_view key);
Result<int64_t> json_integer(const Json& object, std::string_view key, int64_t min, int64_t max);
Result<double> json_number(const Json& object, std::string_view key);  // finite
Result<bool> json_bool(const Json& object, std::string_view key);

// One line, invalid UTF-8 replaced, never throws.
std::string json_line(const Json& value);
std::string json_line(const OrderedJson& value);
// `text` as a JSON string literal with its quotes.
std::string json_quote(std::string_view text);

}  // namespace ac
