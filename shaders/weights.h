// Matrices and vectors of weights on a device, arranged as glsl/weights.glsl reads them.
#pragma once

#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/core/backend.h"
#include "shaders/memory.h"

namespace ac::vulkan {

// Rows are padded to a multiple of this, so that a workgroup may read whole tiles.
inline constexpr uint64_t kRowStep = 8;

// Rows of a matrix that one binding can have.
struct Window {
  uint32_t first_row = 0;
  uint32_t n_rows = 0;
  Region units;
  Region scales;  // empty for formats without
};

struct Matrix {
  WeightFormat format = WeightFormat::kF32;  // as it lies there
  uint32_t n_out = 0;
  uint32_t n_in = 0;
  uint32_t units_per_row = 0;
  bool is_whole = true;  // n_in is a multiple of a unit
  std::vector<Window> windows;
  std::optional<size_t> residual;  // of nested precision: its place in the store
  bool reads_residual = false;
};

// The number by which the shaders know a format: WTYPE. nullopt: they do not.
std::optional<uint32_t> shader_format(WeightFormat format);

class WeightStore {
 public:
  explicit WeightStore(WeightMemory& memory, const DeviceFacts& facts)
      : memory_(memory), facts_(facts) {}

  Result<WeightId> load_matrix(const TensorView& view);
  Status load_residual(WeightId base, const TensorView& view);
  void read_residual(WeightId base, bool reads);
  Result<WeightId> load_vector(const TensorView& view);

  const Matrix& matrix(WeightId id) const;
  const Matrix& residual_of(const Matrix& base) const { return matrices_[*base.residual]; }
  // Floats. REQUIRES: a vector with n of them.
  Region vector(WeightId id, size_t n) const;
  // Bytes on the device.
  static uint64_t bytes_of(const TensorView& view);

 private:
  struct Entry {
    bool is_matrix = false;
    size_t index = 0;
  };
  struct Vector {
    Region region;
    size_t size = 0;
  };
  const Entry& entry(WeightId id) const;

  WeightMemory& memory_;
  const DeviceFacts& facts_;
  std::vector<Entry> entries_;
  std::deque<Matrix> matrices_;
  std::vector<Vector> vectors_;
};

}  // namespace ac::vulkan
