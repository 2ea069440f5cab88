#include "cpu/program.h"

#include <algorithm>

namespace ac::cpu {
namespace {

bool overlap(std::span<const MemoryRange> a, std::span<const MemoryRange> b) {
  return std::any_of(a.begin(), a.end(), [&](const MemoryRange& x) {
    return std::any_of(b.begin(), b.end(),
                       [&](const MemoryRange& y) { return x.begin < y.end && y.begin < x.end; });
  });
}

}  // namespace

void Program::clear() {
  closures_.reset();
  works_.clear();
  stages_.clear();
  stage_reads_.clear();
  stage_writes_.clear();
}

void Program::append(const Work& work, std::span<const MemoryRange> reads,
                     std::span<const MemoryRange> writes) {
  const bool one_chunk = work.n_chunks == 1;
  bool joins = false;
  if (!stages_.empty()) {
    const bool independent = !overlap(reads, stage_writes_) && !overlap(writes, stage_writes_) &&
                             !overlap(writes, stage_reads_);
    joins = stages_.back().in_order ? one_chunk : independent;
  }
  if (!joins) {
    stages_.push_back(
        {.first = static_cast<int32_t>(works_.size()), .count = 0, .in_order = one_chunk});
    stage_reads_.clear();
    stage_writes_.clear();
  }
  works_.push_back(work);
  ++stages_.back().count;
  stage_reads_.insert(stage_reads_.end(), reads.begin(), reads.end());
  stage_writes_.insert(stage_writes_.end(), writes.begin(), writes.end());
}

}  // namespace ac::cpu
