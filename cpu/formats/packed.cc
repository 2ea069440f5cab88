#include "cpu/formats/packed.h"

#include "runtime/core/check.h"

namespace ac::cpu {

WeightFormat packed_format(WeightFormat format) {
  if (format == WeightFormat::kQ8_0) return WeightFormat::kQ8_0_R16;
  if (format == WeightFormat::kQ4_0) return WeightFormat::kQ4_0_R16;
  return format;
}

WeightFormat unpacked_format(WeightFormat format) {
  if (format == WeightFormat::kQ8_0_R16) return WeightFormat::kQ8_0;
  if (format == WeightFormat::kQ4_0_R16) return WeightFormat::kQ4_0;
  return format;
}

void pack_groups(const MatmulKernels& kernels, WeightFormat format, const PackArgs& args) {
  AC_CHECK(format == WeightFormat::kQ8_0 || format == WeightFormat::kQ4_0);
  AC_CHECK(args.n_in % 32 == 0);
  (format == WeightFormat::kQ8_0 ? kernels.pack_q8_0 : kernels.pack_q4_0)(args);
}

void unpack_groups(const MatmulKernels& kernels, WeightFormat format, const PackArgs& args) {
  AC_CHECK(format == WeightFormat::kQ8_0 || format == WeightFormat::kQ4_0);
  AC_CHECK(args.n_in % 32 == 0);
  (format == WeightFormat::kQ8_0 ? kernels.unpack_q8_0 : kernels.unpack_q4_0)(args);
}

}  // namespace ac::cpu
