// Whether a device computes what it should, and whether it is worth using.
#pragma once

#include "runtime/core/backend.h"

namespace ac::vulkan {

// A small transformer with random weights in every format that the shaders read: a prompt, single tokens
// far into a cache, several sequences at once; against the CPU in f32. Drivers have been seen that compute
// something else. Errors: kUnsupported (another answer, naming format and step), those of the backends.
Status self_test(Backend& device);

// How long one token's worth of q8_0 products takes on it: the least of as many as fit into `budget_s`.
// Errors: those of the backend.
Result<double> seconds_of_products(Backend& backend, double budget_s);

}  // namespace ac::vulkan
