#include "shaders/commands.h"

#include <algorithm>
#include <cstring>

namespace ac::vulkan {
namespace {

constexpr uint64_t kStagingBytes = 16u << 20;
// A step is bounded; one that takes longer than this has hung.
constexpr uint64_t kPatienceNs = 60'000'000'000;

}  // namespace

Result<std::unique_ptr<Commands>> Commands::create(const Device& device) {
  std::unique_ptr<Commands> made(new Commands(device));
  VkCommandPoolCreateInfo pool = {};
  pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  pool.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  pool.queueFamilyIndex = device.queue_family();
  AC_TRY_STATUS(vk_check("vkCreateCommandPool", device.vk().CreateCommandPool(device.handle(), &pool,
                                                                              nullptr, &made->pool_)));
  VkFenceCreateInfo fence = {};
  fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
  AC_TRY_STATUS(vk_check("vkCreateFence",
                         device.vk().CreateFence(device.handle(), &fence, nullptr, &made->fence_)));
  return made;
}

Commands::~Commands() {
  if (fence_ != VK_NULL_HANDLE) device_.vk().DestroyFence(device_.handle(), fence_, nullptr);
  if (pool_ != VK_NULL_HANDLE) device_.vk().DestroyCommandPool(device_.handle(), pool_, nullptr);
}

Result<VkCommandBuffer> Commands::allocate() {
  VkCommandBufferAllocateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  info.commandPool = pool_;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = 1;
  VkCommandBuffer buffer = nullptr;
  AC_TRY_STATUS(vk_check("vkAllocateCommandBuffers",
                         device_.vk().AllocateCommandBuffers(device_.handle(), &info, &buffer)));
  return buffer;
}

void Commands::release(VkCommandBuffer buffer) {
  device_.vk().FreeCommandBuffers(device_.handle(), pool_, 1, &buffer);
}

Status Commands::run(std::span<const VkCommandBuffer> buffers) {
  const DeviceFunctions& vk = device_.vk();
  for (size_t i = 0; i < buffers.size(); ++i) {
    VkSubmitInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &buffers[i];
    const VkFence fence = i + 1 == buffers.size() ? fence_ : VK_NULL_HANDLE;
    const Status submitted =
        vk_check("vkQueueSubmit", vk.QueueSubmit(device_.queue(), 1, &info, fence));
    if (submitted) continue;
    vk.DeviceWaitIdle(device_.handle());  // those before still use what will be given back
    return submitted;
  }
  AC_TRY_STATUS(vk_check("vkWaitForFences",
                         vk.WaitForFences(device_.handle(), 1, &fence_, VK_TRUE, kPatienceNs)));
  return vk_check("vkResetFences", vk.ResetFences(device_.handle(), 1, &fence_));
}

Status Commands::run_once(const std::function<void(VkCommandBuffer)>& record) {
  const DeviceFunctions& vk = device_.vk();
  AC_TRY(const VkCommandBuffer buffer, allocate());
  VkCommandBufferBeginInfo begin = {};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  Status status = vk_check("vkBeginCommandBuffer", vk.BeginCommandBuffer(buffer, &begin));
  if (status) {
    record(buffer);
    VkMemoryBarrier barrier = {};
    barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
    barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                            VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT |
                            VK_ACCESS_HOST_READ_BIT;
    vk.CmdPipelineBarrier(buffer, VK_PIPELINE_STAGE_TRANSFER_BIT,
                          VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT |
                              VK_PIPELINE_STAGE_HOST_BIT,
                          0, 1, &barrier, 0, nullptr, 0, nullptr);
    status = vk_check("vkEndCommandBuffer", vk.EndCommandBuffer(buffer));
  }
  if (status) status = run({&buffer, 1});
  release(buffer);
  return status;
}

Result<DeviceBuffer*> Commands::staging(uint64_t size) {
  if (staging_.size() < size) {
    AC_TRY(staging_, DeviceBuffer::create(device_, size, MemoryKind::kHost));
  }
  return &staging_;
}

Status Commands::upload(const DeviceBuffer& to, uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  AC_CHECK(offset <= to.size() && bytes.size() <= to.size() - offset);
  if (to.mapped() != nullptr) {
    std::memcpy(to.mapped() + offset, bytes.data(), bytes.size());
    return {};
  }
  AC_TRY(DeviceBuffer* const from, staging(std::min<uint64_t>(bytes.size(), kStagingBytes)));
  while (!bytes.empty()) {
    const uint64_t n = std::min<uint64_t>(bytes.size(), from->size());
    std::memcpy(from->mapped(), bytes.data(), n);
    AC_TRY_STATUS(run_once([&](VkCommandBuffer buffer) {
      const VkBufferCopy copy = {0, offset, n};
      device_.vk().CmdCopyBuffer(buffer, from->handle(), to.handle(), 1, &copy);
    }));
    offset += n;
    bytes = bytes.subspan(n);
  }
  return {};
}

Status Commands::download(const DeviceBuffer& from, uint64_t offset, std::span<std::byte> bytes) {
  if (bytes.empty()) return {};
  AC_CHECK(offset <= from.size() && bytes.size() <= from.size() - offset);
  if (from.mapped() != nullptr) {
    std::memcpy(bytes.data(), from.mapped() + offset, bytes.size());
    return {};
  }
  AC_TRY(DeviceBuffer* const to, staging(std::min<uint64_t>(bytes.size(), kStagingBytes)));
  while (!bytes.empty()) {
    const uint64_t n = std::min<uint64_t>(bytes.size(), to->size());
    AC_TRY_STATUS(run_once([&](VkCommandBuffer buffer) {
      const VkBufferCopy copy = {offset, 0, n};
      device_.vk().CmdCopyBuffer(buffer, from.handle(), to->handle(), 1, &copy);
    }));
    std::memcpy(bytes.data(), to->mapped(), n);
    offset += n;
    bytes = bytes.subspan(n);
  }
  return {};
}

}  // namespace ac::vulkan
