// Weights as numbers and back: what techniques compute on.
#pragma once

#include <span>
#include <string>

#include "cpu/threads.h"
#include "models/compress/linear_algebra.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// A tensor's weights in single precision, row-major. Errors: kCorruptFile (a weight that is not
// finite, naming the tensor), kUnsupported (a packed format), kOutOfMemory.
struct Weights {
  Buffer buffer;
  int64_t n_rows = 0;
  int64_t n_cols = 0;
  std::span<float> values() {
    return buffer.as<float>().first(static_cast<size_t>(n_rows * n_cols));
  }
};
Result<Weights> read_weights(const Checkpoint& checkpoint, const std::string& name,
                             cpu::ThreadTeam& team);
Result<Matrix> read_matrix(const Checkpoint& checkpoint, const std::string& name,
                           cpu::ThreadTeam& team);
inline bool has_tensor(const Checkpoint& checkpoint, std::string_view name) {
  return checkpoint.tensors.find(name) != checkpoint.tensors.end();
}

// Adds tensors in f32.
Status add_matrix(Checkpoint& to, const std::string& name, const Matrix& matrix);
Status add_weights(Checkpoint& to, const std::string& name, std::span<const float> values,
                   std::span<const int64_t> shape);

// Rows (of a matrix or a vector) `kept` of a tensor, in its own format. REQUIRES: one row a group.
Status add_rows(Checkpoint& to, const Checkpoint& from, const std::string& name,
                std::span<const int32_t> kept);

// The first tensor that holds a weight that is not finite is an error: kCorruptFile.
Status check_weights(const Checkpoint& checkpoint, cpu::ThreadTeam& team);
// One number for all weights and metadata, but for the file's name.
uint64_t fingerprint(const Checkpoint& checkpoint);

}  // namespace ac
