#include "models/compress/surgeon.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ac {
namespace {

int64_t first_step(int64_t n, int64_t unit) { return n % unit == 0 ? unit : n % unit; }

// Below this share of live columns the matrices are packed: steps cost what is left, not what was.
constexpr double kPackBelow = 0.75;

// The state of the greedy walk: weights and inverse over the columns that are packed in them.
class Walk {
 public:
  Walk(Matrix w, Matrix inverse, const SurgeonOptions& options, cpu::ThreadTeam& team)
      : w_(std::move(w)), inverse_(std::move(inverse)), options_(options), team_(team) {
    original_.resize(static_cast<size_t>(w_.n_cols()));
    std::iota(original_.begin(), original_.end(), 0);
    alive_.assign(original_.size(), true);
    n_alive_ = w_.n_cols();
  }

  int64_t n_alive() const { return n_alive_; }
  // Columns of the next step: the first takes what keeps the rest whole units.
  int64_t step_columns() const { return first_step(n_alive_, options_.unit); }

  // The positions that leave next.
  Result<std::vector<int32_t>> choose() {
    return options_.free_units ? cheapest_columns() : cheapest_block();
  }

  Result<Removal> remove(const std::vector<int32_t>& positions) {
    const auto k = static_cast<int64_t>(positions.size());
    AC_TRY(const Matrix block, principal_part(inverse_, positions));
    AC_TRY(const Cholesky factor, factorise(block, 0));
    AC_TRY(const Matrix w_out, columns_of(w_, positions));  // [m, k]
    AC_TRY(Matrix w_solved, copy_of(w_out));
    solve_rows(factor, w_solved, team_);
    Removal removal;
    for (int64_t i = 0; i < w_out.n_rows(); ++i) {
      for (int64_t j = 0; j < k; ++j) removal.loss += w_out(i, j) * w_solved(i, j);
    }
    AC_TRY(const Matrix columns, columns_of(inverse_, positions));  // [n, k]
    AC_TRY(Matrix solved, copy_of(columns));
    solve_rows(factor, solved, team_);
    multiply(w_solved, columns, Transposed::kYes, w_, team_, -1, 1);
    multiply(solved, columns, Transposed::kYes, inverse_, team_, -1, 1);
    for (const int32_t position : positions) {
      const auto at = static_cast<size_t>(position);
      removal.columns.push_back(original_[at]);
      alive_[at] = false;
    }
    n_alive_ -= k;
    std::sort(removal.columns.begin(), removal.columns.end());
    AC_TRY_STATUS(pack());
    return removal;
  }

 private:
  Result<std::vector<int32_t>> cheapest_columns() {
    const int64_t n = w_.n_cols();
    // Row by row: columns of a row-major matrix are far apart.
    std::vector<double> score(static_cast<size_t>(n), 0);
    for (int64_t i = 0; i < w_.n_rows(); ++i) {
      const auto row = w_.row(i);
      for (size_t j = 0; j < score.size(); ++j) score[j] += row[j] * row[j];
    }
    std::vector<int32_t> live;
    for (int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<size_t>(j);
      if (!alive_[at]) continue;
      score[at] /= std::max(inverse_(j, j), 1e-300);
      live.push_back(static_cast<int32_t>(j));
    }
    const auto k = static_cast<std::ptrdiff_t>(
        std::min<int64_t>(step_columns(), static_cast<int64_t>(live.size())));
    std::partial_sort(live.begin(), live.begin() + k, live.end(), [&](int32_t a, int32_t b) {
      const double x = score[static_cast<size_t>(a)], y = score[static_cast<size_t>(b)];
      return x != y ? x < y : a < b;
    });
    live.resize(static_cast<size_t>(k));
    std::sort(live.begin(), live.end());
    return live;
  }

  Result<std::vector<int32_t>> cheapest_block() {
    std::vector<int32_t> best;
    double least = INFINITY;
    for (size_t begin = 0; begin < original_.size();) {
      // Positions of one block stay next to each other when columns are packed.
      size_t end = begin;
      const int64_t block = original_[begin] / options_.unit;
      std::vector<int32_t> positions;
      for (; end < original_.size() && original_[end] / options_.unit == block; ++end) {
        if (alive_[end]) positions.push_back(static_cast<int32_t>(end));
      }
      begin = end;
      if (positions.empty()) continue;
      AC_TRY(const Matrix part, principal_part(inverse_, positions));
      AC_TRY(const Cholesky factor, factorise(part, 0));
      AC_TRY(const Matrix w_out, columns_of(w_, positions));
      AC_TRY(Matrix solved, copy_of(w_out));
      solve_rows(factor, solved, team_);
      double loss = 0;
      for (int64_t i = 0; i < w_out.n_rows(); ++i) {
        for (int64_t j = 0; j < w_out.n_cols(); ++j) loss += w_out(i, j) * solved(i, j);
      }
      if (loss < least || best.empty()) {
        least = loss;
        best = std::move(positions);
      }
    }
    return best;
  }

