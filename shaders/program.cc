#include "shaders/program.h"

#include <algorithm>

namespace ac::vulkan {
namespace {

// Decoding has a shape for every few hundred positions, reading a prompt one or two; more are rare.
constexpr size_t kKept = 12;
constexpr uint32_t kNan = 0x7fc00000;

VkMemoryBarrier barrier_of(VkAccessFlags from, VkAccessFlags to) {
  VkMemoryBarrier barrier = {};
  barrier.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  barrier.srcAccessMask = from;
  barrier.dstAccessMask = to;
  return barrier;
}

// What runs since the last barrier.
class Hazards {
 public:
  // Whether a barrier has to stand in front of this dispatch; from then on it is one that runs.
  bool add(const Dispatch& dispatch) {
    bool conflicts = false;
    for (uint32_t i = 0; i < kBindings; ++i) {
      const Span& span = dispatch.bindings[i];
      if (span.buffer == VK_NULL_HANDLE) continue;
      const bool writes = (dispatch.writes >> i & 1) != 0;
      const auto overlaps = [&](const Span& other) { return span.overlaps(other); };
      conflicts = conflicts || std::ranges::any_of(written_, overlaps) ||
                  (writes && std::ranges::any_of(read_, overlaps));
    }
    if (conflicts) {
      written_.clear();
      read_.clear();
    }
    for (uint32_t i = 0; i < kBindings; ++i) {
      const Span& span = dispatch.bindings[i];
      if (span.buffer == VK_NULL_HANDLE) continue;
      ((dispatch.writes >> i & 1) != 0 ? written_ : read_).push_back(span);
    }
    return conflicts;
  }

