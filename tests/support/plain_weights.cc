#include "tests/support/plain_weights.h"

#include <cmath>
#include <cstring>

#include "cpu/formats/codecs.h"

namespace ac::test {
namespace {

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// IEEE 754 binary16 by its definition.
double half_to_double(uint16_t bits) {
  const double sign = (bits & 0x8000u) != 0 ? -1.0 : 1.0;
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

double bfloat_to_double(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return static_cast<double>(value);
}

}  // namespace

std::vector<double> plain_weights(const TensorView& view) {
  const auto n = static_cast<size_t>(view.n_rows() * view.n_cols());
  std::vector<double> out(n);
  switch (view.format) {
    case WeightFormat::kF32:
      for (size_t i = 0; i < n; ++i) out[i] = static_cast<double>(load<float>(view.data + 4 * i));
      return out;
    case WeightFormat::kF16:
      for (size_t i = 0; i < n; ++i) out[i] = half_to_double(load<uint16_t>(view.data + 2 * i));
      return out;
    case WeightFormat::kBF16:
      for (size_t i = 0; i < n; ++i) out[i] = bfloat_to_double(load<uint16_t>(view.data + 2 * i));
      return out;
    case WeightFormat::kQ8_0:
      for (size_t i = 0; i < n; ++i) {
        const std::byte* block = view.data + i / 32 * 34;
        out[i] = half_to_double(load<uint16_t>(block)) * load<int8_t>(block + 2 + i % 32);
      }
      return out;
    default:
      break;
  }
  const auto n_cols = static_cast<size_t>(view.n_cols());
  std::vector<float> row(n_cols);
  for (size_t r = 0; r < static_cast<size_t>(view.n_rows()); ++r) {
    cpu::codec(view.format)
        .decode_row(view.data + r * cpu::row_bytes(view.format, n_cols), row.data(), n_cols);
    for (size_t c = 0; c < n_cols; ++c) out[r * n_cols + c] = static_cast<double>(row[c]);
  }
  return out;
}

}  // namespace ac::test
