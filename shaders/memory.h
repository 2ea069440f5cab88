// Buffers on a device, and bytes on their way there and back. Every copy is checked against the buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "shaders/device.h"

namespace ac::vulkan {

class Commands;

// Where a shader's data lie.
struct Region {
  VkBuffer buffer = VK_NULL_HANDLE;
  uint64_t offset = 0;
  uint64_t size = 0;
  bool empty() const { return buffer == VK_NULL_HANDLE; }
};

enum class MemoryKind {
  kDevice,  // for shaders; the host sees it where memory is unified
  kHost,    // for both; the host writes and reads it
};

class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  // Errors: kOutOfMemory, kIo.
  static Result<DeviceBuffer> create(const Device& device, uint64_t size_bytes, MemoryKind kind);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  VkBuffer handle() const { return buffer_; }
  uint64_t size() const { return size_; }
  Region all() const { return {buffer_, 0, size_}; }
  // nullptr: the host does not see it.
  std::byte* mapped() const { return mapped_; }

 private:
  const Device* device_ = nullptr;
  VkBuffer buffer_ = VK_NULL_HANDLE;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  uint64_t size_ = 0;
  std::byte* mapped_ = nullptr;
};

// Memory that is only ever taken: weights. From a few large buffers, since devices have a limit on how
// many there may be.
class WeightMemory {
 public:
  WeightMemory(const Device& device, Commands& commands) : device_(device), commands_(commands) {}
  // Errors: kOutOfMemory, kIo, kUnsupported (more than one binding may have).
  Result<Region> store(std::span<const std::byte> bytes);
  uint64_t size_bytes() const { return size_; }

 private:
  const Device& device_;
  Commands& commands_;
  std::vector<DeviceBuffer> blocks_;
  uint64_t used_ = 0;  // of the last block
  uint64_t size_ = 0;
};

}  // namespace ac::vulkan
