#include "models/compress/moments.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace ac {
namespace {

constexpr int64_t kTile = 256;
constexpr std::string_view kArchitecture = "agentcompress.moments";
constexpr std::string_view kTokensKey = "agentcompress.moments.tokens";
constexpr std::string_view kInfluenceKey = "agentcompress.moments.influence";

constexpr std::array kRoles = {
    LinearRole{"attn_q", InputKind::kAttention},   LinearRole{"attn_k", InputKind::kAttention},
    LinearRole{"attn_v", InputKind::kAttention},   LinearRole{"attn_qkv", InputKind::kAttention},
    LinearRole{"attn_output", InputKind::kOutput}, LinearRole{"ffn_gate", InputKind::kFeedForward},
    LinearRole{"ffn_up", InputKind::kFeedForward}, LinearRole{"ffn_down", InputKind::kDown},
};

// One tile of left^T right at a time, in memory of the worker's own, then added in double.
// `upper`: only tiles on and above the diagonal.
void add_tiles(std::span<const float> left, int64_t n_left, std::span<const float> right,
               int64_t n_right, bool upper, Matrix& sum, cpu::ThreadTeam& team) {
  const int64_t k = static_cast<int64_t>(left.size()) / n_left;
  struct Tile {
    int64_t row, column;
  };
  std::vector<Tile> tiles;
  for (int64_t i = 0; i < n_left; i += kTile) {
    for (int64_t j = upper ? i : 0; j < n_right; j += kTile) tiles.push_back({i, j});
  }
  std::vector<std::vector<float>> memory(static_cast<size_t>(team.n_threads()),
                                         std::vector<float>(kTile * kTile));
  team.for_each_chunk(static_cast<int32_t>(tiles.size()), [&](int32_t index, int32_t worker) {
    const Tile& tile = tiles[static_cast<size_t>(index)];
    const int64_t rows = std::min(kTile, n_left - tile.row);
    const int64_t columns = std::min(kTile, n_right - tile.column);
    float* made = memory[static_cast<size_t>(worker)].data();
    multiply_transposed_f32(rows, columns, k, left.data() + tile.row, n_left,
                            right.data() + tile.column, n_right, made, columns);
    for (int64_t i = 0; i < rows; ++i) {
      double* to = sum.data() + (tile.row + i) * n_right + tile.column;
      for (int64_t j = 0; j < columns; ++j) to[j] += static_cast<double>(made[i * columns + j]);
    }
  });
}

}  // namespace

std::string_view input_kind_name(InputKind kind) {
  switch (kind) {
    case InputKind::kAttention:
      return "attention";
    case InputKind::kOutput:
      return "output";
    case InputKind::kFeedForward:
      return "feed_forward";
    case InputKind::kDown:
      return "down";
  }
  return "";
}

InputMoments& LayerMoments::of(InputKind kind) {
  switch (kind) {
    case InputKind::kAttention:
      return attention;
    case InputKind::kOutput:
      return output;
    case InputKind::kFeedForward:
      return feed_forward;
    case InputKind::kDown:
      break;
  }
  return down;
}

const InputMoments& LayerMoments::of(InputKind kind) const {
  return const_cast<LayerMoments*>(this)->of(kind);
}

std::span<const LinearRole> linear_roles() { return kRoles; }

std::string layer_tensor(int32_t layer, std::string_view name) {
  return fmt::format("blk.{}.{}.weight", layer, name);
}

Result<MomentSum> MomentSum::create(int64_t n) {
  MomentSum made;
  AC_TRY(made.sum_, Matrix::create(n, n));
  made.total_.assign(static_cast<size_t>(n), 0);
  return made;
}

