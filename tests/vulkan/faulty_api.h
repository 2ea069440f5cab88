// Vulkan's loader with faults put in between: the n-th call of some functions fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "shaders/api.h"

namespace ac::test {

enum class Fault { kNone, kNoDriver, kNoDevice, kNoMemory, kBadPipeline, kLostAtSubmit, kLostAtWait };

// From here on call number `at` (from 0) of what the fault concerns fails, and where `for_ever` is set all
// that follow. One at a time for the process.
void plan_fault(Fault fault, int at = 0, bool for_ever = false);
// Whether it has happened.
bool fault_happened();
// How often the function that the fault concerns has been called since.
int fault_calls();
// The device calls itself a discrete one whose memory has so many bytes, of which the driver says (as
// VK_EXT_memory_budget) that `budget` may be used and `used` are, or says nothing. Until it is told otherwise.
struct PretendedMemory {
  uint64_t size = 0;
  std::optional<uint64_t> budget = {};
  uint64_t used = 0;
};
void pretend_discrete(std::optional<PretendedMemory> memory);
const vulkan::Api& faulty_api();

}  // namespace ac::test
