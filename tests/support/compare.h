// How far two vectors are apart.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace ac::test {

// sum (actual - expected)^2 / sum expected^2. Anything that is not a number, or another length, is
// infinitely far.
template <class A, class B>
double nmse(std::span<const A> actual, std::span<const B> expected) {
  if (actual.size() != expected.size() || actual.empty()) {
    return std::numeric_limits<double>::infinity();
  }
  double error = 0;
  double energy = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double difference = static_cast<double>(actual[i]) - static_cast<double>(expected[i]);
    if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
    error += difference * difference;
    energy += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return energy > 0 ? error / energy : (error > 0 ? std::numeric_limits<double>::infinity() : 0);
}

}  // namespace ac::test
