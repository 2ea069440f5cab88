// The cache of keys and values: where each layer, slot and kv head lies, and how many bytes that
// is. The layout of one head is drawn in kernels/small_kernels.h.
//
// Thread safety: heads are disjoint memory; who writes which is the caller's affair.
#pragma once

#include <vector>

#include "cpu/kernels/small_kernels.h"
#include "runtime/core/backend.h"
#include "runtime/core/tensor.h"

namespace ac::cpu {

class KvCache {
 public:
  // Bytes that a cache of this shape takes; UINT64_MAX when that overflows or the shape is absurd.
  static uint64_t bytes(const KvShape& shape);
  // Zeroed. Errors: kInvalidArgument (a negative number in the shape), kOutOfMemory, before
  // anything is taken, when the system has less memory than it needs.
  static Result<KvCache> create(const KvShape& shape);

  KvCache() = default;

  const KvShape& shape() const { return shape_; }
  KvHead head(int32_t layer, int32_t slot, int32_t kv_head) const;
  // All memory of one layer, for finding what depends on what.
  std::span<const std::byte> layer_memory(int32_t layer) const;
  // Copies positions [0, n_positions) of one kv head of one layer.
  void copy(int32_t layer, int32_t kv_head, int32_t from_slot, int32_t to_slot,
            int32_t n_positions) const;

 private:
  KvShape shape_;
  std::vector<uint64_t> layer_offsets_;  // one more than there are layers
  Buffer memory_;
  std::byte* data_ = nullptr;
};

}  // namespace ac::cpu
