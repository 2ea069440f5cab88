// The weights of a backend: matrices in the layout of the kernels, vectors as f32.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "cpu/matmul.h"
#include "cpu/threads.h"
#include "runtime/core/backend.h"
#include "runtime/core/tensor.h"

namespace ac::cpu {

class WeightStore {
 public:
  using DropPages = std::function<void(std::span<const std::byte>)>;

  // Formats of blocks are copied into the packed layout, and `drop_pages` (may be empty) is told of
  // the source; floating point and packed matrices are used where they lie, packed ones that are not
  // 64-byte aligned excepted.
  // Errors: kCorruptFile (the view's size is not that of its shape), kOutOfMemory.
  Result<WeightId> load_matrix(const TensorView& view, const MatmulKernels& kernels,
                               ThreadTeam& team, const DropPages& drop_pages);
  // What products with `base` add to it while read_residual(base, true) says so; arranged in memory
  // like a matrix. Errors: those of load_matrix; kCorruptFile (another shape or format than the
  // base's, a second residual), kUnsupported (a format that cannot be nested).
  // REQUIRES: `base` came from load_matrix.
  Status load_residual(WeightId base, const TensorView& view, const MatmulKernels& kernels,
                       ThreadTeam& team, const DropPages& drop_pages);
  // REQUIRES: `base` has a residual. Plans made before are no longer those of the matrix.
  void read_residual(WeightId base, bool reads);
  // Bytes that load_matrix(view) copies: 0 where the view is used in place.
  static uint64_t copy_bytes(const TensorView& view);
  // Errors: kCorruptFile, kUnsupported (a packed format).
  Result<WeightId> load_vector(const TensorView& view);

  // Stays where it is. REQUIRES: `id` came from load_matrix.
  const Matrix& matrix(WeightId id) const {
    AC_CHECK(weights_[static_cast<size_t>(id)].matrix.data != nullptr);
    return weights_[static_cast<size_t>(id)].matrix;
  }
  // nullptr for kNone. REQUIRES: otherwise a vector of n elements.
  const float* vector_or_null(WeightId id, size_t n) const {
    if (id == WeightId::kNone) return nullptr;
    AC_CHECK(weights_[static_cast<size_t>(id)].vector.size() == n);
    return weights_[static_cast<size_t>(id)].vector.data();
  }

 private:
  struct Weight {
    Matrix matrix;                        // either a matrix
    Buffer copy;                          // and its bytes where they were copied
    const std::byte* residual = nullptr;  // whether it is read or not
    Buffer residual_copy;
    std::vector<float> vector;  // or a vector
  };
  static Result<Weight> arrange(const TensorView& view, const MatmulKernels& kernels,
                                ThreadTeam& team, const DropPages& drop_pages);
  static Status pack(const TensorView& view, const MatmulKernels& kernels, ThreadTeam& team,
                     Weight* weight);
  WeightId keep(Weight weight);

  std::deque<Weight> weights_;
};

}  // namespace ac::cpu
