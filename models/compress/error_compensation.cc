#include "models/compress/error_compensation.h"

#include <algorithm>
#include <cmath>

#include "cpu/formats/codecs.h"
#include "models/compress/block_grid.h"

namespace ac {
namespace {

// Rows that one thread takes through all columns: their weights fit a second-level cache.
constexpr int64_t kRowsPerChunk = 32;
// Columns whose errors are gathered before they are spread over all that follow.
constexpr int64_t kPanelColumns = 256;

int32_t row_chunks(int64_t m) {
  return static_cast<int32_t>((m + kRowsPerChunk - 1) / kRowsPerChunk);
}

// --- scale search

// Rounds a group to each grid; keeps the one with the least weighted error.
template <class Block>
void search_row(std::span<float> w, std::span<const double> moments, std::byte* out) {
  constexpr size_t kWeights = Block::kBlockWeights;
  const size_t n = w.size();
  double mean_square = 0;
  for (const float x : w) mean_square += static_cast<double>(x) * static_cast<double>(x);
  mean_square /= static_cast<double>(n);
  for (size_t begin = 0; begin < n; begin += kWeights) {
    float weight[kWeights];
    for (size_t i = 0; i < kWeights; ++i) {
      const auto x = static_cast<double>(w[begin + i]);
      weight[i] = static_cast<float>(moments[begin + i] * std::sqrt(mean_square + x * x));
    }
    Block block;
    block.begin_block(w.data() + begin, weight);
    for (size_t at = 0; at < kWeights; at += kGroupWeights) {
      float* group = w.data() + begin + at;
      const GridList list = block.candidates(at / kGroupWeights, group, weight + at);
      const Grid* best = &list.grids[0];
      float least = INFINITY;
      for (size_t g = 0; g < list.n; ++g) {
        const Grid& grid = list.grids[g];
        float error = 0;
        for (size_t i = 0; i < kGroupWeights; ++i) {
          const float e = grid.value(grid.code(group[i])) - group[i];
          error += weight[at + i] * e * e;
        }
        if (error < least) {
          least = error;
          best = &grid;
        }
      }
      block.choose(at / kGroupWeights, *best);
      for (size_t i = 0; i < kGroupWeights; ++i) {
        const float code = best->code(group[i]);
        block.set_code(at + i, code);
        group[i] = best->value(code);
      }
    }
    block.write(out + begin / kWeights * Block::kBlockBytes);
  }
}

template <class Block>
void search_matrix(std::span<float> w, int64_t n, std::span<const double> moments, std::byte* out,
                   cpu::ThreadTeam& team) {
  const int64_t m = static_cast<int64_t>(w.size()) / n;
  const size_t row_bytes = static_cast<size_t>(n) / Block::kBlockWeights * Block::kBlockBytes;
  team.for_each_chunk(row_chunks(m), [&](int32_t chunk, int32_t) {
    for (int64_t r = chunk * kRowsPerChunk; r < std::min(m, (chunk + 1) * kRowsPerChunk); ++r) {
      search_row<Block>(w.subspan(static_cast<size_t>(r * n), static_cast<size_t>(n)), moments,
                        out + static_cast<size_t>(r) * row_bytes);
    }
  });
}

// --- error compensation

// The upper factor U of the inverse of H, U^T U = H^-1, as the walk along the columns reads it.
struct Walk {
  const float* u = nullptr;  // [n, n]
  int64_t n = 0;
  std::span<const float> inverse_diagonal;  // 1 / U[j, j]
  std::span<const float> weight;            // 1 / U[j, j]^2: what a squared error of column j costs
};

// One group of 32 columns of one row: rounds each and moves its error to those that follow within
// the group. Fills `errors` with (w - rounded) / U[j, j] and returns the sum of their squares.
// Stops early once the sum passes `limit`.
float round_group(const Walk& walk, int64_t column, const Grid& grid, const float* w, float* codes,
                  float* errors, float limit) {
  float left[kGroupWeights];
  std::copy(w, w + kGroupWeights, left);
  float loss = 0;
  for (size_t j = 0; j < kGroupWeights; ++j) {
    const int64_t at = column + static_cast<int64_t>(j);
    const float code = grid.code(left[j]);
    const float error =
        (left[j] - grid.value(code)) * walk.inverse_diagonal[static_cast<size_t>(at)];
    codes[j] = code;
    errors[j] = error;
    loss += error * error;
    if (loss > limit) return loss;
    const float* u = walk.u + at * walk.n + column;
    for (size_t k = j + 1; k < kGroupWeights; ++k) left[k] -= error * u[k];
  }
  return loss;
}

template <class Block>
class CompensatedChunk {
 public:
  CompensatedChunk(const Walk& walk, float* w, int64_t n_rows, std::byte* out)
      : walk_(walk), w_(w), n_rows_(n_rows), out_(out) {}

