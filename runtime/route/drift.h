// Drift: whether the prompts of late are still like those that the gate learned from.
//
// Two cumulative sums (Page 1954) run along: one counts prompts that are novel, of which one in
// twenty is usual; the other adds up how far predicted gains lie off their usual mean, upwards and
// downwards. Each forgets a little with every prompt, so chance alone keeps it near zero; a change
// that lasts makes it grow. Above a limit there is an alarm, until the sums are back at zero.
#pragma once

#include <cstdint>
#include <string>

namespace ac {

struct DriftBaseline {
  double mean_gain = 0;       // of the full model over the cheapest tier, as predicted
  double gain_deviation = 0;  // 0: gains are not watched
};

class DriftMonitor {
 public:
  explicit DriftMonitor(const DriftBaseline& usual) : usual_(usual) {}
  void add(bool is_novel, double gain);
  bool alarmed() const { return alarmed_; }
  // "of the last 40 prompts 17 were novel"; empty without an alarm.
  std::string summary() const;

 private:
  DriftBaseline usual_;
  double novel_ = 0, up_ = 0, down_ = 0;  // the sums
  int64_t n_since_ = 0, n_novel_since_ = 0;  // since the sums left zero
  bool alarmed_ = false;
};

}  // namespace ac
