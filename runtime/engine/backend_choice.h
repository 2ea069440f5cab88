// Which backend answers, and why: a device is used when it has computed known answers right and is
// faster than the CPU. Both are found out once for each set of drivers, and remembered.
#pragma once

#include <memory>
#include <string>

#include "runtime/engine/backends.h"

namespace ac {

struct BackendChoice {
  std::unique_ptr<Backend> backend;
  std::string why;  // "the device is 4.1 times as fast as the CPU"
};

// How often as fast a device has to be as the CPU.
inline constexpr double kWorthADevice = 1.2;

// `is_named`: the user wants Vulkan by name, so that speed does not decide. Then errors are those of the
// device and of its self-test; otherwise the CPU is chosen instead.
Result<BackendChoice> choose_vulkan(const BackendOptions& options, bool is_named);

// What the drivers and devices of this machine are, as a text that changes when they do; empty: there are
// no drivers.
std::string driver_fingerprint();

}  // namespace ac
