// An instance, one device of it with a queue for compute, and what that device can do.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "shaders/api.h"
#include "shaders/backend_vulkan.h"

namespace ac::vulkan {

struct DeviceFacts {
  std::string name;
  VkPhysicalDeviceType type = VK_PHYSICAL_DEVICE_TYPE_OTHER;
  uint32_t subgroup_size = 1;
  bool has_subgroup_sums = false;  // arithmetic over a subgroup in compute shaders
  uint64_t storage_range = 0;      // most bytes of one binding
  uint64_t offset_alignment = 256;
  uint32_t max_invocations = 128;  // of a workgroup
  uint32_t max_groups = 65535;     // of a dispatch, in one direction
  bool has_integer_dot = false;  // of four bytes in a word
  bool is_dot_fast = false;      // by an instruction
  // One memory for all: what shaders read can be written by the host.
  bool is_unified = false;
};

class Device {
 public:
  // Errors: as create_vulkan_backend.
  static Result<std::unique_ptr<Device>> open(const VulkanOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceFacts& facts() const { return facts_; }
  const DeviceFunctions& vk() const { return vk_; }
  VkDevice handle() const { return device_; }
  VkQueue queue() const { return queue_; }
  uint32_t queue_family() const { return family_; }
  const VkPhysicalDeviceMemoryProperties& memory() const { return memory_; }
  // Of its largest memory, what the driver says is left to this process (VK_EXT_memory_budget), or four
  // fifths of it where the driver does not say. nullopt: it shares the host's.
  std::optional<uint64_t> memory_free() const;

 private:
  Device() = default;
  Status make_instance(const VulkanOptions& options);
  Result<VkPhysicalDevice> choose(const VulkanOptions& options);
  Status make_device();
  bool has_extension(std::string_view name) const;
  void look_for_integer_dot();

  Api api_;
  VkInstance instance_ = nullptr;
  InstanceFunctions instance_vk_;
  PFN_vkDestroyDebugUtilsMessengerEXT destroy_messenger_ = nullptr;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  DeviceFacts facts_;
  VkPhysicalDevice physical_ = nullptr;
  VkPhysicalDeviceMemoryProperties memory_ = {};
  bool says_budget_ = false;
  VkDevice device_ = nullptr;
  DeviceFunctions vk_;
  VkQueue queue_ = nullptr;
  uint32_t family_ = 0;
};

}  // namespace ac::vulkan
