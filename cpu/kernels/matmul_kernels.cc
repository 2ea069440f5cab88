// All matrix kernels and their table, compiled once per instruction set (cmake/AddIsa.cmake).
#include "cpu/kernel_table.h"
#include "cpu/kernels/pack_inl.h"
#include "cpu/kernels/packed_inl.h"
#include "cpu/kernels/rows_inl.h"
#include "cpu/kernels/tiles_inl.h"
#include "cpu/simd/simd.h"
#if defined(AC_ISA_amx)
#include "cpu/kernels/amx_inl.h"
#endif

namespace ac::cpu::AC_ISA {

namespace {

template <class Format, Planes kPlanes = Planes::kOne>
constexpr PackedKernels packed_kernels() {
#if defined(AC_ISA_amx)
  return {.blocks = multiply_blocks<Format, kPlanes>, .amx = multiply_amx<Format, kPlanes>};
#else
  return {.blocks = multiply_blocks<Format, kPlanes>, .amx = nullptr};
#endif
}

}  // namespace

extern const MatmulKernels matmul_kernels;
const MatmulKernels matmul_kernels = {
    .prepare_blocks = prepare_blocks,
#if defined(AC_ISA_amx)
    .prepare_bf16_tiles = prepare_bf16_tiles,
#else
    .prepare_bf16_tiles = nullptr,
#endif
    .q8_0_r16 = packed_kernels<FormatQ8_0>(),
    .q6_k_r16 = packed_kernels<FormatQ6_K>(),
    .q5_k_r16 = packed_kernels<FormatQ5_K>(),
    .q5_1_r16 = packed_kernels<FormatQ5_1>(),
    .q5_0_r16 = packed_kernels<FormatQ5_0>(),
    .q4_k_r16 = packed_kernels<FormatQ4_K>(),
    .q4_1_r16 = packed_kernels<FormatQ4_1>(),
    .q4_0_r16 = packed_kernels<FormatQ4_0>(),
    .q3_k_r16 = packed_kernels<FormatQ3_K>(),
    .q2_k_r16 = packed_kernels<FormatQ2_K>(),
    .q4_0_r16_nested = packed_kernels<FormatQ4_0, Planes::kTwo>(),
    .rows_f32 = multiply_rows<RowF32>,
    .rows_f16 = multiply_rows<RowF16>,
    .rows_bf16 = multiply_rows<RowBf16>,
    .tiles_f32 = multiply_tiles<RowF32>,
    .tiles_f16 = multiply_tiles<RowF16>,
    .tiles_bf16 = multiply_tiles<RowBf16>,
    .pack_q8_0 = pack_matrix<GgufQ8>,
    .pack_q4_0 = pack_matrix<GgufQ4>,
    .unpack_q8_0 = unpack_matrix<GgufQ8>,
    .unpack_q4_0 = unpack_matrix<GgufQ4>,
};

}  // namespace ac::cpu::AC_ISA
