// What a step recorded: a list of works and the stages in which a team of threads runs them.
//
// Stages are found while recording, from the memory that each work reads and writes. Works that fit
// one chunk (everything elementwise, when decoding one token) are strung together and run by one
// thread; works that do not touch each other's results (q, k and v of one x) share a stage. Each
// stage saved is a meeting of all threads saved.
#pragma once

#include <initializer_list>
#include <new>
#include <type_traits>
#include <vector>

#include "cpu/arena.h"
#include "cpu/threads.h"

namespace ac::cpu {

struct MemoryRange {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
};
inline MemoryRange memory_range(const void* begin, size_t size_bytes) {
  const auto* first = static_cast<const std::byte*>(begin);
  return {first, first + size_bytes};
}

// Memory of each worker alone. Its size is found while recording; the base is known when the step
// runs.
struct Scratch {
  std::byte* base = nullptr;
  size_t stride_bytes = 0;
  std::byte* of(int32_t worker) const { return base + static_cast<size_t>(worker) * stride_bytes; }
};

class Program {
 public:
  void clear();

  // Memory that lives until clear(); nullptr when there is none.
  std::byte* allocate(size_t size_bytes) { return closures_.allocate(size_bytes); }

  // body(chunk_begin, chunk_end, worker), noexcept, for every chunk in [0, n_chunks); it is copied.
  // Returns false when there is no memory. n_chunks == 0: nothing to do.
  template <class Body>
  bool add(std::initializer_list<MemoryRange> reads, std::initializer_list<MemoryRange> writes,
           int32_t n_chunks, const Body& body) {
    static_assert(std::is_trivially_destructible_v<Body> && alignof(Body) <= 64);
    if (n_chunks == 0) return true;
    std::byte* memory = allocate(sizeof(Body));
    if (memory == nullptr) return false;
    const Body* copy = new (memory) Body(body);
    append({[](const void* args, int32_t begin, int32_t end, int32_t worker) noexcept {
              (*static_cast<const Body*>(args))(begin, end, worker);
            },
            copy, n_chunks},
           reads, writes);
    return true;
  }

  std::span<const Work> works() const { return works_; }
  std::span<const Stage> stages() const { return stages_; }

 private:
  void append(const Work& work, std::span<const MemoryRange> reads,
              std::span<const MemoryRange> writes);

  Arena closures_;
  std::vector<Work> works_;
  std::vector<Stage> stages_;
  std::vector<MemoryRange> stage_reads_;  // of the stage that is open
  std::vector<MemoryRange> stage_writes_;
};

}  // namespace ac::cpu
