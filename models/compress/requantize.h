// One checkpoint in another weight format: round to nearest, matrix by matrix.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cpu/threads.h"
#include "runtime/core/checkpoint.h"

namespace ac {

struct Requantized {
  Checkpoint checkpoint;           // views of the source where a tensor did not change
  std::vector<std::string> notes;  // tensors that are not in the format asked for, and why
  bool changed = false;            // whether any matrix has another format than in the source
};

struct RequantizeOptions {
  // Rows of fused tensors at which one layer ends and the next begins; kernels' layouts take only
  // whole groups of rows. Returns true when `name` may be stored in such a layout.
  std::function<bool(std::string_view name, const TensorView& view)> may_pack;
  std::function<void(uint64_t done_bytes, std::string_view name)> progress;
};

// Tensors that keep their format are views of `source`, which must outlive the result. No matrix
// gets more bits than it has. Metadata is copied but for general.file_type, which becomes the
// target's. Without a target only the layout changes, to the kernels'. REQUIRES: the target has an
// encoder, the source no packed tensors. Errors: kCorruptFile (a weight that is not finite),
// kOutOfMemory.
Result<Requantized> requantize(const Checkpoint& source, std::optional<WeightFormat> target,
                               cpu::ThreadTeam& team, const RequantizeOptions& options);

// The same weights in the layout of GGUF: packed formats unpacked, everything else a view of
// `source`.
Result<Checkpoint> unpacked(const Checkpoint& source);

}  // namespace ac
