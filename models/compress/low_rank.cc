#include "models/compress/low_rank.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/compress/tensor_values.h"

namespace ac {
namespace {

double tail_share(const std::vector<double>& energies, int64_t rank) {
  const double all = std::accumulate(energies.begin(), energies.end(), 0.0);
  const double tail = std::accumulate(energies.begin() + rank, energies.end(), 0.0);
  return all > 0 ? tail / all : 0;
}

// A point of a matrix's trade: rank (0: dense), multiplications, loss.
struct Point {
  int64_t rank;
  double macs;
  double loss;
};

// From dense to the smallest rank, only points on the lower convex hull.
std::vector<Point> hull_of(const RankChoice& choice, int64_t unit) {
  std::vector<Point> hull = {
      {0, static_cast<double>(choice.n_out) * static_cast<double>(choice.n_in), 0}};
  const auto slope = [](const Point& a, const Point& b) {
    return (b.loss - a.loss) / (a.macs - b.macs);
  };
  for (int64_t rank = largest_rank(choice.n_out, choice.n_in, unit); rank >= unit; rank -= unit) {
    const Point next{rank,
                     static_cast<double>(rank) * static_cast<double>(choice.n_out + choice.n_in),
                     tail_share(choice.energies, rank)};
    while (hull.size() >= 2 && slope(hull[hull.size() - 2], next) <=
                                   slope(hull[hull.size() - 2], hull[hull.size() - 1])) {
      hull.pop_back();
    }
    hull.push_back(next);
  }
  return hull;
}

// One matrix, or q, k and v as one, of a layer.
struct Target {
  int32_t layer;
  std::string label;               // for notes and part names: "q", "o", "qkv"
  std::vector<std::string> names;  // of the tensors, one below the other, without ".weight"
  std::string inner;               // where the inner factor goes, without ".weight"
  InputKind input;
};

class Factoriser {
 public:
  Factoriser(const Stage& stage, const LowRankOptions& options, ModelConfig config)
      : stage_(stage), options_(options), config_(std::move(config)), team_(stage.team()) {}

  Result<StageResult> run() {
    if (!(options_.keep > 0 && options_.keep < 1) || options_.unit < 1) {
      return fail(ErrorCode::kInvalidArgument,
                  "cannot keep {} of the multiplications at ranks in "
                  "units of {}",
                  options_.keep, options_.unit);
    }
    find_targets();
    if (targets_.empty()) {
      return fail(ErrorCode::kInvalidArgument, "{}: nothing to factor", stage_.from().origin);
    }
    const uint64_t total = 2 * targets_.size();
    std::vector<RankChoice> choices;
    for (size_t i = 0; i < targets_.size(); ++i) {
      const Target& target = targets_[i];
      stage_.progress(i, total, fmt::format("spectrum of layer {} {}", target.layer, target.label));
      AC_TRY(RankChoice choice, examine(target));
      choices.push_back(std::move(choice));
    }
    const std::vector<int64_t> ranks = share_ranks(choices, options_.keep, options_.unit);
    StageResult result;
    std::vector<Part> parts;
    for (size_t i = 0; i < targets_.size(); ++i) {
      const Target& target = targets_[i];
      stage_.progress(targets_.size() + i + 1, total,
                      fmt::format("layer {} {}", target.layer, target.label));
      if (ranks[i] == 0) {
        const int64_t m = choices[i].n_out, n = choices[i].n_in;
        if (largest_rank(m, n, options_.unit) == 0) {
          result.notes.push_back(fmt::format(
              "blk.{}.{}: dense, a rank of {} would do {} of {} multiplications", target.layer,
              target.label, options_.unit, options_.unit * (m + n), m * n));
        }
        continue;
      }
      AC_TRY(Part part, stage_.part(fmt::format("layer{:03}-{}", target.layer, target.label),
                                    [&] { return factor(target, ranks[i]); }));
      result.notes.push_back(fmt::format("blk.{}.{}: rank {} of {}", target.layer, target.label,
                                         ranks[i], std::min(choices[i].n_out, choices[i].n_in)));
      parts.push_back(std::move(part));
    }
    result.checkpoint = assemble(stage_.shared_from(), std::move(parts));
    return result;
  }

 private:
  void find_targets() {
    for (int32_t layer = 0; layer < static_cast<int32_t>(config_.layers.size()); ++layer) {
      const auto there = [&](std::string_view name) {
        return has_tensor(stage_.from(), layer_tensor(layer, name));
      };
      const bool fused = there("attn_qkv");
      if (fused && (options_.q || options_.joint_qkv)) {
        targets_.push_back({layer, "qkv", {"attn_qkv"}, "attn_qkv", InputKind::kAttention});
      } else if (options_.joint_qkv && there("attn_q") && there("attn_k") && there("attn_v")) {
        targets_.push_back(
            {layer, "qkv", {"attn_q", "attn_k", "attn_v"}, "attn_qkv", InputKind::kAttention});
      } else if (options_.q && there("attn_q")) {
        targets_.push_back({layer, "q", {"attn_q"}, "attn_q", InputKind::kAttention});
      }
      if (options_.o && there("attn_output")) {
        targets_.push_back({layer, "o", {"attn_output"}, "attn_output", InputKind::kOutput});
      }
    }
  }

