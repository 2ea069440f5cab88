// Vulkan's loader with faults put in between: the n-th call of some functions fails.
#pragma once

#include <string_view>

#include "shaders/api.h"

namespace ac::test {

enum class Fault { kNone, kNoDriver, kNoDevice, kNoMemory, kBadPipeline, kLostAtSubmit, kLostAtWait };

// From here on call number `at` (from 0) of what the fault concerns fails, and where `for_ever` is set all
// that follow. One at a time for the process.
void plan_fault(Fault fault, int at = 0, bool for_ever = false);
// Whether it has happened.
bool fault_happened();
const vulkan::Api& faulty_api();

}  // namespace ac::test
