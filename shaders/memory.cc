#include "shaders/memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "shaders/commands.h"

namespace ac::vulkan {
namespace {

constexpr uint64_t kBlockBytes = 64u << 20;

// The first memory that the buffer may lie in and that has all of `wanted`; or all of `needed`.
std::optional<uint32_t> memory_type(const VkPhysicalDeviceMemoryProperties& memory, uint32_t allowed,
                                    VkMemoryPropertyFlags needed, VkMemoryPropertyFlags wanted) {
  for (const VkMemoryPropertyFlags flags : {needed | wanted, needed}) {
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
      if ((allowed >> i & 1) != 0 && (memory.memoryTypes[i].propertyFlags & flags) == flags) return i;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<DeviceBuffer> DeviceBuffer::create(const Device& device, uint64_t size_bytes, MemoryKind kind) {
  const DeviceFunctions& vk = device.vk();
  DeviceBuffer made;
  made.device_ = &device;
  made.size_ = std::max<uint64_t>(16, (size_bytes + 15) / 16 * 16);
  VkBufferCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = made.size_;
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
               VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  AC_TRY_STATUS(
      vk_check("vkCreateBuffer", vk.CreateBuffer(device.handle(), &info, nullptr, &made.buffer_)));
  VkMemoryRequirements required = {};
  vk.GetBufferMemoryRequirements(device.handle(), made.buffer_, &required);
  constexpr VkMemoryPropertyFlags kSeen =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  const bool is_host = kind == MemoryKind::kHost;
  const auto type =
      is_host ? memory_type(device.memory(), required.memoryTypeBits, kSeen,
                            VK_MEMORY_PROPERTY_HOST_CACHED_BIT)
              : memory_type(device.memory(), required.memoryTypeBits, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                            device.facts().is_unified ? kSeen : 0);
  if (!type) return fail(ErrorCode::kUnsupported, "{} has no memory for buffers", device.facts().name);
  VkMemoryAllocateInfo allocation = {};
  allocation.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocation.allocationSize = required.size;
  allocation.memoryTypeIndex = *type;
  AC_TRY_STATUS(vk_check("vkAllocateMemory", vk.AllocateMemory(device.handle(), &allocation, nullptr,
                                                               &made.memory_)));
  AC_TRY_STATUS(vk_check("vkBindBufferMemory",
                         vk.BindBufferMemory(device.handle(), made.buffer_, made.memory_, 0)));
  const VkMemoryPropertyFlags has = device.memory().memoryTypes[*type].propertyFlags;
  if ((has & kSeen) == kSeen) {
    void* address = nullptr;
    AC_TRY_STATUS(vk_check("vkMapMemory", vk.MapMemory(device.handle(), made.memory_, 0,
                                                       VK_WHOLE_SIZE, 0, &address)));
    made.mapped_ = static_cast<std::byte*>(address);
  }
  return made;
}

DeviceBuffer::~DeviceBuffer() {
  if (device_ == nullptr) return;
  const DeviceFunctions& vk = device_->vk();
  if (buffer_ != VK_NULL_HANDLE) vk.DestroyBuffer(device_->handle(), buffer_, nullptr);
  if (memory_ != VK_NULL_HANDLE) vk.FreeMemory(device_->handle(), memory_, nullptr);
}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(buffer_, other.buffer_);
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

Result<Region> WeightMemory::store(std::span<const std::byte> bytes) {
  const uint64_t alignment = device_.facts().offset_alignment;
  const uint64_t size = (bytes.size() + alignment - 1) / alignment * alignment;
  if (size > device_.facts().storage_range) {
    return fail(ErrorCode::kUnsupported, "{} bytes in one binding; {} takes {}", size,
                device_.facts().name, device_.facts().storage_range);
  }
  if (blocks_.empty() || blocks_.back().size() - used_ < size) {
    AC_TRY(DeviceBuffer block,
           DeviceBuffer::create(device_, std::max(size, kBlockBytes), MemoryKind::kDevice));
    blocks_.push_back(std::move(block));
    used_ = 0;
  }
  const Region region{blocks_.back().handle(), used_, size};
  AC_TRY_STATUS(commands_.upload(blocks_.back(), used_, bytes));
  used_ += size;
  size_ += size;
  return region;
}

}  // namespace ac::vulkan
