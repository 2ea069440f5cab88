// The instruction sets for which there are kernels, best first, and the choice among them.
#pragma once

#include <span>
#include <string_view>

#include "cpu/kernel_table.h"
#include "cpu/kernels/small_kernels.h"
#include "cpu/kernels/train_kernels.h"
#include "runtime/core/result.h"

namespace ac::cpu {

struct Isa {
  std::string_view name;  // as AC_FORCE_ISA takes it: "avx512"
  const MatmulKernels* matmul;
  const SmallKernels* small;
  const TrainKernels* train;
  bool (*is_supported)();  // by this processor and this operating system
  // Null where this set, or this processor of the set, has no products in bf16.
  const GemmKernels* (*gemm)();
};

// Those compiled in, best first. The last, "scalar", runs everywhere.
std::span<const Isa> isas();

// The ISA named by the environment's AC_FORCE_ISA, else the best supported one. Looked up once; the
// same for the life of the process. Thread safe.
// Errors: kInvalidArgument for an unknown name, kUnsupported when this processor lacks it.
Result<const Isa*> choose_isa();

}  // namespace ac::cpu
