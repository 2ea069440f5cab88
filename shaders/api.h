// Vulkan's functions, found at run time: the binary has no need of the loader, and a test can put
// faults between.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include "runtime/core/result.h"

namespace ac::vulkan {

// Where functions come from: vkGetInstanceProcAddr of the loader, or of a test.
struct Api {
  PFN_vkGetInstanceProcAddr get = nullptr;
};
// Opens the loader once. Errors: kNotFound (there is none), kIo.
Result<Api> loader_api();

#define AC_VK_INSTANCE_FUNCTIONS(X)       \
  X(DestroyInstance)                      \
  X(EnumeratePhysicalDevices)             \
  X(EnumerateDeviceExtensionProperties)   \
  X(GetPhysicalDeviceFeatures2)           \
  X(GetPhysicalDeviceProperties2)         \
  X(GetPhysicalDeviceMemoryProperties2)   \
  X(GetPhysicalDeviceQueueFamilyProperties) \
  X(CreateDevice)                         \
  X(GetDeviceProcAddr)

#define AC_VK_DEVICE_FUNCTIONS(X) \
  X(DestroyDevice)                \
  X(GetDeviceQueue)               \
  X(DeviceWaitIdle)               \
  X(AllocateMemory)               \
  X(FreeMemory)                   \
  X(MapMemory)                    \
  X(CreateBuffer)                 \
  X(DestroyBuffer)                \
  X(GetBufferMemoryRequirements)  \
  X(BindBufferMemory)             \
  X(CreateShaderModule)           \
  X(DestroyShaderModule)          \
  X(CreateDescriptorSetLayout)    \
  X(DestroyDescriptorSetLayout)   \
  X(CreatePipelineLayout)         \
  X(DestroyPipelineLayout)        \
  X(CreateComputePipelines)       \
  X(DestroyPipeline)              \
  X(CreateDescriptorPool)         \
  X(DestroyDescriptorPool)        \
  X(AllocateDescriptorSets)       \
  X(UpdateDescriptorSets)         \
  X(CreateCommandPool)            \
  X(DestroyCommandPool)           \
  X(AllocateCommandBuffers)       \
  X(FreeCommandBuffers)           \
  X(BeginCommandBuffer)           \
  X(EndCommandBuffer)             \
  X(CmdBindPipeline)              \
  X(CmdBindDescriptorSets)        \
  X(CmdPushConstants)             \
  X(CmdDispatch)                  \
  X(CmdPipelineBarrier)           \
  X(CmdCopyBuffer)                \
  X(CmdFillBuffer)                \
  X(CreateFence)                  \
  X(DestroyFence)                 \
  X(ResetFences)                  \
  X(WaitForFences)                \
  X(QueueSubmit)

struct InstanceFunctions {
#define AC_VK_FIELD(name) PFN_vk##name name = nullptr;
  AC_VK_INSTANCE_FUNCTIONS(AC_VK_FIELD)
};
struct DeviceFunctions {
  AC_VK_DEVICE_FUNCTIONS(AC_VK_FIELD)
#undef AC_VK_FIELD
};

// An instance of Vulkan 1.1 with the layers and extensions of `info`. Errors: as vk_error.
Result<VkInstance> create_instance(const Api& api, VkInstanceCreateInfo info = {});

// Errors: kIo, naming the function that is missing.
Result<InstanceFunctions> instance_functions(const Api& api, VkInstance instance);
Result<DeviceFunctions> device_functions(const InstanceFunctions& functions, VkDevice device);

// kOutOfMemory for a lack of memory, kIo for the rest; "vkQueueSubmit: the device was lost".
Error vk_error(std::string_view function, VkResult result);
inline Status vk_check(std::string_view function, VkResult result) {
  if (result == VK_SUCCESS) return {};
  return vk_error(function, result);
}

}  // namespace ac::vulkan
