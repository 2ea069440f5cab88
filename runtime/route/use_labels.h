// The file of labels that came from use: JSON Lines that grow at the end, one label each, and are
// never changed but by taking the last ones back.
//
//   {"gate": id, "tier": name, "success": n, "weight": n, "source": text, "features": [[bucket, n], ...]}
//
// Several processes may append. Labels of another gate (gate_id) stay and are not used.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/gate_learning.h"
#include "runtime/core/result.h"

namespace ac {

struct UseLabelRow {
  std::string gate;
  std::string source;  // "escalated", "audit", "thumb"
  UseLabel label;
};

// Of a longer file the last are read.
inline constexpr size_t kMostUseLabels = 2000;

// To the digits that the file keeps, so that learning again gives the same bits.
void round_features(UseLabel& label);

// In their order; none where there is no file. Errors: kCorruptFile naming the line, kIo.
Result<std::vector<UseLabelRow>> read_use_labels(const std::string& path);
Status append_use_label(const std::string& path, const UseLabelRow& row);
// The last `n`, or all there are. -> how many were taken back. Errors: as read_use_labels; then the
// file is as it was.
Result<size_t> take_back_use_labels(const std::string& path, size_t n);

}  // namespace ac
