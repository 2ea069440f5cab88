// Breaker: stops asking a remote that keeps failing, so that each question does not pay for it
// again.
//
//   closed --3 failures in a row, or one that no repetition cures--> open for 30 s
//   open --time is up--> half open: one probe; success -> closed, failure -> open, twice as long
//   (at most 300 s)
//
// A value with no clock of its own; the caller locks.
#pragma once

#include <chrono>

#include "runtime/core/clock.h"

namespace ac {

enum class BreakerVerdict {
  kSuccess,
  kFailure,        // unreachable, overloaded, broken protocol
  kConfigFailure,  // a certificate that does not verify, a refused key: opens at once
  kNeutral,        // says nothing about the remote: cancelled, or our own bad request
};

class Breaker {
 public:
  using TimePoint = Clock::TimePoint;

  // Whether to ask now. Open and time is up: true once, for the probe, until its verdict.
  bool admit(TimePoint now);
  // Each admitted attempt ends in one record(), retries in one each as well.
  void record(BreakerVerdict verdict, TimePoint now);

  // Whether admit() would say yes.
  bool would_admit(TimePoint now) const;
  bool probing() const { return probing_; }
  // How long it stays open; 0 when closed.
  std::chrono::milliseconds opens_for(TimePoint now) const;

 private:
  void open(TimePoint now);

  int failures_ = 0;  // in a row
  bool open_ = false;
  bool probing_ = false;
  TimePoint until_{};
  std::chrono::milliseconds period_{0};
};

}  // namespace ac
