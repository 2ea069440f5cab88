// manifest.json: what is accepted is written and read back as the same manifest.
#include "models/store/zoo.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto read = ac::manifest_from_json({reinterpret_cast<const char*>(data), size});
  if (!read) return 0;
  const std::string once = ac::manifest_to_json(*read);
  const auto again = ac::manifest_from_json(once);
  FUZZ_CHECK(again.has_value());
  FUZZ_CHECK(ac::manifest_to_json(*again) == once);
  return 0;
}
