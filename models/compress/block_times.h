// What the blocks of a layer cost here, measured: a table that pruning shares its cuts out by, so
// that what goes is what the machine is slow at (ZipLM: Kurtic et al. 2023, arXiv:2302.04089).
#pragma once

#include <cstdint>
#include <vector>

#include "models/arch/model.h"
#include "models/compress/surgeon.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// Milliseconds of one layer's block for one token, 4-bit weights, at sizes from nothing to whole.
struct BlockTimes {
  std::vector<double> ff_ms;  // [units of channels + 1]
  std::vector<double> kv_ms;  // [kv groups + 1]
};

// The blocks of the widest layer. A few sizes are timed, those between follow by straight lines,
// and no size is cheaper than a smaller one. Errors: those of load_model and the backend;
// kOutOfMemory.
Result<BlockTimes> measure_block_times(const Checkpoint& model, const ModelConfig& config,
                                       int32_t unit, int n_threads);

// What may be taken from one block, and what it costs at each size.
struct TimedOrder {
  const RemovalOrder* order = nullptr;  // losses as shares of the block's energy
  std::vector<double> ms;               // after 0, 1, ... steps; [steps + 1]
};
// `ms` is a row of BlockTimes for a block of `columns` columns, `columns_per_unit` to a unit;
// between two sizes time follows a straight line. The order must outlive the result.
TimedOrder timed_order(const RemovalOrder& order, const std::vector<double>& ms, int64_t columns,
                       int64_t columns_per_unit);

// How many steps of each order are taken until all blocks together take at most `target_ms`: always
// the run of steps that costs the least loss for each millisecond it saves. Less is taken where the
// orders end before.
std::vector<size_t> share_by_time(const std::vector<TimedOrder>& orders, double target_ms);

}  // namespace ac
