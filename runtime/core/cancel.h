// A flag that one thread raises and another looks at between tokens.
#pragma once

#include <atomic>

namespace ac {

class CancelFlag {
 public:
  void raise() { raised_.store(true, std::memory_order_relaxed); }
  void clear() { raised_.store(false, std::memory_order_relaxed); }
  bool raised() const { return raised_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> raised_{false};
};

}  // namespace ac