  void run() {
    const int64_t n = walk_.n;
    for (int64_t panel = 0; panel < n; panel += kPanelColumns) {
      const int64_t panel_end = std::min(n, panel + kPanelColumns);
      for (int64_t column = panel; column < panel_end;
           column += static_cast<int64_t>(kGroupWeights)) {
        for (int64_t row = 0; row < n_rows_; ++row) round_row_group(row, column, panel);
        const int64_t next = column + static_cast<int64_t>(kGroupWeights);
        spread(column, next, panel, next, panel_end);
      }
      spread(panel, panel_end, panel, panel_end, n);
    }
  }

 private:
  // Takes errors of columns [from, to) off columns [begin, end).
  void spread(int64_t from, int64_t to, int64_t panel, int64_t begin, int64_t end) {
    subtract_product_f32(n_rows_, end - begin, to - from, errors_ + (from - panel), kPanelColumns,
                         walk_.u + from * walk_.n + begin, walk_.n, w_ + begin, walk_.n);
  }

  void round_row_group(int64_t row, int64_t column, int64_t panel) {
    float* w = w_ + row * walk_.n + column;
    const float* weight = walk_.weight.data() + column;
    Block& block = blocks_[row];
    const size_t in_block = static_cast<size_t>(column) % Block::kBlockWeights;
    if (in_block == 0) block.begin_block(w, weight);
    const GridList list = block.candidates(in_block / kGroupWeights, w, weight);
    float codes[2][kGroupWeights], errors[2][kGroupWeights];
    float least = INFINITY;
    size_t best = 0;
    const Grid* chosen = &list.grids[0];
    for (size_t g = 0; g < list.n; ++g) {
      const size_t other = 1 - best;
      const float loss =
          round_group(walk_, column, list.grids[g], w, codes[other], errors[other], least);
      if (g > 0 && !(loss < least)) continue;
      least = loss;
      best = other;
      chosen = &list.grids[g];
    }
    block.choose(in_block / kGroupWeights, *chosen);
    for (size_t i = 0; i < kGroupWeights; ++i) {
      block.set_code(in_block + i, codes[best][i]);
      errors_[row * kPanelColumns + (column - panel) + static_cast<int64_t>(i)] = errors[best][i];
      w[i] = chosen->value(codes[best][i]);
    }
    if (in_block + kGroupWeights == Block::kBlockWeights) {
      const size_t row_bytes =
          static_cast<size_t>(walk_.n) / Block::kBlockWeights * Block::kBlockBytes;
      block.write(out_ + static_cast<size_t>(row) * row_bytes +
                  static_cast<size_t>(column) / Block::kBlockWeights * Block::kBlockBytes);
    }
  }

