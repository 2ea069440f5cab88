// version: what this binary is.
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"

namespace ac::cli {

constinit const Verb kVersion = {
    .name = "version",
    .summary = "print the version",
    .run = [](const Invocation&) -> Result<int> {
      print("agentcompress {}\n", AC_VERSION);
      return 0;
    },
};

}  // namespace ac::cli
