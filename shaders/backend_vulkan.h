// A backend that records the verbs into a command buffer of a Vulkan device.
//
// Base capability is Vulkan 1.1 with storage buffers. Sums and activations are f32; weights keep their
// format where the shaders read it (f32, f16, bf16, q8_0, q4_0) and become f16 where they do not; the
// cache of keys and values is f16 or f32. A step that has the same shapes as one before replays its
// command buffer: what differs between them (tokens, positions, rows) lies in a buffer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "runtime/core/backend.h"

namespace ac::vulkan {

struct Api;

struct VulkanOptions {
  // A part of the device's name ("RTX", "llvmpipe"); empty: the best discrete, integrated or virtual
  // one. Devices that are the CPU in disguise are used only when they are named.
  std::string device;
  bool uses_subgroups = true;  // false: sums within a workgroup go through shared memory
  // Products of few tokens with activations in bytes, where weights are q8_0 or q4_0: as the CPU's kernels
  // do it. By default where the device has an instruction for it.
  std::optional<bool> uses_integer_dot = {};
  // Fills memory of activations with NaN before it is used; for tests.
  bool poison_memory = false;
  // The most multiply-adds of a submission. Systems end what occupies a device for some seconds (2 on
  // Windows), and a long prompt is more than that for a small one; some microseconds more for each
  // submission are nothing beside it.
  uint64_t macs_per_submission = 5'000'000'000;
  bool validate = false;       // loads the Khronos validation layer with synchronisation checks
  const Api* api = nullptr;    // nullptr: the loader's; tests put faults between
};

// Errors: kUnsupported (built without Vulkan, a device that lacks what is needed), kNotFound (no
// loader, no driver, no such device), kIo (the driver failed), kOutOfMemory.
Result<std::unique_ptr<Backend>> create_vulkan_backend(const VulkanOptions& options = {});

// What the validation layer has said so far in this process; each is logged too.
int64_t n_validation_messages();

}  // namespace ac::vulkan
