// Low rank: attention projections as two thin matrices.
//
// Of all W' of rank r, the one that minimises E ||W x - W' x||^2 is U_r U_r^T W, where U_r are the
// leading eigenvectors of W H W^T: principal components of the output. It is the optimum that
// whitening with a Cholesky factor of H finds (Wang et al. 2024, SVD-LLM), without inverting
// anything.
#pragma once

#include <string>
#include <vector>

#include "models/compress/stage.h"

namespace ac {

// A pair W ~ out * in, out [m, rank] with orthonormal columns, in [rank, n].
struct LowRankPair {
  Matrix out;
  Matrix in;
};

// The spectrum of a matrix's output, strongest first.
struct OutputSpectrum {
  std::vector<double> energies;  // eigenvalues of W H W^T, descending, not below 0
  Matrix directions;             // [m, m]; row i is the direction of energies[i]
};
Result<OutputSpectrum> output_spectrum(const Matrix& w, const Matrix& h, cpu::ThreadTeam& team);
// REQUIRES: 1 <= rank <= rows of w.
Result<LowRankPair> factor_along(const OutputSpectrum& spectrum, const Matrix& w, int64_t rank,
                                 cpu::ThreadTeam& team);

// A matrix that may be factored, and what each rank costs.
struct RankChoice {
  int64_t n_out = 0;
  int64_t n_in = 0;
  std::vector<double> energies;
};
// A pair must do less than this share of the dense multiplications to be worth two products.
inline constexpr double kWorthwhile = 0.9;
// The largest rank, in whole units, that is worthwhile; 0: none.
int64_t largest_rank(int64_t n_out, int64_t n_in, int64_t unit);
// Ranks (0: stays dense) with the least loss at which all do at most `keep` of their dense
// multiplications together: units are taken off where they cost least per multiplication saved,
// along the lower convex hull of each matrix's losses.
std::vector<int64_t> share_ranks(const std::vector<RankChoice>& choices, double keep, int64_t unit);

struct LowRankOptions {
  double keep = 0.7;  // share of the multiplications of the factored matrices that is left
  bool q = true;      // which: q, o, and q, k, v with one inner factor
  bool o = true;
  bool joint_qkv = false;
  bool weighted = true;  // by the calibrated inputs; no: singular values of W alone, to compare with
  int64_t unit = 32;  // ranks are multiples of this
};

// Errors: kInvalidArgument, kCorruptFile, kOutOfMemory, kIo.
Result<StageResult> low_rank(const Stage& stage, const LowRankOptions& options);

}  // namespace ac
