// Answers from anywhere are judged, never trusted: the first bytes choose the task, the rest
// answers it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/tasks/workflow.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ac::tasks;
  if (size < 3) return 0;
  const auto kind = static_cast<TaskKind>(data[0] % kTaskKinds);
  const auto field = static_cast<Field>(data[1] % kFields);
  const Task task = make_task(kind, field, Split::kEvaluation, data[2]);
  const std::string_view answer(reinterpret_cast<const char*>(data) + 3, size - 3);
  const Verdict verdict = check(task, answer);
  FUZZ_CHECK(verdict.success == verdict.reason.empty());
  // A right answer stays right between spaces.
  if (verdict.success) FUZZ_CHECK(check(task, " " + std::string(answer) + "\n").success);
  return 0;
}
