// The safetensors container, for the folder reader.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "runtime/core/checkpoint.h"

namespace ac {

// Adds the tensors of one file to `out`; `owner` keeps `bytes` alive. Errors: kCorruptFile,
// kUnsupported (a dtype we do not read), also for a name that `out` has already.
Status parse_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                         Checkpoint& out);

}  // namespace ac
