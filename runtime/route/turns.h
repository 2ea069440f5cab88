// Turns: who uses the engines, in the order in which they came.
//
// Most come with a question for one variant. One thread has the turn for all of them: it begins with
// the first in line and lets those join that come right behind it with a question for the same
// variant, so that they are answered together. Whoever needs an engine alone waits for a turn in the
// same line, and nobody who came later overtakes.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <string_view>

#include "runtime/core/cancel.h"

namespace ac {

class Turns {
 public:
  struct Question {
    std::string variant;
    bool settled = false;  // under the lock of Turns
  };

  // A turn alone, as std::lock_guard wants it.
  void lock();
  void unlock();

  // Stands in line until somebody has settled the question. False: `cancel` was raised before its turn.
  bool wait_for(Question& question, const CancelFlag* cancel = nullptr);

  // For the thread that answers. Waits until a question is first in line, and takes it with the turn;
  // nullptr once stop() was called. After it unlock().
  Question* begin();
  // While it has the turn: the next in line if that is a question for this variant.
  Question* join(std::string_view variant);
  void settle(Question& question);
  void stop();

 private:
  // nullptr: somebody who wants a turn alone.
  using Line = std::list<Question*>;

  std::mutex mutex_;
  std::condition_variable changed_;
  Line line_;
  bool held_ = false;
  bool stopping_ = false;
};

}  // namespace ac
