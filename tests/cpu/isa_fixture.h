// The instruction set that a kernel test runs on, and random data for it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "cpu/isa.h"
#include "runtime/core/rng.h"

namespace ac::cpu {

// Skips where AC_FORCE_ISA names one that this build or this processor does not have.
class IsaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<const Isa*> chosen = choose_isa();
    if (!chosen) GTEST_SKIP() << chosen.error().message;
    isa_ = *chosen;
    RecordProperty("isa", std::string(isa_->name));
  }

  const MatmulKernels& kernels() const { return *isa_->matmul; }

  const Isa* isa_ = nullptr;
};

}  // namespace ac::cpu
