// Rounding a matrix into blocks of GGUF with the inputs in mind, by two means.
//
// Scale search: each block takes the grid with the least error weighted by how strong its inputs
// are. Error compensation (GPTQ: Frantar et al. 2022): columns are rounded one after the other, and
// what rounding a column does to the output is undone, as far as it can be, by the columns to come;
// a block's grid is the one of its candidates that leaves the least error after that.
//
// The bytes are those of cpu/formats: every reader of GGUF takes them. The same bits for any number
// of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cpu/threads.h"
#include "models/compress/linear_algebra.h"
#include "runtime/core/weight_format.h"

namespace ac {

// Q8_0, Q4_0, Q4_K.
bool can_compensate(WeightFormat format);

// `w` [m, n] is rounded into `out`, blocks of `format`, and replaced by what the blocks decode to.
// `moments` [n]: diagonal of the inputs' second moments.
// REQUIRES: can_compensate(format), n whole blocks, weights finite.
void round_by_search(std::span<float> w, int64_t n, std::span<const double> moments,
                     WeightFormat format, std::byte* out, cpu::ThreadTeam& team);

// `h` [n, n]: second moments of the inputs. Columns without input become 0. Returns the damping
// that h needed. Errors: kOutOfMemory, kUnsupported (h is not positive definite at any damping);
// then w is as it was.
Result<double> round_with_compensation(std::span<float> w, const Matrix& h, double damping,
                                       WeightFormat format, std::byte* out, cpu::ThreadTeam& team);

}  // namespace ac
