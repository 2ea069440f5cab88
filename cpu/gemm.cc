#include "cpu/gemm.h"

#include <cblas.h>

#include <cstring>

#include "runtime/core/check.h"

namespace ac::cpu {
namespace {

constexpr size_t kSquareRows = 32;
constexpr size_t kStepColumns = 32;
constexpr size_t kStepBytes = 2048;
constexpr size_t kPageBytes = 4096;

size_t steps_of(size_t k) { return (k + 63) / 64 * 2; }

// Where tiles lie matters (kernels/amx_inl.h): A begins at a multiple of 4096, B 2048 past one.
std::byte* aligned(std::byte* memory, bool is_a) {
  const uintptr_t page = (reinterpret_cast<uintptr_t>(memory) + kPageBytes - 1) & ~(kPageBytes - 1);
  return reinterpret_cast<std::byte*>(page) + (is_a ? 0 : kStepBytes);
}

size_t tile_bytes(size_t n_rows, size_t k) {
  return (n_rows + kSquareRows - 1) / kSquareRows * steps_of(k) * kStepBytes + kPageBytes +
         kStepBytes;
}

}  // namespace

GemmKind Gemm::best_kind(const Isa& isa) {
  return isa.gemm() != nullptr ? GemmKind::kBf16 : GemmKind::kF32;
}

Gemm::Gemm(const Isa& isa, GemmKind kind) : gemm_(isa.gemm()), kind_(kind) {
  AC_CHECK(kind == GemmKind::kF32 || gemm_ != nullptr);
  openblas_set_num_threads(1);
}

size_t Gemm::packed_bytes(size_t n_rows, size_t k) const {
  return kind_ == GemmKind::kBf16 ? tile_bytes(n_rows, k) : 0;
}

GemmOperand Gemm::a_from(const GemmSource& from, std::byte* memory) const noexcept {
  if (kind_ == GemmKind::kBf16) {
    const GemmOperand whole = collected(from.n_rows, from.n_columns, false, true, memory);
    collect_a(whole, from, 0);
    return whole;
  }
  return {.data = reinterpret_cast<const std::byte*>(from.data),
          .n_rows = from.n_rows,
          .k = from.n_columns,
          .stride = from.stride,
          .is_transposed = from.is_transposed};
}

GemmOperand Gemm::b_from(const GemmSource& from, std::byte* memory) const noexcept {
  if (kind_ == GemmKind::kF32) return a_from(from, memory);
  const GemmOperand whole = collected(from.n_rows, from.n_columns, false, false, memory);
  collect_b(whole, from, 0);
  return whole;
}

size_t Gemm::collected_bytes(size_t n_rows, size_t k) const {
  return kind_ == GemmKind::kBf16 ? tile_bytes(n_rows, k) : n_rows * k * sizeof(float);
}

GemmOperand Gemm::collected(size_t n_rows, size_t k, bool is_transposed, bool is_a,
                            std::byte* memory) const noexcept {
  if (kind_ == GemmKind::kBf16) {
    return {.data = aligned(memory, is_a), .n_rows = n_rows, .k = k, .steps = steps_of(k)};
  }
  return {.data = memory,
          .n_rows = n_rows,
          .k = k,
          .stride = is_transposed ? n_rows : k,
          .is_transposed = is_transposed};
}

void Gemm::collect(const GemmOperand& whole, const GemmSource& from, size_t k_begin,
                   Pack GemmKernels::*pack) const noexcept {
  auto* to = const_cast<std::byte*>(whole.data);
  if (kind_ == GemmKind::kBf16) {
    return (gemm_->*pack)({.from = from.data,
                 .stride = from.stride,
                 .is_transposed = from.is_transposed,
                 .n_rows = from.n_rows,
                 .n_columns = from.n_columns,
                 .to = to,
                 .steps = whole.steps,
                 .step_begin = k_begin / kStepColumns});
  }
  AC_DCHECK(whole.is_transposed == from.is_transposed);
  const size_t n_lines = from.is_transposed ? from.n_columns : from.n_rows;
  const size_t n_in_line = from.is_transposed ? from.n_rows : from.n_columns;
  float* out = reinterpret_cast<float*>(to) + (from.is_transposed ? k_begin * whole.stride : k_begin);
  for (size_t i = 0; i < n_lines; ++i) {
    std::memcpy(out + i * whole.stride, from.data + i * from.stride, n_in_line * sizeof(float));
  }
}

void Gemm::collect_a(const GemmOperand& whole, const GemmSource& from,
                     size_t k_begin) const noexcept {
  collect(whole, from, k_begin, &GemmKernels::pack_a);
}

void Gemm::collect_b(const GemmOperand& whole, const GemmSource& from,
                     size_t k_begin) const noexcept {
  collect(whole, from, k_begin, &GemmKernels::pack_b);
}

GemmOperand Gemm::rows(const GemmOperand& operand, size_t begin, size_t n) const noexcept {
  GemmOperand part = operand;
  part.n_rows = n;
  part.data += kind_ == GemmKind::kBf16 ? begin / kSquareRows * operand.steps * kStepBytes
               : operand.is_transposed  ? begin * sizeof(float)
                                        : begin * operand.stride * sizeof(float);
  return part;
}

void Gemm::multiply(const GemmOperand& a, const GemmOperand& b, float* c, size_t c_stride,
                    Store store) const noexcept {
  if (kind_ == GemmKind::kBf16) {
    return gemm_->multiply({.a = a.data,
                                   .a_steps = a.steps,
                                   .b = b.data,
                                   .b_steps = b.steps,
                                   .steps = steps_of(a.k),
                                   .c = c,
                                   .c_stride = c_stride,
                                   .m = a.n_rows,
                                   .n = b.n_rows,
                                   .accumulates = store == Store::kAdd});
  }
  const auto blas = [](size_t n) { return static_cast<blasint>(n); };
  cblas_sgemm(CblasRowMajor, a.is_transposed ? CblasTrans : CblasNoTrans,
              b.is_transposed ? CblasNoTrans : CblasTrans, blas(a.n_rows), blas(b.n_rows),
              blas(a.k), 1.0f, reinterpret_cast<const float*>(a.data), blas(a.stride),
              reinterpret_cast<const float*>(b.data), blas(b.stride),
              store == Store::kAdd ? 1.0f : 0.0f, c, blas(c_stride));
}

}  // namespace ac::cpu
