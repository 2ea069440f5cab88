#include "tests/vulkan/faulty_api.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace ac::test {
namespace {

struct Plan {
  Fault fault = Fault::kNone;
  int at = 0;
  bool for_ever = false;
  int n_calls = 0;
  bool happened = false;
};
Plan plan;
std::optional<PretendedMemory> pretended;
vulkan::Api real;
PFN_vkGetDeviceProcAddr real_device_proc = nullptr;

bool fails(Fault fault) {
  if (plan.fault != fault) return false;
  const int call = plan.n_calls++;
  const bool now = call == plan.at || (plan.for_ever && call > plan.at);
  plan.happened = plan.happened || now;
  return now;
}

PFN_vkCreateInstance real_create_instance = nullptr;
PFN_vkEnumeratePhysicalDevices real_enumerate = nullptr;
PFN_vkGetPhysicalDeviceProperties2 real_properties = nullptr;
PFN_vkGetPhysicalDeviceMemoryProperties2 real_memory = nullptr;
PFN_vkEnumerateDeviceExtensionProperties real_extensions = nullptr;
PFN_vkAllocateMemory real_allocate = nullptr;
PFN_vkCreateComputePipelines real_pipelines = nullptr;
PFN_vkQueueSubmit real_submit = nullptr;
PFN_vkWaitForFences real_wait = nullptr;

VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo* info,
                                               const VkAllocationCallbacks* callbacks,
                                               VkInstance* instance) {
  if (fails(Fault::kNoDriver)) return VK_ERROR_INCOMPATIBLE_DRIVER;
  return real_create_instance(info, callbacks, instance);
}
VKAPI_ATTR VkResult VKAPI_CALL enumerate(VkInstance instance, uint32_t* count, VkPhysicalDevice* devices) {
  if (fails(Fault::kNoDevice)) {
    *count = 0;
    return VK_SUCCESS;
  }
  return real_enumerate(instance, count, devices);
}
VKAPI_ATTR void VKAPI_CALL properties(VkPhysicalDevice device, VkPhysicalDeviceProperties2* all) {
  real_properties(device, all);
  if (pretended) all->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}
VKAPI_ATTR void VKAPI_CALL memory_properties(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties2* all) {
  void* const next = std::exchange(all->pNext, nullptr);  // the real one may not know it
  real_memory(device, all);
  all->pNext = next;
  if (!pretended) return;
  VkPhysicalDeviceMemoryProperties& memory = all->memoryProperties;
  for (uint32_t i = 0; i < memory.memoryHeapCount; ++i) memory.memoryHeaps[i].size = pretended->size;
  auto* const budget = static_cast<VkPhysicalDeviceMemoryBudgetPropertiesEXT*>(next);
  for (uint32_t i = 0; budget != nullptr && i < memory.memoryHeapCount; ++i) {
    budget->heapBudget[i] = pretended->budget.value();
    budget->heapUsage[i] = pretended->used;
  }
}
// Those of the real device, with or without the one that tells the budget.
VKAPI_ATTR VkResult VKAPI_CALL extensions(VkPhysicalDevice device, const char* layer, uint32_t* count,
                                          VkExtensionProperties* all) {
  uint32_t n = 0;
  real_extensions(device, layer, &n, nullptr);
  std::vector<VkExtensionProperties> found(n);
  real_extensions(device, layer, &n, found.data());
  const std::string_view name = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
  std::erase_if(found, [&](const auto& each) { return pretended && each.extensionName == name; });
  if (pretended && pretended->budget) {
    VkExtensionProperties more = {};
    name.copy(more.extensionName, name.size());
    found.push_back(more);
  }
  if (all != nullptr) std::copy_n(found.begin(), std::min<size_t>(*count, found.size()), all);
  *count = static_cast<uint32_t>(found.size());
  return VK_SUCCESS;
}
VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice device, const VkMemoryAllocateInfo* info,
                                        const VkAllocationCallbacks* callbacks, VkDeviceMemory* memory) {
  if (fails(Fault::kNoMemory)) return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  return real_allocate(device, info, callbacks, memory);
}
VKAPI_ATTR VkResult VKAPI_CALL make_pipelines(VkDevice device, VkPipelineCache cache, uint32_t n,
                                              const VkComputePipelineCreateInfo* infos,
                                              const VkAllocationCallbacks* callbacks, VkPipeline* made) {
  if (fails(Fault::kBadPipeline)) return VK_ERROR_UNKNOWN;
  return real_pipelines(device, cache, n, infos, callbacks, made);
}
VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t n, const VkSubmitInfo* infos, VkFence fence) {
  if (fails(Fault::kLostAtSubmit)) return VK_ERROR_DEVICE_LOST;
  return real_submit(queue, n, infos, fence);
}
VKAPI_ATTR VkResult VKAPI_CALL wait(VkDevice device, uint32_t n, const VkFence* fences, VkBool32 all,
                                    uint64_t timeout) {
  const VkResult result = real_wait(device, n, fences, all, timeout);
  return fails(Fault::kLostAtWait) ? VK_ERROR_DEVICE_LOST : result;
}

template <class Function>
PFN_vkVoidFunction instead(PFN_vkVoidFunction found, Function* real_one, Function ours) {
  *real_one = reinterpret_cast<Function>(found);
  return found == nullptr ? nullptr : reinterpret_cast<PFN_vkVoidFunction>(ours);
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_proc(VkDevice device, const char* name) {
  const PFN_vkVoidFunction found = real_device_proc(device, name);
  const std::string_view wanted = name;
  if (wanted == "vkAllocateMemory") return instead(found, &real_allocate, allocate);
  if (wanted == "vkCreateComputePipelines") return instead(found, &real_pipelines, make_pipelines);
  if (wanted == "vkQueueSubmit") return instead(found, &real_submit, submit);
  if (wanted == "vkWaitForFences") return instead(found, &real_wait, wait);
  return found;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instance_proc(VkInstance instance, const char* name) {
  const PFN_vkVoidFunction found = real.get(instance, name);
  const std::string_view wanted = name;
  if (wanted == "vkCreateInstance") return instead(found, &real_create_instance, create_instance);
  if (wanted == "vkEnumeratePhysicalDevices") return instead(found, &real_enumerate, enumerate);
  if (wanted == "vkGetPhysicalDeviceProperties2") return instead(found, &real_properties, properties);
  if (wanted == "vkGetPhysicalDeviceMemoryProperties2") return instead(found, &real_memory, memory_properties);
  if (wanted == "vkEnumerateDeviceExtensionProperties") return instead(found, &real_extensions, extensions);
  if (wanted == "vkGetDeviceProcAddr") return instead(found, &real_device_proc, device_proc);
  return found;
}

}  // namespace

void plan_fault(Fault fault, int at, bool for_ever) {
  plan = {.fault = fault, .at = at, .for_ever = for_ever};
}

bool fault_happened() { return plan.happened; }

int fault_calls() { return plan.n_calls; }

void pretend_discrete(std::optional<PretendedMemory> memory) { pretended = memory; }

const vulkan::Api& faulty_api() {
  static const vulkan::Api api = [] {
    if (const auto found = vulkan::loader_api()) real = *found;
    return vulkan::Api{real.get != nullptr ? instance_proc : nullptr};
  }();
  return api;
}

}  // namespace ac::test
