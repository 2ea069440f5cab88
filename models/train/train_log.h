// What a training run leaves to look at: a line of JSON for each step that was noted, and the curve
// of the loss as SVG.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace ac {

struct LogPoint {
  int64_t step = 0;
  int64_t n_tokens = 0;
  double loss = 0;                   // of the step, in nats
  std::optional<double> held_out{};  // where it was looked at
  double tokens_per_s = 0;
  double learning_rate = 0;
  double gradient_length = 0;
  std::string new_values{};  // of the recipe from this step on (changed_values); empty: none
};

// One line a point, without the points' order being checked.
std::string log_lines(std::span<const LogPoint> points);
// Errors: kCorruptFile naming the line.
Result<std::vector<LogPoint>> parse_log_lines(std::string_view text, std::string_view origin);

// Training loss (smoothed) and held-out loss over steps. `level`: a horizontal line with a name,
// such as what a unigram model reaches; none where its name is empty.
struct CurveLevel {
  double loss = 0;
  std::string name{};
};
std::string loss_curve_svg(std::span<const LogPoint> points, std::string_view title,
                           const CurveLevel& level);

}  // namespace ac
