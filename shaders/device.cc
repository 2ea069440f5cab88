#include "shaders/device.h"

#include <algorithm>
#include <vector>

#include "runtime/core/log.h"

namespace ac::vulkan {
namespace {

std::atomic<int64_t> n_messages = 0;

VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT,
                                          VkDebugUtilsMessageTypeFlagsEXT,
                                          const VkDebugUtilsMessengerCallbackDataEXT* data, void*) {
  ++n_messages;
  log_warning("vulkan: {}", data->pMessage);
  return VK_FALSE;
}

// Best first; a CPU in disguise is nobody's first choice.
int rank_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return 3;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return 2;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return 1;
    default:
      return 0;
  }
}

DeviceFacts facts_of(const InstanceFunctions& vk, VkPhysicalDevice physical) {
  VkPhysicalDeviceSubgroupProperties subgroup = {};
  subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
  VkPhysicalDeviceProperties2 properties = {};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &subgroup;
  vk.GetPhysicalDeviceProperties2(physical, &properties);
  const VkPhysicalDeviceLimits& limits = properties.properties.limits;
  DeviceFacts facts;
  facts.name = properties.properties.deviceName;
  facts.type = properties.properties.deviceType;
  facts.subgroup_size = std::max(1u, subgroup.subgroupSize);
  facts.has_subgroup_sums = (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT) != 0 &&
                            (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  facts.storage_range = limits.maxStorageBufferRange;
  facts.offset_alignment = std::max<uint64_t>(256, limits.minStorageBufferOffsetAlignment);
  facts.max_invocations = limits.maxComputeWorkGroupInvocations;
  facts.max_groups = std::min(limits.maxComputeWorkGroupCount[0], limits.maxComputeWorkGroupCount[1]);
  return facts;
}

}  // namespace

int64_t n_validation_messages() { return n_messages; }

Result<std::unique_ptr<Device>> Device::open(const VulkanOptions& options) {
  std::unique_ptr<Device> device(new Device());
  if (options.api != nullptr) {
    device->api_ = *options.api;
  } else {
    AC_TRY(device->api_, loader_api());
  }
  AC_TRY_STATUS(device->make_instance(options));
  AC_TRY(device->physical_, device->choose(options));
  AC_TRY_STATUS(device->make_device());
  return device;
}

Device::~Device() {
  if (device_ != nullptr) {
    vk_.DeviceWaitIdle(device_);
    vk_.DestroyDevice(device_, nullptr);
  }
  if (messenger_ != VK_NULL_HANDLE) destroy_messenger_(instance_, messenger_, nullptr);
  if (instance_ != nullptr) instance_vk_.DestroyInstance(instance_, nullptr);
}

Status Device::make_instance(const VulkanOptions& options) {
  const char* const layer = "VK_LAYER_KHRONOS_validation";
  const char* const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME,
                                    VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
  const VkValidationFeatureEnableEXT wanted[] = {
      VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
  VkValidationFeaturesEXT features = {};
  features.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT;
  features.enabledValidationFeatureCount = 1;
  features.pEnabledValidationFeatures = wanted;
  VkDebugUtilsMessengerCreateInfoEXT messages = {};
  messages.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
  messages.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                             VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  messages.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT;
  messages.pfnUserCallback = on_message;
  VkInstanceCreateInfo info = {};
  if (options.validate) {
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &layer;
    info.enabledExtensionCount = 2;
    info.ppEnabledExtensionNames = extensions;
    info.pNext = &features;
  }
  AC_TRY(instance_, create_instance(api_, info));
  AC_TRY(instance_vk_, instance_functions(api_, instance_));
  if (!options.validate) return {};
  const auto make_messenger = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
      api_.get(instance_, "vkCreateDebugUtilsMessengerEXT"));
  destroy_messenger_ = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
      api_.get(instance_, "vkDestroyDebugUtilsMessengerEXT"));
  if (make_messenger == nullptr || destroy_messenger_ == nullptr) {
    return fail(ErrorCode::kUnsupported, "validation without VK_EXT_debug_utils");
  }
  return vk_check("vkCreateDebugUtilsMessengerEXT",
                  make_messenger(instance_, &messages, nullptr, &messenger_));
}

Result<VkPhysicalDevice> Device::choose(const VulkanOptions& options) {
  uint32_t count = 0;
  VkResult result = instance_vk_.EnumeratePhysicalDevices(instance_, &count, nullptr);
  std::vector<VkPhysicalDevice> all(count);
  if (result == VK_SUCCESS && count > 0) {
    result = instance_vk_.EnumeratePhysicalDevices(instance_, &count, all.data());
  }
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
    return vk_error("vkEnumeratePhysicalDevices", result);
  }
  all.resize(count);
  VkPhysicalDevice best = nullptr;
  std::string names;
  for (const VkPhysicalDevice each : all) {
    const DeviceFacts facts = facts_of(instance_vk_, each);
    names += (names.empty() ? "" : ", ") + facts.name;
    const bool named = !options.device.empty();
    if (named ? facts.name.find(options.device) == std::string::npos : rank_of(facts.type) == 0) continue;
    if (best != nullptr && (named || rank_of(facts.type) <= rank_of(facts_.type))) continue;
    best = each;
    facts_ = facts;
  }
  if (best != nullptr) return best;
  return fail(ErrorCode::kNotFound, "no Vulkan device {}; there is {}",
              options.device.empty() ? "that is a GPU" : fmt::format("'{}'", options.device),
              names.empty() ? "none" : names);
}

