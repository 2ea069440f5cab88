// The small kernels, compiled once per instruction set.
#include "cpu/kernels/small_kernels.h"

#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {

extern const SmallKernels small_kernels;
const SmallKernels small_kernels = {};

}  // namespace ac::cpu::AC_ISA
