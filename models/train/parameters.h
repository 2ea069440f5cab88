// What a trainer changes: every tensor of a checkpoint as f32 in one flat array, with a gradient of
// the same shape. A model is loaded from checkpoint(), whose tensors are views of the array, so
// that whoever changes a value changes the model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/checkpoint.h"

namespace ac {

class Parameters {
 public:
  struct Entry {
    std::string name;
    std::vector<int64_t> shape;
    size_t offset = 0;  // floats; a multiple of 32
    size_t size = 0;
    bool is_matrix() const { return shape.size() > 1; }
  };

  // Decodes every tensor of `from`, whatever its format; metadata is copied.
  // Errors: kUnsupported (a packed format), kCorruptFile (a value that is not finite), kOutOfMemory.
  static Result<std::unique_ptr<Parameters>> create(const Checkpoint& from);

  const std::vector<Entry>& entries() const { return entries_; }
  // Floats of the array, gaps between tensors included; those stay zero.
  size_t size() const { return values_.size_bytes() / sizeof(float); }
  uint64_t n_parameters() const;
  std::span<float> values() { return values_.as<float>(); }
  std::span<const float> values() const { return values_.as<float>(); }
  std::span<float> gradients() { return gradients_.as<float>(); }
  // A view into values() to its gradient; nullptr for memory that is not of values().
  float* gradient_of(const void* value);

  // Metadata and f32 views of values(); valid as long as this.
  const Checkpoint& checkpoint() const { return checkpoint_; }
  // A copy with the matrices in `matrices` (vectors stay f32), for a file.
  // Errors: kUnsupported (a format without an encoder, or whose blocks do not fit), kOutOfMemory.
  Result<Checkpoint> exported(WeightFormat matrices) const;
  // Takes over the values of such a copy. REQUIRES: it has these tensors, in formats with a decoder.
  void take_from(const Checkpoint& copy);

 private:
  Parameters() = default;
  std::vector<Entry> entries_;
  Buffer values_;
  Buffer gradients_;
  Checkpoint checkpoint_;
};

}  // namespace ac
