// Which instruction set runs: the forced one, or an error; the list is complete and in order.
#include "cpu/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace ac::cpu {
namespace {

TEST(Isa, ForcedOneIsChosen) {
  const char* forced = std::getenv("AC_FORCE_ISA");
  Result<const Isa*> chosen = choose_isa();
  if (forced == nullptr) {
    ASSERT_TRUE(chosen) << chosen.error().message;
    // The first supported one, and so the best.
    for (const Isa& isa : isas()) {
      if (&isa == *chosen) break;
      EXPECT_FALSE(isa.is_supported()) << isa.name;
    }
    return;
  }
  if (std::string_view(forced) == "no-such-isa") {
    ASSERT_FALSE(chosen);
    EXPECT_EQ(chosen.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(chosen.error().message.find("no-such-isa"), std::string::npos);
    EXPECT_NE(chosen.error().message.find("scalar"), std::string::npos);
    return;
  }
  if (!chosen) {
    EXPECT_NE(chosen.error().message.find(forced), std::string::npos) << chosen.error().message;
    GTEST_SKIP() << chosen.error().message;
  }
  EXPECT_EQ((*chosen)->name, forced);
  EXPECT_TRUE((*chosen)->is_supported());
}

TEST(Isa, EveryTableIsComplete) {
  ASSERT_FALSE(isas().empty());
  EXPECT_EQ(isas().back().name, "scalar");
  EXPECT_TRUE(isas().back().is_supported());
  for (const Isa& isa : isas()) {
    const MatmulKernels& k = *isa.matmul;
    EXPECT_NE(k.prepare_blocks, nullptr) << isa.name;
    for (const PackedKernels& packed :
         {k.q8_0_r16, k.q6_k_r16, k.q5_k_r16, k.q5_1_r16, k.q5_0_r16, k.q4_k_r16, k.q4_1_r16, k.q4_0_r16, k.q3_k_r16, k.q2_k_r16}) {
      EXPECT_NE(packed.blocks, nullptr) << isa.name;
      EXPECT_EQ(packed.amx != nullptr, isa.name == "amx");
    }
    for (MatmulKernel kernel :
         {k.rows_f32, k.rows_f16, k.rows_bf16, k.tiles_f32, k.tiles_f16, k.tiles_bf16}) {
      EXPECT_NE(kernel, nullptr) << isa.name;
    }
    for (PackKernel kernel : {k.pack_q8_0, k.pack_q4_0, k.unpack_q8_0, k.unpack_q4_0}) {
      EXPECT_NE(kernel, nullptr) << isa.name;
    }
    // Two instruction sets never share a kernel: the linker must not have merged them.
    for (const Isa& other : isas()) {
      if (&other != &isa) {
        EXPECT_NE(other.matmul->q8_0_r16.blocks, k.q8_0_r16.blocks);
      }
    }
  }
}

}  // namespace
}  // namespace ac::cpu
