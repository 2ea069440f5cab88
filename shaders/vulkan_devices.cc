#include "shaders/vulkan_devices.h"

#ifdef AC_VULKAN
#define VK_NO_PROTOTYPES
#include <dlfcn.h>
#include <vulkan/vulkan.h>
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

// Owns the loader and the instance for the length of one question.
class Instance {
 public:
  Instance() = default;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance() {
    if (destroy_ != nullptr) destroy_(handle_, nullptr);
    // The loader stays open: drivers may have started threads of their own that outlive the instance.
  }

  Status open() {
    void* library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return fail(ErrorCode::kNotFound, "no Vulkan loader (libvulkan.so.1)");
    get_ = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
    if (get_ == nullptr) return fail(ErrorCode::kIo, "libvulkan.so.1 has no vkGetInstanceProcAddr");
    const auto create = reinterpret_cast<PFN_vkCreateInstance>(get_(nullptr, "vkCreateInstance"));
    if (create == nullptr) return fail(ErrorCode::kIo, "libvulkan.so.1 has no vkCreateInstance");
    VkApplicationInfo application = {};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.pApplicationName = "agentcompress";
    application.apiVersion = VK_API_VERSION_1_1;
    VkInstanceCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    info.pApplicationInfo = &application;
    if (const VkResult result = create(&info, nullptr, &handle_); result != VK_SUCCESS) {
      if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        return fail(ErrorCode::kNotFound, "a Vulkan loader, but no driver");
      }
      return fail(ErrorCode::kIo, "vkCreateInstance failed with {}", static_cast<int>(result));
    }
    destroy_ = function<PFN_vkDestroyInstance>("vkDestroyInstance");
    return {};
  }

  template <class Function>
  Function function(const char* name) const {
    return reinterpret_cast<Function>(get_(handle_, name));
  }
  VkInstance handle() const { return handle_; }

 private:
  PFN_vkGetInstanceProcAddr get_ = nullptr;
  PFN_vkDestroyInstance destroy_ = nullptr;
  VkInstance handle_ = nullptr;
};

}  // namespace

Result<std::vector<VulkanDevice>> list_vulkan_devices() {
  Instance instance;
  AC_TRY_STATUS(instance.open());
  const auto enumerate =
      instance.function<PFN_vkEnumeratePhysicalDevices>("vkEnumeratePhysicalDevices");
  const auto properties_of =
      instance.function<PFN_vkGetPhysicalDeviceProperties>("vkGetPhysicalDeviceProperties");
  const auto memory_of = instance.function<PFN_vkGetPhysicalDeviceMemoryProperties>(
      "vkGetPhysicalDeviceMemoryProperties");
  if (enumerate == nullptr || properties_of == nullptr || memory_of == nullptr) {
    return fail(ErrorCode::kIo, "the Vulkan loader lacks functions of version 1.0");
  }
  uint32_t count = 0;
  VkResult result = enumerate(instance.handle(), &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  if (result == VK_SUCCESS) result = enumerate(instance.handle(), &count, handles.data());
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
    return fail(ErrorCode::kIo, "vkEnumeratePhysicalDevices failed with {}",
                static_cast<int>(result));
  }
  handles.resize(count);

  std::vector<VulkanDevice> devices;
  for (VkPhysicalDevice handle : handles) {
    VkPhysicalDeviceProperties properties = {};
    properties_of(handle, &properties);
    VkPhysicalDeviceMemoryProperties memory = {};
    memory_of(handle, &memory);
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
