// Logistic regression on sparse rows with a penalty on the squared length of the weights, by L-BFGS
// (Nocedal 1980; Liu and Nocedal 1989) in double precision. One thread, no chance: the same rows
// give the same bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace ac {

struct SparseRows {
  std::vector<size_t> begin = {0};  // [n_rows + 1]
  std::vector<uint16_t> columns;    // of row r: begin[r] .. begin[r + 1]
  std::vector<float> values;
  size_t n_columns = 0;  // every column is below it

  size_t size() const { return begin.size() - 1; }
  void add(uint16_t column, float value) {
    columns.push_back(column);
    values.push_back(value);
  }
  void end_row() { begin.push_back(columns.size()); }
};

struct LogisticModel {
  std::vector<double> weights;  // [n_columns]
  double bias = 0;
  double logit(const SparseRows& rows, size_t row) const;
};

inline float probability(double logit) { return static_cast<float>(1 / (1 + std::exp(-logit))); }

// -y log p - (1 - y) log(1 - p) with p = sigmoid(z), in a form that does not overflow.
double cross_entropy(double z, double y);

struct LogisticOptions {
  double penalty = 1;  // of the sum over rows of cross entropy + penalty / 2 |weights|^2
  int max_iterations = 60;
  double tolerance = 1e-5;  // stop when a step gains less than this share of the loss
};
// `which` rows, labels[r] in [0, 1] for row r. Starts from `start` where it has weights.
LogisticModel fit_logistic(const SparseRows& rows, std::span<const uint32_t> which,
                           std::span<const float> labels, const LogisticOptions& options,
                           const LogisticModel& start = {});

// Platt (1999): scale and shift of logits that make sigmoid(scale * z + shift) match the labels
// best, held near (1, 0) by a pull worth a few rows.
struct Calibration {
  double scale = 1;
  double shift = 0;
};
Calibration calibrate(std::span<const double> logits, std::span<const float> labels);

}  // namespace ac
