#include "cpu/bandwidth.h"

#include <algorithm>
#include <vector>

#include "runtime/core/clock.h"
#include "runtime/core/tensor.h"

namespace ac::cpu {

Result<double> read_bandwidth_gb_per_s(ThreadTeam& team) {
  constexpr uint64_t kBytes = 512ull << 20;
  constexpr int32_t kChunkBytes = 1 << 20;
  constexpr int kPasses = 4;
  AC_TRY(Buffer buffer, Buffer::allocate(kBytes));
  const std::span<uint64_t> words = buffer.as<uint64_t>();
  constexpr size_t kChunkWords = kChunkBytes / sizeof(uint64_t);
  constexpr auto kChunks = static_cast<int32_t>(kBytes / kChunkBytes);
  std::vector<uint64_t> sums(static_cast<size_t>(kChunks));
  // Pages that were never written are all the same page of zeros.
  team.for_each_chunk(kChunks, [&](int32_t chunk, int32_t) {
    const size_t first = static_cast<size_t>(chunk) * kChunkWords;
    std::fill_n(words.begin() + static_cast<ptrdiff_t>(first), kChunkWords, first);
  });
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto begin = system_clock().now();
    team.for_each_chunk(kChunks, [&](int32_t chunk, int32_t) {
      const uint64_t* at = words.data() + static_cast<size_t>(chunk) * kChunkWords;
      uint64_t lanes[8] = {};
      for (size_t i = 0; i < kChunkWords; i += 8) {
        // The processor's own prefetching stops at the end of a page.
        __builtin_prefetch(at + i + 512);
        for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += at[i + lane];
      }
      uint64_t sum = 0;
      for (const uint64_t lane : lanes) sum += lane;
      sums[static_cast<size_t>(chunk)] = sum;  // or the reading would be optimised away
    });
    const double seconds = seconds_between(begin, system_clock().now());
    best = std::max(best, static_cast<double>(kBytes) / seconds / 1e9);
  }
  return best;
}

}  // namespace ac::cpu
