// Optimal brain surgeon for whole columns: which inputs of a matrix can go, and what the others
// must then do in their place.
//
// Removing columns D of w, whose inputs have second moments H, and letting the rest make up for it
// as well as it can, costs tr(w_D (H^-1_DD)^-1 w_D^T) (Hassibi and Stork 1993; for structures:
// Kurtic et al. 2023, ZipLM). Taking the cheapest columns first and updating w and H^-1 after each
// step makes the choice greedy but not blind: what a column could have replaced is gone with it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/threads.h"
#include "models/compress/linear_algebra.h"

namespace ac {

struct Removal {
  std::vector<int32_t> columns;
  double loss = 0;  // what this step adds to E ||dw x||^2
};
struct RemovalOrder {
  std::vector<Removal> steps;
  double energy = 0;  // E ||w x||^2: what removing everything costs
};

struct SurgeonOptions {
  // Columns leave in whole blocks [i * unit, (i + 1) * unit), or, free, `unit` at a time wherever
  // they are.
  int64_t unit = 32;
  bool free_units = true;
  int64_t least_kept = 0;  // columns that stay in any case
  double damping = 0.01;
};
// `w` [m, n], `h` [n, n]. Errors: those of factorise.
Result<RemovalOrder> removal_order(const Matrix& w, const Matrix& h, const SurgeonOptions& options,
                                   cpu::ThreadTeam& team);

// The same by the plain rule: columns by |w_:j|^2 * H_jj, alone and once (Wanda: Sun et al. 2023,
// for structures). A loss is the sum of the scores.
Result<RemovalOrder> removal_by_strength(const Matrix& w, const Matrix& h,
                                         const SurgeonOptions& options);

// The weights [m, kept] that, reading only the inputs `kept`, come closest to w:
// w H_:S (H_SS + damping)^-1. Errors: those of factorise.
Result<Matrix> least_squares_columns(const Matrix& w, const Matrix& h,
                                     std::span<const int32_t> kept, double damping,
                                     cpu::ThreadTeam& team);

}  // namespace ac