  // The target's rows, those of each tensor divided by the strength of its output, so that q, k and
  // v weigh the same in a joint spectrum.
  struct Stacked {
    Matrix w;
    std::vector<int64_t> rows;   // of each tensor
    std::vector<double> scales;  // each was multiplied by
  };
  Result<Stacked> stack(const Target& target, const Matrix& h) {
    Stacked stacked;
    std::vector<Matrix> tensors;
    int64_t n_rows = 0;
    for (const std::string& name : target.names) {
      AC_TRY(Matrix w, read_matrix(stage_.from(), layer_tensor(target.layer, name), team_));
      n_rows += w.n_rows();
      double scale = 1;
      if (target.names.size() > 1) {
        AC_TRY(const double energy, quadratic_loss(w, h, team_));
        scale = energy > 0 ? 1 / std::sqrt(energy) : 1;
      }
      stacked.scales.push_back(scale);
      stacked.rows.push_back(w.n_rows());
      tensors.push_back(std::move(w));
    }
    AC_TRY(stacked.w, Matrix::create(n_rows, tensors[0].n_cols()));
    int64_t row = 0;
    for (size_t t = 0; t < tensors.size(); ++t) {
      for (int64_t i = 0; i < tensors[t].n_rows(); ++i, ++row) {
        const auto from = tensors[t].row(i);
        const auto to = stacked.w.row(row);
        for (size_t j = 0; j < from.size(); ++j) to[j] = from[j] * stacked.scales[t];
      }
    }
    return stacked;
  }

  Result<RankChoice> examine(const Target& target) {
    AC_TRY(const Part part,
           stage_.shared_part(
               options_.weighted ? "spectrum" : "spectrum unweighted",
               fmt::format("spectrum{:03}-{}", target.layer, target.label),
               [&]() -> Result<Part> {
                 Part made;
                 AC_TRY(const Matrix h, moments_of(target));
                 AC_TRY(const Stacked stacked, stack(target, h));
                 AC_TRY(const OutputSpectrum spectrum, output_spectrum(stacked.w, h, team_));
                 const std::vector<float> energies(spectrum.energies.begin(),
                                                   spectrum.energies.end());
                 made.tensors.set_floats("energies", energies);
                 made.tensors.set_uint("n_in", static_cast<uint32_t>(h.n_rows()));
                 return made;
               }));
    RankChoice choice;
    AC_TRY(const std::vector<float> energies, part.tensors.get_floats("energies"));
    AC_TRY(const uint64_t n_in, part.tensors.get_uint("n_in", 1, UINT32_MAX));
    choice.energies.assign(energies.begin(), energies.end());
    choice.n_out = static_cast<int64_t>(energies.size());
    choice.n_in = static_cast<int64_t>(n_in);
    return choice;
  }

  Status write_pair(Part& part, const Target& target, const Stacked& stacked,
                    const OutputSpectrum& spectrum, int64_t rank) {
    AC_TRY(LowRankPair pair, factor_along(spectrum, stacked.w, rank, team_));
    AC_TRY_STATUS(add_matrix(part.tensors, layer_tensor(target.layer, target.inner + ".lowrank_in"),
                             pair.in));
    int64_t row = 0;
    for (size_t t = 0; t < target.names.size(); ++t) {
      AC_TRY(Matrix out, Matrix::create(stacked.rows[t], rank));
      for (int64_t i = 0; i < out.n_rows(); ++i, ++row) {
        const auto from = pair.out.row(row);
        for (int64_t j = 0; j < rank; ++j) {
          out(i, j) = from[static_cast<size_t>(j)] / stacked.scales[t];
        }
      }
      AC_TRY_STATUS(add_matrix(part.tensors,
                               layer_tensor(target.layer, target.names[t] + ".lowrank_out"), out));
      part.removed.push_back(layer_tensor(target.layer, target.names[t]));
    }
    return {};
  }

  // Second moments of what the target reads; all inputs alike where they are not to count.
  Result<Matrix> moments_of(const Target& target) {
    AC_TRY(LayerMoments moments, stage_.moments(target.layer));
    Matrix h = std::move(moments.of(target.input).h);
    if (options_.weighted) return h;
    for (int64_t i = 0; i < h.n_rows(); ++i) {
      for (int64_t j = 0; j < h.n_cols(); ++j) h(i, j) = i == j ? 1 : 0;
    }
    return h;
  }

  Result<Part> factor(const Target& target, int64_t rank) {
    Part part;
    AC_TRY(const Matrix h, moments_of(target));
    AC_TRY(const Stacked stacked, stack(target, h));
    AC_TRY(const OutputSpectrum spectrum, output_spectrum(stacked.w, h, team_));
    AC_TRY_STATUS(write_pair(part, target, stacked, spectrum, rank));
    return part;
  }

