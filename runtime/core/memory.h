// How much memory there is to take.
#pragma once

#include <cstdint>

namespace ac {

// Bytes that this process could take without swapping: what the machine has available, or less where
// its control group allows less. UINT64_MAX where the system does not say.
uint64_t available_memory_bytes();

}  // namespace ac
