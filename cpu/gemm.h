// C[m, n] = A[m, k] B[n, k]^T, the product that training is made of, in two kinds:
//   kBf16  AMX tiles or dot products of AVX-512: operands rounded to bf16 while they are packed, f32
//          sums
//   kF32   OpenBLAS, one thread a call; operands are used where they lie
//
// An operand may be stored transposed. Nothing here starts threads: callers split m, n and the
// packing over a ThreadTeam. Every element of C is one sum over k in an order that depends on k
// alone, so that any split of m (by 32) and n (by 32) gives the same bits with kBf16; with kF32 the
// split itself must not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/isa.h"

namespace ac::cpu {

enum class GemmKind { kF32, kBf16 };

// A matrix [n_rows, n_columns] of floats, stored as [n_columns, n_rows] when is_transposed; `stride`
// floats from one stored row to the next.
struct GemmSource {
  const float* data = nullptr;
  size_t n_rows = 0;
  size_t n_columns = 0;
  size_t stride = 0;
  bool is_transposed = false;
};

// One side of a product, ready to be multiplied: A or B, [n_rows, k].
struct GemmOperand {
  const std::byte* data = nullptr;
  size_t n_rows = 0;
  size_t k = 0;
  size_t steps = 0;  // kBf16: of 32 columns, from one square of 32 rows to the next
  size_t stride = 0;  // kF32, as GemmSource has it
  bool is_transposed = false;
};

class Gemm {
 public:
  // kBf16 where the kernels have it, else kF32.
  static GemmKind best_kind(const Isa& isa);
  // REQUIRES: the kernels have `kind`.
  Gemm(const Isa& isa, GemmKind kind);

  GemmKind kind() const { return kind_; }
  // Bytes of a packed operand [n_rows, k], 64-byte aligned; 0 where nothing is packed.
  size_t packed_bytes(size_t n_rows, size_t k) const;

  // `memory` has packed_bytes(n_rows, n_columns) and outlives the operand; so does `from` with kF32.
  GemmOperand a_from(const GemmSource& from, std::byte* memory) const noexcept;
  GemmOperand b_from(const GemmSource& from, std::byte* memory) const noexcept;

  // An operand put together from ranges of its columns, copied. `memory` has collected_bytes().
  // Ranges begin at multiples of 64 and are written by any thread in any order.
  size_t collected_bytes(size_t n_rows, size_t k) const;
  GemmOperand collected(size_t n_rows, size_t k, bool is_transposed, bool is_a,
                        std::byte* memory) const noexcept;
  void collect_a(const GemmOperand& whole, const GemmSource& from, size_t k_begin) const noexcept;
  void collect_b(const GemmOperand& whole, const GemmSource& from, size_t k_begin) const noexcept;

  // Rows [begin, begin + n) of an operand; begin is a multiple of 32.
  GemmOperand rows(const GemmOperand& operand, size_t begin, size_t n) const noexcept;

  // C [a.n_rows, b.n_rows] = or += the product over a.k columns; b.k >= a.k, and b is finite in the
  // columns that pad a.k to a multiple of 64.
  enum class Store { kAssign, kAdd };
  void multiply(const GemmOperand& a, const GemmOperand& b, float* c, size_t c_stride,
                Store store) const noexcept;

 private:
  using Pack = void (*)(const PackBf16Args&) noexcept;
  void collect(const GemmOperand& whole, const GemmSource& from, size_t k_begin,
               Pack GemmKernels::*pack) const noexcept;

  const GemmKernels* gemm_;  // null: kF32 only
  GemmKind kind_;
};

}  // namespace ac::cpu
