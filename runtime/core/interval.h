// An estimate and how far it can be trusted.
#pragma once

#include <cmath>
#include <cstdint>

namespace ac {

struct Interval {
  double low = 0;
  double high = 0;
};

// The 95 % interval of a rate of which `right` of `n` are right: Wilson 1927, JASA 22(158). [0, 1] for
// n = 0.
inline Interval wilson_interval(double right, double n) {
  if (n <= 0) return {.low = 0, .high = 1};
  constexpr double kZ = 1.959963984540054;
  const double p = right / n;
  const double spread = kZ * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n));
  const double scale = 1 + kZ * kZ / n;
  const double middle = p + kZ * kZ / (2 * n);
  return {.low = (middle - spread) / scale, .high = (middle + spread) / scale};
}

// How often something succeeded.
struct SuccessCount {
  int64_t n = 0;
  int64_t right = 0;

  void add(bool success) {
    ++n;
    right += success ? 1 : 0;
  }
  double rate() const { return n > 0 ? static_cast<double>(right) / static_cast<double>(n) : 0; }

  Interval interval() const {
    return wilson_interval(static_cast<double>(right), static_cast<double>(n));
  }
};

}  // namespace ac
