// One checkpoint in another weight format: round to nearest, matrix by matrix.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cpu/threads.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// The format that a tensor gets where `target` is asked for.
struct FormatChoice {
  WeightFormat format;
  std::string reason;  // why it is not the target; empty when it is, or was narrower already
};
// A matrix whose rows are not whole blocks gets f16; the matrix that makes the logits keeps 8 bits;
// nothing gets more bits than it has; vectors stay as they are.
FormatChoice choose_format(std::string_view name, const TensorView& view, WeightFormat target,
                           const Checkpoint& source);
// GGUF's general.file_type for weights that are mostly `format`, and the version key that goes with
// block formats. A format without a number leaves the key out.
void set_file_type(Checkpoint& checkpoint, WeightFormat format);

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
