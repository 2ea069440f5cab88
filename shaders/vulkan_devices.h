// Which Vulkan devices this machine has. The loader is opened at run time, so that the binary runs without it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace ac {

struct VulkanDevice {
  std::string name;
  std::string kind;         // "discrete", "integrated", "virtual", "cpu", "other"
  std::string api_version;  // "1.3.239"
  uint64_t memory_bytes = 0;  // the largest device-local heap
};

// Errors: kUnsupported (built without Vulkan), kNotFound (no loader on this machine), kIo (the loader
// failed). A machine with a loader and no device gives an empty list.
Result<std::vector<VulkanDevice>> list_vulkan_devices();

}  // namespace ac