bool Device::has_extension(std::string_view name) const {
  uint32_t count = 0;
  const auto extensions_of = instance_vk_.EnumerateDeviceExtensionProperties;
  if (extensions_of(physical_, nullptr, &count, nullptr) != VK_SUCCESS) return false;
  std::vector<VkExtensionProperties> all(count);
  if (extensions_of(physical_, nullptr, &count, all.data()) != VK_SUCCESS) return false;
  return std::any_of(all.begin(), all.end(),
                     [&](const VkExtensionProperties& each) { return each.extensionName == name; });
}

std::optional<uint64_t> Device::memory_free() const {
  if (facts_.is_unified) return std::nullopt;
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {};
  budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
  VkPhysicalDeviceMemoryProperties2 properties = {};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  if (says_budget_) properties.pNext = &budget;
  instance_vk_.GetPhysicalDeviceMemoryProperties2(physical_, &properties);
  const VkPhysicalDeviceMemoryProperties& memory = properties.memoryProperties;
  uint64_t largest = 0, free = 0;
  for (uint32_t i = 0; i < std::min<uint32_t>(memory.memoryHeapCount, VK_MAX_MEMORY_HEAPS); ++i) {
    const VkMemoryHeap& heap = memory.memoryHeaps[i];
    if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0 || heap.size <= largest) continue;
    largest = heap.size;
    // What is used counts within the budget, and may exceed it.
    free = !says_budget_ ? heap.size / 5 * 4
                         : budget.heapBudget[i] - std::min(budget.heapBudget[i], budget.heapUsage[i]);
  }
  return free;
}

void Device::look_for_integer_dot() {
  if (!has_extension(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) return;
  VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot = {};
  dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR;
  VkPhysicalDeviceFeatures2 features = {};
  features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  features.pNext = &dot;
  instance_vk_.GetPhysicalDeviceFeatures2(physical_, &features);
  VkPhysicalDeviceShaderIntegerDotProductPropertiesKHR speeds = {};
  speeds.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES_KHR;
  VkPhysicalDeviceProperties2 properties = {};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &speeds;
  instance_vk_.GetPhysicalDeviceProperties2(physical_, &properties);
  facts_.has_integer_dot = dot.shaderIntegerDotProduct == VK_TRUE;
  facts_.is_dot_fast = speeds.integerDotProduct4x8BitPackedSignedAccelerated == VK_TRUE;
}

Status Device::make_device() {
  look_for_integer_dot();
  // A question that needs the extension to be there, and not to be switched on.
  says_budget_ = has_extension(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  VkPhysicalDeviceMemoryProperties2 memory = {};
  memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
  instance_vk_.GetPhysicalDeviceMemoryProperties2(physical_, &memory);
  memory_ = memory.memoryProperties;
  uint32_t count = 0;
  instance_vk_.GetPhysicalDeviceQueueFamilyProperties(physical_, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  instance_vk_.GetPhysicalDeviceQueueFamilyProperties(physical_, &count, families.data());
  const auto found = std::find_if(families.begin(), families.end(), [](const auto& family) {
    return (family.queueFlags & VK_QUEUE_COMPUTE_BIT) != 0;
  });
  if (found == families.end()) {
    return fail(ErrorCode::kUnsupported, "{} has no queue for compute", facts_.name);
  }
  family_ = static_cast<uint32_t>(found - families.begin());
  const float priority = 1;
  VkDeviceQueueCreateInfo queue = {};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueFamilyIndex = family_;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkDeviceCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  // Nothing is asked for that no shader needs: drivers have been seen that fail on it.
  const char* const extension = VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME;
  VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot = {};
  dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR;
  dot.shaderIntegerDotProduct = VK_TRUE;
  if (facts_.has_integer_dot) {
    info.enabledExtensionCount = 1;
    info.ppEnabledExtensionNames = &extension;
    info.pNext = &dot;
  }
  AC_TRY_STATUS(vk_check("vkCreateDevice",
                         instance_vk_.CreateDevice(physical_, &info, nullptr, &device_)));
  AC_TRY(vk_, device_functions(instance_vk_, device_));
  vk_.GetDeviceQueue(device_, family_, 0, &queue_);
  facts_.is_unified = facts_.type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ||
                      facts_.type == VK_PHYSICAL_DEVICE_TYPE_CPU;
  return {};
}

}  // namespace ac::vulkan
