#include "shaders/api.h"

#include <dlfcn.h>

namespace ac::vulkan {

Result<Api> loader_api() {
  // Never closed: drivers may have started threads of their own that outlive an instance.
  static void* const library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(ErrorCode::kNotFound, "no Vulkan loader (libvulkan.so.1)");
  const Api api{reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"))};
  if (api.get == nullptr) return fail(ErrorCode::kIo, "libvulkan.so.1 has no vkGetInstanceProcAddr");
  return api;
}

Result<VkInstance> create_instance(const Api& api, VkInstanceCreateInfo info) {
  const auto create = reinterpret_cast<PFN_vkCreateInstance>(api.get(nullptr, "vkCreateInstance"));
  if (create == nullptr) return fail(ErrorCode::kIo, "the Vulkan loader has no vkCreateInstance");
  VkApplicationInfo application = {};
  application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  application.pApplicationName = "agentcompress";
  application.apiVersion = VK_API_VERSION_1_1;
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;
  VkInstance instance = nullptr;
  AC_TRY_STATUS(vk_check("vkCreateInstance", create(&info, nullptr, &instance)));
  return instance;
}

Result<InstanceFunctions> instance_functions(const Api& api, VkInstance instance) {
  InstanceFunctions functions;
#define AC_VK_FIND(name)                                                                   \
  functions.name = reinterpret_cast<PFN_vk##name>(api.get(instance, "vk" #name));          \
  if (functions.name == nullptr) return fail(ErrorCode::kIo, "the Vulkan loader has no vk" #name);
  AC_VK_INSTANCE_FUNCTIONS(AC_VK_FIND)
#undef AC_VK_FIND
  return functions;
}

Result<DeviceFunctions> device_functions(const InstanceFunctions& instance, VkDevice device) {
  DeviceFunctions functions;
#define AC_VK_FIND(name)                                                                        \
  functions.name = reinterpret_cast<PFN_vk##name>(instance.GetDeviceProcAddr(device, "vk" #name)); \
  if (functions.name == nullptr) return fail(ErrorCode::kIo, "the Vulkan driver has no vk" #name);
  AC_VK_DEVICE_FUNCTIONS(AC_VK_FIND)
#undef AC_VK_FIND
  return functions;
}

Error vk_error(std::string_view function, VkResult result) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
      return fail(ErrorCode::kOutOfMemory, "{}: the device has no memory left", function);
    case VK_ERROR_DEVICE_LOST:
      return fail(ErrorCode::kIo, "{}: the device was lost", function);
    case VK_ERROR_INCOMPATIBLE_DRIVER:
      return fail(ErrorCode::kNotFound, "a Vulkan loader, but no driver");
    default:
      return fail(ErrorCode::kIo, "{} failed with {}", function, static_cast<int>(result));
  }
}

}  // namespace ac::vulkan
