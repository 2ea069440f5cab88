// The zoo that comes with the program, and which zoo a run uses.
#pragma once

#include <string>

#include "runtime/core/settings.h"

namespace ac::cli {

// [route] zoo. Where none is named and no remote either, the zoo that comes with the program, unless
// [route] shipped_zoo = no. Empty: none.
std::string zoo_path(const Settings& settings);

}  // namespace ac::cli
