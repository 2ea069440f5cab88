// Memory for one step: handed out in a row, taken back in a row, kept from step to step.
//
// The first step of a shape may take several blocks from the system; reset() then replaces them by
// one that is large enough, so later steps of that shape allocate nothing.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "runtime/core/check.h"
#include "runtime/core/tensor.h"

namespace ac::cpu {

class Arena {
 public:
  struct Mark {
    size_t block = 0;
    size_t offset = 0;
  };

  // 64-byte aligned, uninitialised; nullptr when the system has no more memory.
  std::byte* allocate(size_t size_bytes) {
    const size_t size = (size_bytes + 63) / 64 * 64;
    while (mark_.block < blocks_.size()) {
      Buffer& block = blocks_[mark_.block];
      if (size <= block.size_bytes() - mark_.offset) {
        std::byte* memory = block.data() + mark_.offset;
        mark_.offset += size;
        return memory;
      }
      ++mark_.block;
      mark_.offset = 0;
    }
    auto block = Buffer::allocate(size > kMinBlockBytes ? size : kMinBlockBytes);
    if (!block) return nullptr;
    blocks_.push_back(std::move(*block));
    mark_ = {blocks_.size() - 1, size};
    return blocks_.back().data();
  }

  Mark mark() const { return mark_; }
  // Takes back what was handed out after `mark`.
  void rewind(Mark mark) { mark_ = mark; }

  // Takes everything back.
  void reset() {
    mark_ = {};
    if (blocks_.size() < 2) return;
    size_t total = 0;
    for (const Buffer& block : blocks_) total += block.size_bytes();
    blocks_.clear();
    auto block = Buffer::allocate(total);
    if (block) blocks_.push_back(std::move(*block));  // otherwise the next allocate() says so
  }

  // Fills all memory with bytes that are a NaN as f32: what is read before it is written shows.
  void poison() {
    for (Buffer& block : blocks_) std::memset(block.data(), 0xff, block.size_bytes());
  }

 private:
  static constexpr size_t kMinBlockBytes = 1u << 20;
  std::vector<Buffer> blocks_;
  Mark mark_;
};

}  // namespace ac::cpu
