#include "runtime/route/drift.h"

#include <fmt/format.h>

#include <algorithm>

namespace ac {
namespace {

// A twentieth of the prompts is novel by definition of the gate's limit; thrice as many are let
// pass. With these figures prompts like those learned from raise an alarm about once in 100,000.
constexpr double kNovelSlack = 0.15, kNovelLimit = 4;
// In standard deviations: a shift of one is found within some twenty prompts.
constexpr double kGainSlack = 0.5, kGainLimit = 12;
constexpr double kMostDeviations = 4;  // one odd prompt alone is no drift

}  // namespace

void DriftMonitor::add(bool is_novel, double gain) {
  ++n_since_;
  n_novel_since_ += is_novel ? 1 : 0;
  novel_ = std::max(0.0, novel_ + (is_novel ? 1.0 : 0.0) - kNovelSlack);
  if (usual_.gain_deviation > 0) {
    const double off = std::clamp((gain - usual_.mean_gain) / usual_.gain_deviation,
                                  -kMostDeviations, kMostDeviations);
    up_ = std::max(0.0, up_ + off - kGainSlack);
    down_ = std::max(0.0, down_ - off - kGainSlack);
  }
  // Beyond the limit a sum need not grow: it would only take longer to come back.
  novel_ = std::min(novel_, 2 * kNovelLimit);
  up_ = std::min(up_, 2 * kGainLimit);
  down_ = std::min(down_, 2 * kGainLimit);
  if (novel_ >= kNovelLimit || up_ >= kGainLimit || down_ >= kGainLimit) alarmed_ = true;
  if (novel_ + up_ + down_ > 0) return;
  alarmed_ = false;
  n_since_ = n_novel_since_ = 0;
}

std::string DriftMonitor::summary() const {
  if (!alarmed_) return "";
  return fmt::format("the last {} prompts are unlike those learned from: {} of them novel, gains {}",
                     n_since_, n_novel_since_,
                     up_ >= down_ && up_ > 0 ? "above the usual"
                     : down_ > 0             ? "below the usual"
                                             : "as usual");
}

}  // namespace ac
