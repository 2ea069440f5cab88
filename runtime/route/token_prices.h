// What the full model takes for reading and writing.
#pragma once

#include <cstdint>

namespace ac {

struct TokenPrices {
  double usd_per_million_prompt_tokens = 0;
  double usd_per_million_completion_tokens = 0;
  double of(int64_t prompt_tokens, int64_t completion_tokens) const {
    return 1e-6 * (usd_per_million_prompt_tokens * static_cast<double>(prompt_tokens) +
                   usd_per_million_completion_tokens * static_cast<double>(completion_tokens));
  }
};

}  // namespace ac