  const Walk& walk_;
  float* w_;
  int64_t n_rows_;
  std::byte* out_;
  Block blocks_[kRowsPerChunk];
  float errors_[kRowsPerChunk * kPanelColumns] = {};
};

template <class Block>
void compensate_matrix(const Walk& walk, std::span<float> w, std::byte* out,
                       cpu::ThreadTeam& team) {
  static_assert(kPanelColumns % static_cast<int64_t>(Block::kBlockWeights) == 0);
  const int64_t m = static_cast<int64_t>(w.size()) / walk.n;
  const size_t row_bytes = static_cast<size_t>(walk.n) / Block::kBlockWeights * Block::kBlockBytes;
  team.for_each_chunk(row_chunks(m), [&](int32_t chunk, int32_t) {
    const int64_t begin = chunk * kRowsPerChunk;
    CompensatedChunk<Block> rows(walk, w.data() + begin * walk.n,
                                 std::min(kRowsPerChunk, m - begin),
                                 out + static_cast<size_t>(begin) * row_bytes);
    rows.run();
  });
}

}  // namespace

bool can_compensate(WeightFormat format) {
  return format == WeightFormat::kQ8_0 || format == WeightFormat::kQ4_0 ||
         format == WeightFormat::kQ4_K;
}

void round_by_search(std::span<float> w, int64_t n, std::span<const double> moments,
                     WeightFormat format, std::byte* out, cpu::ThreadTeam& team) {
  AC_CHECK(can_compensate(format) && static_cast<int64_t>(moments.size()) == n);
  if (format == WeightFormat::kQ8_0) {
    search_matrix<Q8_0Block>(w, n, moments, out, team);
  } else if (format == WeightFormat::kQ4_0) {
    search_matrix<Q4_0Block>(w, n, moments, out, team);
  } else {
    search_matrix<Q4_KBlock>(w, n, moments, out, team);
  }
}

Result<double> round_with_compensation(std::span<float> w, const Matrix& h, double damping,
                                       WeightFormat format, std::byte* out, cpu::ThreadTeam& team) {
  const int64_t n = h.n_rows();
  AC_CHECK(can_compensate(format) && n > 0 && static_cast<int64_t>(w.size()) % n == 0);
  AC_TRY(Matrix alive, copy_of(h));
  std::vector<int64_t> dead;
  for (int64_t j = 0; j < n; ++j) {
    if (h(j, j) > 0) continue;
    alive(j, j) = 1;
    dead.push_back(j);
  }
  AC_TRY(const Cholesky upper, factorise_inverse(alive, damping));
  for (size_t row = 0; row < w.size(); row += static_cast<size_t>(n)) {
    for (const int64_t j : dead) w[row + static_cast<size_t>(j)] = 0;
  }
  const auto side = static_cast<size_t>(n);
  AC_TRY(Buffer memory, Buffer::allocate(side * side * sizeof(float)));
  float* u = memory.as<float>().data();
  std::vector<float> inverse_diagonal(side), weight(side);
  for (size_t i = 0; i < side; ++i) {
    const auto row = upper.factor.row(static_cast<int64_t>(i));
    for (size_t j = i; j < side; ++j) u[i * side + j] = static_cast<float>(row[j]);
    inverse_diagonal[i] = static_cast<float>(1 / row[i]);
  }
  // Only ratios of these matter; the largest is made 1, so that sums of squares stay in range.
  const float largest = *std::max_element(inverse_diagonal.begin(), inverse_diagonal.end());
  for (size_t i = 0; i < side; ++i) {
    const float ratio = inverse_diagonal[i] / largest;
    weight[i] = ratio * ratio;
  }
  const Walk walk{.u = u, .n = n, .inverse_diagonal = inverse_diagonal, .weight = weight};
  if (format == WeightFormat::kQ8_0) {
    compensate_matrix<Q8_0Block>(walk, w, out, team);
  } else if (format == WeightFormat::kQ4_0) {
    compensate_matrix<Q4_0Block>(walk, w, out, team);
  } else {
    compensate_matrix<Q4_KBlock>(walk, w, out, team);
  }
  return upper.damping;
}

}  // namespace ac
