// A backend of plain double-precision loops: the oracle for verbs. It runs each verb as it is recorded
// and checks that nothing is used after its scope ended.
#pragma once

#include <memory>

#include "runtime/core/backend.h"

namespace ac::test {

std::unique_ptr<Backend> make_plain_backend();

}  // namespace ac::test
