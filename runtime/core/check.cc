#include "runtime/core/check.h"

#include <cstdio>
#include <cstdlib>

namespace ac {

void check_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "agentcompress: internal error: %s does not hold (%s:%d)\n", expression,
               file, line);
  std::abort();
}

}  // namespace ac
