// Quality against compute, as a picture.
#pragma once

#include <span>
#include <string>

namespace ac::cli {

struct PlotPoint {
  std::string name;
  double compute = 0;     // > 0
  double divergence = 0;  // >= 0
};

// An SVG with both axes logarithmic; a point without divergence sits on the lower edge. Names are
// escaped. REQUIRES: at least one point.
std::string quality_plot(std::span<const PlotPoint> points);

}  // namespace ac::cli
