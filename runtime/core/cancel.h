// A flag that one thread raises and another looks at between tokens.
#pragma once

#include <array>
#include <atomic>

namespace ac {

class CancelFlag {
 public:
  CancelFlag() = default;
  // Is raised, too, where one of these is; they outlive it.
  CancelFlag(const CancelFlag& a, const CancelFlag& b) : others_{&a, &b} {}

  void raise() { raised_.store(true, std::memory_order_relaxed); }
  void clear() { raised_.store(false, std::memory_order_relaxed); }
  bool raised() const {
    if (raised_.load(std::memory_order_relaxed)) return true;
    for (const CancelFlag* other : others_) {
      if (other != nullptr && other->raised()) return true;
    }
    return false;
  }

 private:
  std::atomic<bool> raised_{false};
  std::array<const CancelFlag*, 2> others_{};
};

}  // namespace ac