void MomentSum::add(std::span<const float> rows, cpu::ThreadTeam& team) {
  const size_t n = total_.size();
  AC_CHECK(n > 0 && rows.size() % n == 0);
  const size_t n_rows = rows.size() / n;
  add_tiles(rows, static_cast<int64_t>(n), rows, static_cast<int64_t>(n), true, sum_, team);
  for (size_t i = 0; i < n_rows; ++i) {
    for (size_t j = 0; j < n; ++j) total_[j] += static_cast<double>(rows[i * n + j]);
  }
  n_rows_ += n_rows;
}

InputMoments MomentSum::finish() && {
  const double scale = 1.0 / static_cast<double>(std::max<uint64_t>(1, n_rows_));
  for (int64_t i = 0; i < sum_.n_rows(); ++i) {
    for (int64_t j = i; j < sum_.n_cols(); ++j) {
      sum_(i, j) *= scale;
      sum_(j, i) = sum_(i, j);
    }
  }
  for (double& value : total_) value *= scale;
  return {std::move(sum_), std::move(total_)};
}

void add_cross_moments(std::span<const float> left, std::span<const float> right, Matrix& sum,
                       cpu::ThreadTeam& team) {
  add_tiles(left, sum.n_rows(), right, sum.n_cols(), false, sum, team);
}

Result<Checkpoint> moments_to_checkpoint(const LayerMoments& moments) {
  Checkpoint to;
  to.set_string("general.architecture", std::string(kArchitecture));
  to.set_uint(std::string(kTokensKey), static_cast<uint32_t>(moments.n_tokens));
  to.set_float(std::string(kInfluenceKey), static_cast<float>(moments.influence));
  for (const InputKind kind : kInputKinds) {
    const InputMoments& one = moments.of(kind);
    if (one.h.empty()) continue;
    const int64_t n = one.h.n_rows();
    const int64_t square[] = {n, n};
    AC_TRY(const std::span<std::byte> h,
           to.add_tensor(fmt::format("{}.h", input_kind_name(kind)), WeightFormat::kF32, square));
    auto* values = reinterpret_cast<float*>(h.data());
    for (int64_t i = 0; i < n * n; ++i) values[i] = static_cast<float>(one.h.data()[i]);
    const int64_t line[] = {n};
    AC_TRY(const std::span<std::byte> mean,
           to.add_tensor(fmt::format("{}.mean", input_kind_name(kind)), WeightFormat::kF32, line));
    values = reinterpret_cast<float*>(mean.data());
    for (size_t i = 0; i < one.mean.size(); ++i) values[i] = static_cast<float>(one.mean[i]);
  }
  return to;
}

Result<LayerMoments> moments_from_checkpoint(const Checkpoint& checkpoint) {
  LayerMoments moments;
  AC_TRY(moments.n_tokens, checkpoint.get_uint(kTokensKey, 1, UINT32_MAX));
  AC_TRY(moments.influence, checkpoint.get_number(kInfluenceKey));
  for (const InputKind kind : kInputKinds) {
    const std::string name = fmt::format("{}.h", input_kind_name(kind));
    if (checkpoint.tensors.find(name) == checkpoint.tensors.end()) continue;
    AC_TRY(const TensorView h, checkpoint.tensor(name));
    AC_TRY(const TensorView mean, checkpoint.tensor(fmt::format("{}.mean", input_kind_name(kind))));
    const int64_t n = h.n_cols();
    if (h.format != WeightFormat::kF32 || h.n_axes != 2 || h.n_rows() != n ||
        mean.format != WeightFormat::kF32 || mean.n_cols() != n) {
      return fail(ErrorCode::kCorruptFile, "{}: tensor {} is not a square of f32",
                  checkpoint.origin, name);
    }
    InputMoments& one = moments.of(kind);
    AC_TRY(one.h, Matrix::create(n, n));
    const auto* values = reinterpret_cast<const float*>(h.data);
    for (int64_t i = 0; i < n * n; ++i) one.h.data()[i] = static_cast<double>(values[i]);
    values = reinterpret_cast<const float*>(mean.data);
    one.mean.assign(values, values + n);
  }
  return moments;
}

}  // namespace ac
