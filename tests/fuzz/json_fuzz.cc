// Any bytes as JSON: an error, or a value that reads back from what is written.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "runtime/core/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = ac::parse_json({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  const auto again = ac::parse_json(ac::json_line(*value));
  if (!again || *again != *value) std::abort();
  return 0;
}
