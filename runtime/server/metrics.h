// What the server has done since it started, as Prometheus reads it (text format 0.0.4).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "runtime/route/receipt.h"

namespace ac {

// Thread-safe.
class Metrics {
 public:
  void count_answer(const Receipt& receipt);
  void count_refusal(int status);
  // Of each local variant, while it wrote.
  std::map<std::string, double> tokens_per_second() const;
  // `n_waiting`: requests in the queue now.
  std::string text(size_t n_waiting) const;

 private:
  static constexpr std::array<double, 12> kBounds = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                     1,    2.5,   5,    10,  30,   120};
  struct Times {
    std::array<int64_t, kBounds.size()> below{};  // of each bound alone, not added up
    int64_t n = 0;
    double sum = 0;
    void add(double seconds);
  };
  struct OfPlace {
    int64_t prompt_tokens = 0, completion_tokens = 0, n_degraded = 0;
    Times answers, first_tokens;
  };

  mutable std::mutex mutex_;
  std::map<std::array<std::string, 3>, int64_t> answers_;  // place, model, reason
  std::map<std::string, OfPlace> places_;
  struct Writing {
    int64_t tokens = 0;
    double seconds = 0;
  };
  std::map<std::string, Writing> writing_;  // by local variant
  std::map<int, int64_t> refusals_;
  double usd_ = 0;
};

}  // namespace ac
