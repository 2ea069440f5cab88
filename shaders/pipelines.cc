#include "shaders/pipelines.h"

#include <algorithm>

namespace ac::vulkan {

Result<std::unique_ptr<Pipelines>> Pipelines::create(const Device& device) {
  std::unique_ptr<Pipelines> made(new Pipelines(device));
  std::array<VkDescriptorSetLayoutBinding, kBindings> bindings = {};
  for (uint32_t i = 0; i < kBindings; ++i) {
    bindings[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
  }
  VkDescriptorSetLayoutCreateInfo sets = {};
  sets.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
  sets.bindingCount = kBindings;
  sets.pBindings = bindings.data();
  AC_TRY_STATUS(vk_check("vkCreateDescriptorSetLayout",
                         device.vk().CreateDescriptorSetLayout(device.handle(), &sets, nullptr,
                                                               &made->bindings_)));
  const VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, kPushWords * sizeof(uint32_t)};
  VkPipelineLayoutCreateInfo layout = {};
  layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  layout.setLayoutCount = 1;
  layout.pSetLayouts = &made->bindings_;
  layout.pushConstantRangeCount = 1;
  layout.pPushConstantRanges = &push;
  AC_TRY_STATUS(vk_check("vkCreatePipelineLayout", device.vk().CreatePipelineLayout(
                                                       device.handle(), &layout, nullptr, &made->layout_)));
  return made;
}

Pipelines::~Pipelines() {
  const DeviceFunctions& vk = device_.vk();
  for (const auto& [key, pipeline] : made_) vk.DestroyPipeline(device_.handle(), pipeline, nullptr);
  if (layout_ != VK_NULL_HANDLE) vk.DestroyPipelineLayout(device_.handle(), layout_, nullptr);
  if (bindings_ != VK_NULL_HANDLE) {
    vk.DestroyDescriptorSetLayout(device_.handle(), bindings_, nullptr);
  }
}

Result<VkPipeline> Pipelines::get(std::string_view shader, std::span<const uint32_t> constants) {
  const auto codes = shader_codes();
  const auto code = std::find_if(codes.begin(), codes.end(),
                                 [shader](const ShaderCode& each) { return each.name == shader; });
  AC_CHECK(code != codes.end());
  const std::pair key(code->name, std::vector<uint32_t>(constants.begin(), constants.end()));
  if (const auto found = made_.find(key); found != made_.end()) return found->second;

  const DeviceFunctions& vk = device_.vk();
  VkShaderModuleCreateInfo module_info = {};
  module_info.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  module_info.codeSize = code->words.size_bytes();
  module_info.pCode = code->words.data();
  VkShaderModule module = VK_NULL_HANDLE;
  AC_TRY_STATUS(vk_check("vkCreateShaderModule",
                         vk.CreateShaderModule(device_.handle(), &module_info, nullptr, &module)));
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < constants.size(); ++i) {
    entries.push_back({i, static_cast<uint32_t>(i * sizeof(uint32_t)), sizeof(uint32_t)});
  }
  VkSpecializationInfo special = {};
  special.mapEntryCount = static_cast<uint32_t>(entries.size());
  special.pMapEntries = entries.data();
  special.dataSize = constants.size_bytes();
  special.pData = constants.data();
  VkComputePipelineCreateInfo info = {};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = &special;
  info.layout = layout_;
  VkPipeline pipeline = VK_NULL_HANDLE;
  const Status status =
      vk_check(fmt::format("vkCreateComputePipelines ({})", shader),
               vk.CreateComputePipelines(device_.handle(), VK_NULL_HANDLE, 1, &info, nullptr, &pipeline));
  vk.DestroyShaderModule(device_.handle(), module, nullptr);
  AC_TRY_STATUS(status);
  made_.emplace(key, pipeline);
  return pipeline;
}

}  // namespace ac::vulkan
