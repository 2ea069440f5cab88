#include "shaders/vulkan_devices.h"

#ifdef AC_VULKAN
#include "shaders/api.h"
#endif

namespace ac {

#ifndef AC_VULKAN

Result<std::vector<VulkanDevice>> list_vulkan_devices() {
  return fail(ErrorCode::kUnsupported, "built without Vulkan (AC_VULKAN=OFF)");
}

#else

namespace {

const char* kind_name(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return "cpu";
    default:
      return "other";
  }
}

struct Instance {
  VkInstance handle = nullptr;
  vulkan::InstanceFunctions vk;
  ~Instance() {
    if (handle != nullptr && vk.DestroyInstance != nullptr) vk.DestroyInstance(handle, nullptr);
  }

  Status open() {
    AC_TRY(const vulkan::Api api, vulkan::loader_api());
    AC_TRY(handle, vulkan::create_instance(api));
    AC_TRY(vk, vulkan::instance_functions(api, handle));
    return {};
  }
};

}  // namespace

Result<std::vector<VulkanDevice>> list_vulkan_devices() {
  Instance instance;
  AC_TRY_STATUS(instance.open());
  uint32_t count = 0;
  VkResult result = instance.vk.EnumeratePhysicalDevices(instance.handle, &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  if (result == VK_SUCCESS) {
    result = instance.vk.EnumeratePhysicalDevices(instance.handle, &count, handles.data());
  }
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
    return fail(ErrorCode::kIo, "vkEnumeratePhysicalDevices failed with {}",
                static_cast<int>(result));
  }
  handles.resize(count);

  std::vector<VulkanDevice> devices;
  for (VkPhysicalDevice handle : handles) {
    VkPhysicalDeviceProperties2 all = {};
    all.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    instance.vk.GetPhysicalDeviceProperties2(handle, &all);
    const VkPhysicalDeviceProperties& properties = all.properties;
    VkPhysicalDeviceMemoryProperties2 heaps = {};
    heaps.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    instance.vk.GetPhysicalDeviceMemoryProperties2(handle, &heaps);
    const VkPhysicalDeviceMemoryProperties& memory = heaps.memoryProperties;
    VulkanDevice device;
    device.name = properties.deviceName;
    device.kind = kind_name(properties.deviceType);
    device.api_version = fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(properties.apiVersion),
                                     VK_API_VERSION_MINOR(properties.apiVersion),
                                     VK_API_VERSION_PATCH(properties.apiVersion));
    for (uint32_t i = 0; i < memory.memoryHeapCount && i < VK_MAX_MEMORY_HEAPS; ++i) {
      const VkMemoryHeap& heap = memory.memoryHeaps[i];
      if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0 && heap.size > device.memory_bytes) {
        device.memory_bytes = heap.size;
      }
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

#endif

}  // namespace ac
