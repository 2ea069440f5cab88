// What the fuzz targets share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#define FUZZ_CHECK(condition)                                              \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                        \
    }                                                                      \
  } while (false)

namespace ac::test {

// The input in memory of its own, aligned as a mapping would be, ending exactly where it ends.
class AlignedCopy {
 public:
  AlignedCopy(const uint8_t* data, size_t size) : copy_(new std::byte[size]), size_(size) {
    if (size > 0) std::memcpy(copy_.get(), data, size);
  }
  std::span<const std::byte> bytes() const { return {copy_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> copy_;
  size_t size_;
};

}  // namespace ac::test