  const Stage& stage_;
  const LowRankOptions& options_;
  ModelConfig config_;
  cpu::ThreadTeam& team_;
  std::vector<Target> targets_;
};

}  // namespace

Result<OutputSpectrum> output_spectrum(const Matrix& w, const Matrix& h, cpu::ThreadTeam& team) {
  AC_TRY(const Matrix wh, product(w, h, Transposed::kNo, team));
  AC_TRY(Matrix m, product(wh, w, Transposed::kYes, team));
  // Symmetric but for rounding.
  for (int64_t i = 0; i < m.n_rows(); ++i) {
    for (int64_t j = 0; j < i; ++j) m(i, j) = m(j, i) = 0.5 * (m(i, j) + m(j, i));
  }
  AC_TRY(const Eigen eigen, eigen_symmetric(std::move(m)));
  OutputSpectrum spectrum;
  const int64_t n = w.n_rows();
  AC_TRY(spectrum.directions, Matrix::create(n, n));
  for (int64_t i = 0; i < n; ++i) {
    const auto from = eigen.vectors.row(n - 1 - i);
    std::copy(from.begin(), from.end(), spectrum.directions.row(i).begin());
    spectrum.energies.push_back(std::max(0.0, eigen.values[static_cast<size_t>(n - 1 - i)]));
  }
  return spectrum;
}

Result<LowRankPair> factor_along(const OutputSpectrum& spectrum, const Matrix& w, int64_t rank,
                                 cpu::ThreadTeam& team) {
  AC_CHECK(rank >= 1 && rank <= w.n_rows());
  AC_TRY(Matrix leading, Matrix::create(rank, w.n_rows()));
  for (int64_t i = 0; i < rank; ++i) {
    const auto from = spectrum.directions.row(i);
    std::copy(from.begin(), from.end(), leading.row(i).begin());
  }
  LowRankPair pair;
  AC_TRY(pair.in, product(leading, w, Transposed::kNo, team));
  AC_TRY(pair.out, transpose_of(leading));
  return pair;
}

int64_t largest_rank(int64_t n_out, int64_t n_in, int64_t unit) {
  const double bound = kWorthwhile * static_cast<double>(n_out) * static_cast<double>(n_in) /
                       static_cast<double>(n_out + n_in);
  auto rank = static_cast<int64_t>(bound) / unit * unit;
  if (static_cast<double>(rank) >= bound) rank -= unit;
  return std::max<int64_t>(0, std::min(rank, std::min(n_out, n_in) / unit * unit));
}

std::vector<int64_t> share_ranks(const std::vector<RankChoice>& choices, double keep,
                                 int64_t unit) {
  std::vector<std::vector<Point>> hulls;
  double macs = 0;
  for (const RankChoice& choice : choices) {
    hulls.push_back(hull_of(choice, unit));
    macs += hulls.back()[0].macs;
  }
  const double budget = keep * macs;
  std::vector<size_t> at(choices.size(), 0);
  while (macs > budget) {
    size_t best = choices.size();
    double least = INFINITY;
    for (size_t i = 0; i < choices.size(); ++i) {
      if (at[i] + 1 >= hulls[i].size()) continue;
      const Point& from = hulls[i][at[i]];
      const Point& to = hulls[i][at[i] + 1];
      const double cost = (to.loss - from.loss) / (from.macs - to.macs);
      if (cost < least) {
        least = cost;
        best = i;
      }
    }
    if (best == choices.size()) break;
    macs -= hulls[best][at[best]].macs - hulls[best][at[best] + 1].macs;
    ++at[best];
  }
  std::vector<int64_t> ranks;
  for (size_t i = 0; i < choices.size(); ++i) ranks.push_back(hulls[i][at[i]].rank);
  // A hull's last step may have gone far below the budget: what is over goes where it gains most.
  while (true) {
    size_t best = choices.size();
    double most = 0, added = 0;
    for (size_t i = 0; i < choices.size(); ++i) {
      const RankChoice& choice = choices[i];
      const int64_t next = ranks[i] + unit;
      const auto more = static_cast<double>(unit * (choice.n_out + choice.n_in));
      if (ranks[i] == 0 || next > largest_rank(choice.n_out, choice.n_in, unit) ||
          macs + more > budget) {
        continue;
      }
      const double gain =
          (tail_share(choice.energies, ranks[i]) - tail_share(choice.energies, next)) / more;
      if (gain > most) {
        most = gain;
        added = more;
        best = i;
      }
    }
    if (best == choices.size()) break;
    macs += added;
    ranks[best] += unit;
  }
  return ranks;
}

Result<StageResult> low_rank(const Stage& stage, const LowRankOptions& options) {
  AC_TRY(ModelConfig config, read_model_config(stage.from()));
  return Factoriser(stage, options, std::move(config)).run();
}

}  // namespace ac
