// All matrix kernels and their table, compiled once per instruction set (cmake/AddIsa.cmake).
#include "cpu/kernel_table.h"
#include "cpu/kernels/pack_inl.h"
#include "cpu/kernels/packed_inl.h"
#include "cpu/kernels/rows_inl.h"
#include "cpu/kernels/tiles_inl.h"
#include "cpu/simd/simd.h"
#if defined(AC_ISA_amx)
#include "cpu/kernels/amx_inl.h"
#include "cpu/kernels/gemm_bf16_inl.h"
#endif

namespace ac::cpu::AC_ISA {

extern const MatmulKernels matmul_kernels;
const MatmulKernels matmul_kernels = {
    .prepare_blocks = prepare_blocks,
    .blocks_q8_0_r16 = multiply_blocks<FormatQ8>,
    .blocks_q4_0_r16 = multiply_blocks<FormatQ4>,
    .rows_f32 = multiply_rows<RowF32>,
    .rows_f16 = multiply_rows<RowF16>,
    .rows_bf16 = multiply_rows<RowBf16>,
    .rows_decoded = multiply_rows_decoded,
    .tiles_f32 = multiply_tiles<RowF32>,
    .tiles_f16 = multiply_tiles<RowF16>,
    .tiles_bf16 = multiply_tiles<RowBf16>,
    .tiles_decoded = multiply_tiles_decoded,
#if defined(AC_ISA_amx)
    .prepare_bf16_tiles = prepare_bf16_tiles,
    .amx_q8_0_r16 = multiply_amx<PanelQ8>,
    .amx_q4_0_r16 = multiply_amx<PanelQ4>,
    .amx_decoded = multiply_amx<PanelDecoded>,
    .pack_bf16_a = pack_bf16_a,
    .pack_bf16_b = pack_bf16_b,
    .gemm_bf16 = gemm_bf16,
#else
    .prepare_bf16_tiles = nullptr,
    .amx_q8_0_r16 = nullptr,
    .amx_q4_0_r16 = nullptr,
    .amx_decoded = nullptr,
    .pack_bf16_a = nullptr,
    .pack_bf16_b = nullptr,
    .gemm_bf16 = nullptr,
#endif
    .pack_q8_0 = pack_matrix<GgufQ8>,
    .pack_q4_0 = pack_matrix<GgufQ4>,
    .unpack_q8_0 = unpack_matrix<GgufQ8>,
    .unpack_q4_0 = unpack_matrix<GgufQ4>,
};

}  // namespace ac::cpu::AC_ISA
