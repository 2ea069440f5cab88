#include "runtime/route/breaker.h"

#include <algorithm>

namespace ac {
namespace {

constexpr int kFailuresToOpen = 3;
constexpr std::chrono::milliseconds kFirstPeriod{30000};
constexpr std::chrono::milliseconds kLongestPeriod{300000};

}  // namespace

bool Breaker::would_admit(TimePoint now) const { return !open_ || (now >= until_ && !probing_); }

bool Breaker::admit(TimePoint now) {
  if (!would_admit(now)) return false;
  if (open_) probing_ = true;
  return true;
}

void Breaker::open(TimePoint now) {
  period_ = open_ ? std::min(2 * period_, kLongestPeriod) : kFirstPeriod;
  until_ = now + period_;
  open_ = true;
}

void Breaker::record(BreakerVerdict verdict, TimePoint now) {
  const bool was_probe = probing_;
  probing_ = false;
  switch (verdict) {
    case BreakerVerdict::kSuccess:
      open_ = false;
      failures_ = 0;
      return;
    case BreakerVerdict::kNeutral:
      return;
    case BreakerVerdict::kConfigFailure:
      failures_ = kFailuresToOpen;
      break;
    case BreakerVerdict::kFailure:
      ++failures_;
      break;
  }
  // A late failure of an attempt that began before the breaker opened does not prolong it.
  if (open_ ? was_probe : failures_ >= kFailuresToOpen) open(now);
}

std::chrono::milliseconds Breaker::opens_for(TimePoint now) const {
  if (!open_ || now >= until_) return std::chrono::milliseconds(0);
  return std::chrono::ceil<std::chrono::milliseconds>(until_ - now);
}

}  // namespace ac
