// Any GGUF file as a training state: a message, or a state whose arrays fit each other and are
// finite.
#include <cmath>

#include "models/store/gguf.h"
#include "models/train/train_state.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ac::test::AlignedCopy input(data, size);
  auto file = ac::parse_gguf(input.bytes(), nullptr, "fuzz");
  if (!file) return 0;
  const auto state = ac::parse_train_state(std::move(*file));
  if (!state) return 0;
  FUZZ_CHECK(state->mean.size() == state->parameters->size());
  FUZZ_CHECK(state->square.size() == state->parameters->size());
  for (const float value : state->parameters->values()) FUZZ_CHECK(std::isfinite(value));
  for (const float value : state->square) FUZZ_CHECK(std::isfinite(value) && value >= 0);
  for (const float value : state->mean) FUZZ_CHECK(std::isfinite(value));
  FUZZ_CHECK(state->place.step >= 0 && state->place.n_tokens >= 0);
  return 0;
}