 private:
  std::vector<Span> written_, read_;
};

}  // namespace

void Recorder::release(Recorded& recorded) {
  for (const VkCommandBuffer each : recorded.commands) commands_.release(each);
  if (recorded.pool != VK_NULL_HANDLE) {
    device_.vk().DestroyDescriptorPool(device_.handle(), recorded.pool, nullptr);
  }
}

void Recorder::forget() {
  for (Recorded& each : recorded_) release(each);
  recorded_.clear();
}

Status Recorder::run(const Program& program, const Region& results, const Region& poison) {
  const auto found = std::find_if(recorded_.begin(), recorded_.end(), [&](const Recorded& each) {
    return each.program == program;
  });
  if (found != recorded_.end()) {
    recorded_.splice(recorded_.begin(), recorded_, found);
    return commands_.run(recorded_.front().commands);
  }
  if (recorded_.size() >= kKept) {
    release(recorded_.back());
    recorded_.pop_back();
  }
  Recorded made{.program = program};
  if (const Status status = record(made, results, poison); !status) {
    release(made);
    return status;
  }
  recorded_.push_front(std::move(made));
  ++n_recorded_;
  return commands_.run(recorded_.front().commands);
}

Status Recorder::begin_commands(Recorded& made) {
  AC_TRY(const VkCommandBuffer commands, commands_.allocate());
  made.commands.push_back(commands);
  VkCommandBufferBeginInfo begin = {};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  return vk_check("vkBeginCommandBuffer", device_.vk().BeginCommandBuffer(commands, &begin));
}

Status Recorder::record(Recorded& made, const Region& results, const Region& poison) {
  const DeviceFunctions& vk = device_.vk();
  const Program& program = made.program;
  const auto n = static_cast<uint32_t>(program.dispatches.size());
  std::vector<VkDescriptorSet> sets(n);
  if (n > 0) {
    const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, n * kBindings};
    VkDescriptorPoolCreateInfo pool = {};
    pool.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    pool.maxSets = n;
    pool.poolSizeCount = 1;
    pool.pPoolSizes = &size;
    AC_TRY_STATUS(vk_check("vkCreateDescriptorPool", vk.CreateDescriptorPool(device_.handle(), &pool,
                                                                             nullptr, &made.pool)));
    const std::vector<VkDescriptorSetLayout> layouts(n, pipelines_.bindings());
    VkDescriptorSetAllocateInfo allocation = {};
    allocation.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    allocation.descriptorPool = made.pool;
    allocation.descriptorSetCount = n;
    allocation.pSetLayouts = layouts.data();
    AC_TRY_STATUS(vk_check("vkAllocateDescriptorSets", vk.AllocateDescriptorSets(
                                                           device_.handle(), &allocation, sets.data())));
  }
  AC_TRY_STATUS(begin_commands(made));
  VkCommandBuffer commands = made.commands.back();
  const auto barrier = [&](VkPipelineStageFlags from, VkPipelineStageFlags to, VkAccessFlags written,
                           VkAccessFlags used) {
    const VkMemoryBarrier memory = barrier_of(written, used);
    vk.CmdPipelineBarrier(commands, from, to, 0, 1, &memory, 0, nullptr, 0, nullptr);
  };
  constexpr VkAccessFlags kShader = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
  if (!poison.empty()) {
    vk.CmdFillBuffer(commands, poison.buffer, poison.offset, poison.size, kNan);
    barrier(VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
            VK_ACCESS_TRANSFER_WRITE_BIT, kShader);
  }
  Hazards hazards;
  VkPipeline bound = VK_NULL_HANDLE;
  uint64_t n_macs = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const Dispatch& dispatch = program.dispatches[i];
    // Barriers reach over the end of a submission; what is bound does not.
    if (n_macs > 0 && n_macs + dispatch.n_macs > macs_per_submission_) {
      AC_TRY_STATUS(vk_check("vkEndCommandBuffer", vk.EndCommandBuffer(commands)));
      AC_TRY_STATUS(begin_commands(made));
      commands = made.commands.back();
      bound = VK_NULL_HANDLE;
      n_macs = 0;
    }
    n_macs += dispatch.n_macs;
    std::array<VkDescriptorBufferInfo, kBindings> buffers = {};
    std::vector<VkWriteDescriptorSet> writes;
    for (uint32_t b = 0; b < kBindings; ++b) {
      // A shader may name a binding that it does not use in this form of it; it has to be bound.
      const Span& own = dispatch.bindings[b];
      const Span& span = own.buffer != VK_NULL_HANDLE ? own : dispatch.bindings[0];
      buffers[b] = {span.buffer, span.begin, span.end - span.begin};
      VkWriteDescriptorSet write = {};
      write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
      write.dstSet = sets[i];
      write.dstBinding = b;
      write.descriptorCount = 1;
      write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
      write.pBufferInfo = &buffers[b];
      writes.push_back(write);
    }
    vk.UpdateDescriptorSets(device_.handle(), static_cast<uint32_t>(writes.size()), writes.data(), 0,
                            nullptr);
    if (hazards.add(dispatch)) {
      barrier(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
              VK_ACCESS_SHADER_WRITE_BIT, kShader);
    }
    if (bound != dispatch.pipeline) {
      vk.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch.pipeline);
      bound = dispatch.pipeline;
    }
    vk.CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipelines_.layout(), 0, 1,
                             &sets[i], 0, nullptr);
    vk.CmdPushConstants(commands, pipelines_.layout(), VK_SHADER_STAGE_COMPUTE_BIT, 0,
                        sizeof dispatch.push, dispatch.push.data());
    vk.CmdDispatch(commands, dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]);
  }
  if (!program.read_backs.empty()) {
    barrier(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
            VK_ACCESS_SHADER_WRITE_BIT, VK_ACCESS_TRANSFER_READ_BIT);
    for (const ReadBack& back : program.read_backs) {
      const VkBufferCopy copy = {back.from.begin, results.offset + back.to,
                                 back.from.end - back.from.begin};
      vk.CmdCopyBuffer(commands, back.from.buffer, results.buffer, 1, &copy);
    }
  }
  // The host reads, and the next step writes where this one read.
  barrier(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
          VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
              VK_PIPELINE_STAGE_TRANSFER_BIT,
          VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
          VK_ACCESS_HOST_READ_BIT | kShader | VK_ACCESS_TRANSFER_READ_BIT |
              VK_ACCESS_TRANSFER_WRITE_BIT);
  return vk_check("vkEndCommandBuffer", vk.EndCommandBuffer(commands));
}

}  // namespace ac::vulkan
