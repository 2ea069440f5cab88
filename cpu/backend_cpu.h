// The CPU backend: records the verbs of a step and runs them on a team of threads, with the kernels
// of the best instruction set there is (or of the one that AC_FORCE_ISA names).
#pragma once

#include <functional>
#include <memory>

#include "runtime/core/backend.h"

namespace ac::cpu {

struct CpuBackendOptions {
  int n_threads = 0;  // 0: one per core that this process may use
  bool pin_threads = true;
  // Called with a source's bytes once they have been copied into the layout of the kernels, so that
  // the pages of a mapped file need not stay resident: peak memory is about one copy of the
  // weights.
  std::function<void(std::span<const std::byte>)> drop_pages = {};
  // Every value of the outermost scope can be read after a step, whatever became of its operands:
  // nothing is computed only as a part of what uses it. Slower; for calibration.
  bool keeps_values = false;
  // For tests: memory of activations is filled with NaN before each step runs.
  bool poison_memory = false;
};

// Errors: kInvalidArgument, kUnsupported (AC_FORCE_ISA names what is not there).
//
// Weights: formats of blocks are copied into the packed layout when loaded; floating point and what
// is packed already is read where it lies. The result of a step is the same bits for any number of
// threads.
Result<std::unique_ptr<Backend>> create_cpu_backend(const CpuBackendOptions& options = {});

}  // namespace ac::cpu
