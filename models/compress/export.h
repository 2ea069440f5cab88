// A variant as a standard file that llama.cpp loads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/store/zoo.h"

namespace ac {

struct ExportReport {
  uint64_t bytes = 0;
  std::string architecture;        // in the file
  std::vector<std::string> notes;  // what had to change
};

// Packed formats are unpacked; low-rank pairs are multiplied back into one f32 matrix; a Llama
// whose layers differ gets the architecture `deci`, which has the same graph and reads head counts
// and widths layer by layer. Errors: kUnsupported (layers that differ in another architecture),
// those of Zoo::open_variant, kIo.
Result<ExportReport> zoo_export(const Zoo& zoo, std::string_view variant, const std::string& path);

// The same for a checkpoint in memory. Views; `source` must outlive the result.
struct Exported {
  Checkpoint checkpoint;
  std::vector<std::string> notes;
};
Result<Exported> standard_checkpoint(const Checkpoint& source);

}  // namespace ac
