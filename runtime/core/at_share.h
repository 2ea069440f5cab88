// Quantiles of what was measured.
#pragma once

#include <cstddef>
#include <vector>

namespace ac {

// Of ascending values the one that `share` of them lie below, 0 to 1; 0 where there are none.
inline double at_share(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

}  // namespace ac
