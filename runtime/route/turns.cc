#include "runtime/route/turns.h"

#include <algorithm>
#include <chrono>

namespace ac {

void Turns::lock() {
  std::unique_lock lock(mutex_);
  const auto mine = line_.insert(line_.end(), nullptr);
  changed_.wait(lock, [&] { return !held_ && line_.begin() == mine; });
  line_.pop_front();
  held_ = true;
}

void Turns::unlock() {
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
  }
  changed_.notify_all();
}

bool Turns::wait_for(Question& question, const CancelFlag* cancel) {
  constexpr std::chrono::milliseconds kLook{50};  // whoever raises the flag does not say so
  std::unique_lock lock(mutex_);
  line_.push_back(&question);
  changed_.notify_all();
  while (!changed_.wait_for(lock, kLook, [&] { return question.settled; })) {
    if (cancel == nullptr || !cancel->raised()) continue;
    const auto at = std::find(line_.begin(), line_.end(), &question);
    if (at == line_.end()) continue;  // it is being answered, and that is looked at there
    line_.erase(at);
    changed_.notify_all();  // somebody else may be the first now
    return false;
  }
  return true;
}

Turns::Question* Turns::begin() {
  std::unique_lock lock(mutex_);
  const auto has_turn = [this] { return !held_ && !line_.empty() && line_.front() != nullptr; };
  changed_.wait(lock, [&] { return stopping_ || has_turn(); });
  if (stopping_) return nullptr;
  Question* const question = line_.front();
  line_.pop_front();
  held_ = true;
  return question;
}

Turns::Question* Turns::join(std::string_view variant) {
  const std::lock_guard lock(mutex_);
  if (line_.empty() || line_.front() == nullptr || line_.front()->variant != variant) return nullptr;
  Question* const question = line_.front();
  line_.pop_front();
  return question;
}

void Turns::settle(Question& question) {
  {
    const std::lock_guard lock(mutex_);
    question.settled = true;
  }
  changed_.notify_all();
}

void Turns::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

}  // namespace ac
