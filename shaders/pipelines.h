// Shaders and their pipelines. All have the same five bindings and 64 bytes of push constants.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "shaders/device.h"

namespace ac::vulkan {

inline constexpr uint32_t kBindings = 5;
inline constexpr uint32_t kPushWords = 16;

// A shader as the build made it; `name` is that of glsl/manifest.txt.
struct ShaderCode {
  std::string_view name;
  std::span<const uint32_t> words;
};
std::span<const ShaderCode> shader_codes();

class Pipelines {
 public:
  // Errors: kOutOfMemory, kIo.
  static Result<std::unique_ptr<Pipelines>> create(const Device& device);
  ~Pipelines();
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;

  VkPipelineLayout layout() const { return layout_; }
  VkDescriptorSetLayout bindings() const { return bindings_; }
  // The shader with these values of its constants 0, 1, ...; made when it is first asked for.
  // Errors: kOutOfMemory, kIo (the driver refuses it). REQUIRES: there is such a shader.
  Result<VkPipeline> get(std::string_view shader, std::span<const uint32_t> constants);

 private:
  explicit Pipelines(const Device& device) : device_(device) {}

  const Device& device_;
  VkDescriptorSetLayout bindings_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  std::map<std::pair<std::string_view, std::vector<uint32_t>>, VkPipeline> made_;
};

}  // namespace ac::vulkan
