// What comes with the program: a zoo and a predictor, and which of either a run uses.
#pragma once

#include <string>

#include "runtime/core/settings.h"

namespace ac {

// [route] zoo. Where none is named and no remote either, the zoo that comes with the program,
// unless [route] shipped_zoo = no. Empty: none.
std::string zoo_path(const Settings& settings);

// [route] predictor. Where none is named and there is a remote, the predictor of natural prompts
// that comes with the program. Empty: none.
std::string predictor_path(const Settings& settings);

}  // namespace ac
