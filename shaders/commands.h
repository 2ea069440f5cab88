// Command buffers that run at once, and copies between host and device.
#pragma once

#include <functional>

#include "shaders/memory.h"

namespace ac::vulkan {

class Commands {
 public:
  // Errors: kOutOfMemory, kIo.
  static Result<std::unique_ptr<Commands>> create(const Device& device);
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  Result<VkCommandBuffer> allocate();
  void release(VkCommandBuffer buffer);
  // A submission each, in this order; waits until all have run. Errors: kIo (a lost device), kOutOfMemory.
  Status run(std::span<const VkCommandBuffer> buffers);
  // Records once and runs.
  Status run_once(const std::function<void(VkCommandBuffer)>& record);
  // REQUIRES: the bytes lie within the buffer.
  Status upload(const DeviceBuffer& to, uint64_t offset, std::span<const std::byte> bytes);
  Status download(const DeviceBuffer& from, uint64_t offset, std::span<std::byte> bytes);

 private:
  explicit Commands(const Device& device) : device_(device) {}
  Result<DeviceBuffer*> staging(uint64_t size);

  const Device& device_;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkFence fence_ = VK_NULL_HANDLE;
  DeviceBuffer staging_;
};

}  // namespace ac::vulkan
