#include "runtime/core/tensor.h"

#include <sys/mman.h>

namespace ac {

namespace {
constexpr uint64_t kHugePageBytes = 2u << 20;
}

void UnmapMemory::operator()(std::byte* data) const noexcept { munmap(data, mapped_bytes); }

Result<Buffer> Buffer::allocate(uint64_t size_bytes, Pages pages) {
  Buffer buffer;
  buffer.size_bytes_ = size_bytes;
  if (size_bytes == 0) return buffer;
  // A whole number of huge pages, so that madvise can use them to the end.
  const bool huge = pages == Pages::kHuge && size_bytes >= kHugePageBytes;
  const uint64_t granule = huge ? kHugePageBytes : 4096;
  if (size_bytes > UINT64_MAX / 2) {
    return fail(ErrorCode::kOutOfMemory, "cannot allocate {} bytes", size_bytes);
  }
  const uint64_t mapped_bytes = (size_bytes + granule - 1) / granule * granule;
  // Huge pages need a mapping that starts on one: ask for one granule more, give the edges back.
  const uint64_t slack = huge ? kHugePageBytes : 0;
  void* raw = mmap(nullptr, mapped_bytes + slack, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) {
    return fail(ErrorCode::kOutOfMemory, "cannot allocate {} bytes", size_bytes);
  }
  auto begin = reinterpret_cast<uintptr_t>(raw);
  if (slack != 0) {
    const uintptr_t aligned = (begin + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
    const uintptr_t tail = begin + slack - aligned;
    if (aligned != begin) munmap(raw, aligned - begin);
    if (tail != 0) munmap(reinterpret_cast<void*>(aligned + mapped_bytes), tail);
    begin = aligned;
    madvise(reinterpret_cast<void*>(begin), mapped_bytes, MADV_HUGEPAGE);
  } else if (pages == Pages::kSmall) {
    madvise(raw, mapped_bytes, MADV_NOHUGEPAGE);  // where the kernel gives them unasked
  }
  buffer.data_ = {reinterpret_cast<std::byte*>(begin), UnmapMemory{mapped_bytes}};
  return buffer;
}

}  // namespace ac
