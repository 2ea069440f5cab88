// The answers of local variants: a thread that makes them, several of one variant together.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/engine/session.h"
#include "runtime/route/turns.h"

namespace ac {

// A question for a local variant, and what has become of it.
struct LocalQuestion : Turns::Question {
  // The engine that shall answer. Called on the thread of LocalAnswers, of the first of those that
  // are answered together.
  std::function<Result<Engine*>()> load;
  std::function<Result<std::vector<int32_t>>(const Engine& engine)> tokens;
  const GenerateOptions* options = nullptr;

  std::vector<int32_t> prompt{};
  Result<Generation> made = fail(ErrorCode::kCancelled, "not asked");
  std::optional<int32_t> level{};  // of a nested variant, at the answer's end
  std::exception_ptr thrown{};     // by `options`' callbacks, or for want of memory
};

class LocalAnswers {
 public:
  LocalAnswers() = default;
  // REQUIRES: nobody waits any more.
  ~LocalAnswers();
  LocalAnswers(const LocalAnswers&) = delete;
  LocalAnswers& operator=(const LocalAnswers&) = delete;

  // Waits in line and for the answer; then question.made says it. Whoever cancels leaves the line at
  // once. Throws what a callback threw.
  void make(LocalQuestion& question);
  // For who needs engines alone: std::lock_guard.
  Turns& turns() { return turns_; }

 private:
  void run();
  void answer_together(LocalQuestion& first);
  static void complete(LocalQuestion& question, Result<Generation> made, const Engine& engine);

  Turns turns_;
  std::once_flag started_;
  std::thread thread_;
};

}  // namespace ac
