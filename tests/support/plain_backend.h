// A backend of plain double-precision loops: the oracle for verbs. It runs each verb as it is
// recorded and checks that nothing is used after its scope ended.
#pragma once

#include <memory>

#include "runtime/core/backend.h"

namespace ac::test {

std::unique_ptr<Backend> make_plain_backend();

// One whose next step fails with kIo when the flag is set; the step clears it.
struct FailingBackend {
  std::unique_ptr<Backend> backend;
  std::shared_ptr<bool> fail_next;
};
FailingBackend make_failing_backend();

}  // namespace ac::test
