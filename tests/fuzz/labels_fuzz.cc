// Labels from anywhere: parsed or refused, and what was parsed must hold together.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/train/labels.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto labels = ac::parse_labels(text, "fuzz");
  if (!labels) {
    AC_CHECK(!labels.error().message.empty());
    return 0;
  }
  AC_CHECK(!labels->rows.empty() && !labels->models.empty());
  for (const ac::LabelRow& row : labels->rows) {
    AC_CHECK(row.scores.size() == labels->models.size());
    for (const float score : row.scores) AC_CHECK(std::isnan(score) || (score >= 0 && score <= 1));
  }
  AC_CHECK(ac::assign_splits(*labels).size() == labels->rows.size());
  if (const auto tiers = ac::default_tiers(*labels); tiers.has_value()) {
    AC_CHECK(ac::tier_rows(*labels, *tiers).has_value());
  }
  return 0;
}
