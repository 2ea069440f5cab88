// In the place of the backend where the project is built without Vulkan.
#include "shaders/backend_vulkan.h"

namespace ac::vulkan {

Result<std::unique_ptr<Backend>> create_vulkan_backend(const VulkanOptions&) {
  return fail(ErrorCode::kUnsupported, "built without Vulkan (AC_VULKAN=OFF)");
}

int64_t n_validation_messages() { return 0; }

}  // namespace ac::vulkan