  Status pack() {
    if (static_cast<double>(n_alive_) > kPackBelow * static_cast<double>(original_.size())) {
      return {};
    }
    std::vector<int32_t> live, original;
    for (size_t j = 0; j < alive_.size(); ++j) {
      if (!alive_[j]) continue;
      live.push_back(static_cast<int32_t>(j));
      original.push_back(original_[j]);
    }
    AC_TRY(w_, columns_of(w_, live));
    AC_TRY(inverse_, principal_part(inverse_, live));
    original_ = std::move(original);
    alive_.assign(original_.size(), true);
    return {};
  }

  Matrix w_;
  Matrix inverse_;
  const SurgeonOptions& options_;
  cpu::ThreadTeam& team_;
  std::vector<int32_t> original_;  // of each position
  std::vector<bool> alive_;
  int64_t n_alive_ = 0;
};

}  // namespace

Result<RemovalOrder> removal_order(const Matrix& w, const Matrix& h, const SurgeonOptions& options,
                                   cpu::ThreadTeam& team) {
  AC_CHECK(options.unit > 0 && w.n_cols() == h.n_rows());
  RemovalOrder order;
  AC_TRY(order.energy, quadratic_loss(w, h, team));
  AC_TRY(const Cholesky factor, factorise(h, options.damping));
  AC_TRY(Matrix inverse, inverse_of(factor));
  AC_TRY(Matrix copy, copy_of(w));
  Walk walk(std::move(copy), std::move(inverse), options, team);
  while (walk.n_alive() > 0 && walk.n_alive() - walk.step_columns() >= options.least_kept) {
    AC_TRY(const std::vector<int32_t> positions, walk.choose());
    AC_TRY(Removal removal, walk.remove(positions));
    order.steps.push_back(std::move(removal));
  }
  return order;
}

Result<RemovalOrder> removal_by_strength(const Matrix& w, const Matrix& h,
                                         const SurgeonOptions& options) {
  AC_CHECK(options.unit > 0 && w.n_cols() == h.n_rows());
  const int64_t n = w.n_cols();
  std::vector<double> score(static_cast<size_t>(n), 0);
  for (int64_t i = 0; i < w.n_rows(); ++i) {
    for (int64_t j = 0; j < n; ++j) score[static_cast<size_t>(j)] += w(i, j) * w(i, j) * h(j, j);
  }
  RemovalOrder order;
  std::vector<Removal> units;
  std::vector<int32_t> columns(static_cast<size_t>(n));
  std::iota(columns.begin(), columns.end(), 0);
  if (options.free_units) {
    std::stable_sort(columns.begin(), columns.end(), [&](int32_t a, int32_t b) {
      return score[static_cast<size_t>(a)] < score[static_cast<size_t>(b)];
    });
  }
  for (int64_t begin = 0, end = 0; begin < n; begin = end) {
    end = begin + first_step(n - begin, options.unit);
    Removal unit;
    for (int64_t j = begin; j < end; ++j) {
      const int32_t column = columns[static_cast<size_t>(j)];
      unit.columns.push_back(column);
      unit.loss += score[static_cast<size_t>(column)];
      order.energy += score[static_cast<size_t>(column)];
    }
    std::sort(unit.columns.begin(), unit.columns.end());
    units.push_back(std::move(unit));
  }
  if (!options.free_units) {  // free ones ascend already, the smallest step first
    std::stable_sort(units.begin(), units.end(),
                     [](const Removal& a, const Removal& b) { return a.loss < b.loss; });
  }
  int64_t alive = n;
  for (Removal& unit : units) {
    const auto size = static_cast<int64_t>(unit.columns.size());
    if (alive - size < options.least_kept) break;
    alive -= size;
    order.steps.push_back(std::move(unit));
  }
  return order;
}

Result<Matrix> least_squares_columns(const Matrix& w, const Matrix& h,
                                     std::span<const int32_t> kept, double damping,
                                     cpu::ThreadTeam& team) {
  AC_TRY(const Matrix h_kept, principal_part(h, kept));
  AC_TRY(const Cholesky factor, factorise(h_kept, damping));
  // w H_:S + damping * w_S: the ridge pulls towards the weights as they were, so that keeping all
  // changes nothing.
  AC_TRY(const Matrix h_columns, columns_of(h, kept));
  AC_TRY(Matrix made, product(w, h_columns, Transposed::kNo, team));
  const double mean = mean_diagonal(h_kept);
  const double ridge = factor.damping * (mean > 0 ? mean : 1);
  for (int64_t i = 0; i < made.n_rows(); ++i) {
    for (int64_t j = 0; j < made.n_cols(); ++j) {
      made(i, j) += ridge * w(i, kept[static_cast<size_t>(j)]);
    }
  }
  solve_rows(factor, made, team);
  return made;
}

}  // namespace ac
