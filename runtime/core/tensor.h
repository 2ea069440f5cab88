// A tensor as others see it: a pointer, a format and a shape; and memory to hold one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/core/result.h"
#include "runtime/core/weight_format.h"

namespace ac {

// A non-owning view of a row-major tensor; the last axis is contiguous. A matrix of weights is
// [n_out, n_in]. Whoever made the view says what keeps `data` alive.
struct TensorView {
  const std::byte* data = nullptr;
  uint64_t size_bytes = 0;  // == tensor_bytes(format, shape)
  WeightFormat format = WeightFormat::kF32;
  int n_axes = 0;
  int64_t shape[4] = {1, 1, 1, 1};  // outermost first; unused axes are 1

  std::span<const int64_t> axes() const { return {shape, static_cast<size_t>(n_axes)}; }
  int64_t n_cols() const { return n_axes == 0 ? 0 : shape[n_axes - 1]; }
  int64_t n_rows() const {
    int64_t rows = n_axes == 0 ? 0 : 1;
    for (int i = 0; i + 1 < n_axes; ++i) rows *= shape[i];
    return rows;
  }
  bool empty() const { return data == nullptr; }
};

struct UnmapMemory {
  uint64_t mapped_bytes = 0;
  void operator()(std::byte* data) const noexcept;
};

// Owned memory, 64-byte aligned, zeroed.
class Buffer {
 public:
  // Huge pages, where the kernel has them, serve what is filled whole and streamed; small ones what
  // is filled here and there, since a page is taken and zeroed when its first byte is touched.
  enum class Pages { kHuge, kSmall };

  Buffer() = default;
  // Errors: kOutOfMemory, naming the size.
  static Result<Buffer> allocate(uint64_t size_bytes, Pages pages = Pages::kHuge);

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  uint64_t size_bytes() const { return size_bytes_; }
  template <class T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data_.get()), static_cast<size_t>(size_bytes_ / sizeof(T))};
  }
  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_.get()), static_cast<size_t>(size_bytes_ / sizeof(T))};
  }

 private:
  std::unique_ptr<std::byte, UnmapMemory> data_;
  uint64_t size_bytes_ = 0;
};

}  // namespace ac
