// How fast the cores of this machine read memory: the roof under which a token is decoded.
#pragma once

#include "cpu/threads.h"
#include "runtime/core/result.h"

namespace ac::cpu {

// GB/s (10^9) that the team reads together from 512 MiB, far more than any cache keeps; the best of
// a few passes. Takes about a tenth of a second. Errors: kOutOfMemory.
Result<double> read_bandwidth_gb_per_s(ThreadTeam& team);

}  // namespace ac::cpu
