// safetensors: accepts and refuses exactly what the rules, written down a second time, say.
#include "models/store/safetensors_reader.h"
#include "tests/fuzz/fuzz_check.h"
#include "tests/store/safetensors_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ac::test::AlignedCopy input(data, size);
  ac::Checkpoint out;
  const ac::Status status = parse_safetensors(input.bytes(), nullptr, out);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  FUZZ_CHECK(status.has_value() == ac::testing::reference_accepts(text));
  if (!status) return 0;
  for (const auto& [name, view] : out.tensors) {
    unsigned sum = 0;
    for (uint64_t i = 0; i < view.size_bytes; ++i) sum += static_cast<unsigned>(view.data[i]);
    FUZZ_CHECK(sum <= 255 * view.size_bytes);
  }
  return 0;
}
