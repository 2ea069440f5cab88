#include "runtime/core/clock.h"

namespace ac {

const Clock& system_clock() {
  static const Clock clock;
  return clock;
}

}  // namespace ac
