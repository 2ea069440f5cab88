#include "cpu/isa.h"

#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace ac::cpu {

#define AC_DECLARE_ISA(isa)                  \
  namespace isa {                            \
  extern const MatmulKernels matmul_kernels; \
  extern const SmallKernels small_kernels;   \
  extern const TrainKernels train_kernels;   \
  }
#define AC_ISA_ROW(isa, is_supported, gemm) \
  { \
    #isa, &isa::matmul_kernels, &isa::small_kernels, &isa::train_kernels, is_supported, gemm \
  }

AC_DECLARE_ISA(scalar)
#if defined(__x86_64__)
AC_DECLARE_ISA(amx)
AC_DECLARE_ISA(avx512)
AC_DECLARE_ISA(avx_vnni)
AC_DECLARE_ISA(avx2)
namespace amx {
extern const GemmKernels gemm_kernels;
}
namespace avx512_bf16 {
extern const GemmKernels gemm_kernels;
}
#elif defined(__aarch64__)
AC_DECLARE_ISA(neon)
#endif

namespace {

bool always() { return true; }

const GemmKernels* no_gemm() { return nullptr; }

#if defined(__x86_64__)

struct Cpuid {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Cpuid cpuid(unsigned leaf, unsigned subleaf) {
  Cpuid r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

bool bit(unsigned word, int index) { return ((word >> index) & 1u) != 0; }

// The register files that the operating system saves, from XCR0.
uint64_t saved_state() {
  if (!bit(cpuid(1, 0).ecx, 27)) return 0;  // OSXSAVE
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}
constexpr uint64_t kSavedAvx = 0x6;
constexpr uint64_t kSavedAvx512 = 0xe6;
constexpr uint64_t kSavedTiles = 0x60000;

bool has_avx2() {
  const Cpuid basic = cpuid(1, 0);
  return (saved_state() & kSavedAvx) == kSavedAvx && bit(basic.ecx, 28) /* AVX */ &&
         bit(basic.ecx, 12) /* FMA */ && bit(basic.ecx, 29) /* F16C */ &&
         bit(cpuid(7, 0).ebx, 5) /* AVX2 */;
}

bool has_avx_vnni() { return has_avx2() && bit(cpuid(7, 1).eax, 4); }

bool has_avx512() {
  const Cpuid extended = cpuid(7, 0);
  return has_avx2() && (saved_state() & kSavedAvx512) == kSavedAvx512 &&
         bit(extended.ebx, 16) /* F */ && bit(extended.ebx, 17) /* DQ */ &&
         bit(extended.ebx, 30) /* BW */ && bit(extended.ebx, 31) /* VL */ &&
         bit(extended.ecx, 11) /* VNNI */;
}

// The tile registers are 8 KiB of state a thread, so Linux gives them only to processes that ask.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool has_avx512_bf16() { return has_avx512() && bit(cpuid(7, 1).eax, 5); }

const GemmKernels* amx_gemm() { return &amx::gemm_kernels; }
const GemmKernels* avx512_gemm() {
  static const bool has = has_avx512_bf16();
  return has ? &avx512_bf16::gemm_kernels : nullptr;
}

bool has_amx() {
  const Cpuid extended = cpuid(7, 0);
  return has_avx512_bf16() &&
         (saved_state() & kSavedTiles) == kSavedTiles && bit(extended.edx, 24) /* TILE */ &&
         bit(extended.edx, 22) /* BF16 */ && bit(extended.edx, 25) /* INT8 */ && may_use_tiles();
}

#elif defined(__aarch64__)

bool has_neon() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }

#endif

// Best first.
const Isa kIsas[] = {
#if defined(__x86_64__)
    AC_ISA_ROW(amx, has_amx, amx_gemm),
    AC_ISA_ROW(avx512, has_avx512, avx512_gemm),
    AC_ISA_ROW(avx_vnni, has_avx_vnni, no_gemm),
    AC_ISA_ROW(avx2, has_avx2, no_gemm),
#elif defined(__aarch64__)
    AC_ISA_ROW(neon, has_neon, no_gemm),
#endif
    AC_ISA_ROW(scalar, always, no_gemm),
};

std::string names() {
  std::string list;
  for (const Isa& isa : kIsas) list += fmt::format("{}{}", list.empty() ? "" : ", ", isa.name);
  return list;
}

Result<const Isa*> look_up() {
  const char* forced = std::getenv("AC_FORCE_ISA");
  const std::string_view wanted = forced == nullptr ? "" : forced;
  for (const Isa& isa : kIsas) {
    if (!wanted.empty() && isa.name != wanted) continue;
    if (isa.is_supported()) return &isa;
    if (!wanted.empty()) {
      return fail(ErrorCode::kUnsupported, "AC_FORCE_ISA={}: this processor does not have it",
                  wanted);
    }
  }
  return fail(ErrorCode::kInvalidArgument, "AC_FORCE_ISA={}: unknown, expected one of {}", wanted,
              names());
}

}  // namespace

std::span<const Isa> isas() { return kIsas; }

Result<const Isa*> choose_isa() {
  static const Result<const Isa*> chosen = look_up();
  return chosen;
}

}  // namespace ac::cpu
