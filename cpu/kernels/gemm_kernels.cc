// Products in bf16 and their table, compiled for the instruction sets that have them.
#include "cpu/kernels/gemm_bf16_inl.h"

namespace ac::cpu::AC_ISA {

extern const GemmKernels gemm_kernels;
const GemmKernels gemm_kernels = {
    .pack_a = pack_bf16_a,
    .pack_b = pack_bf16_b,
    .multiply = gemm_bf16,
};

}  // namespace ac::cpu::AC_ISA
