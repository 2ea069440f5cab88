#include "runtime/cli/zoo_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/core/xml_text.h"

namespace ac::cli {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 440;
constexpr double kLeft = 80;
constexpr double kRight = 140;  // names stand to the right of their points
constexpr double kTop = 30;
constexpr double kBottom = 60;
constexpr double kLeastDivergence = 1e-5;

// A logarithmic axis over whole decades.
struct Axis {
  int first = 0;
  int last = 1;
  double from = 0;
  double to = 0;

  double at(double value) const {
    const double share = (std::log10(value) - first) / static_cast<double>(last - first);
    return from + (to - from) * share;
  }
};

Axis axis_of(double least, double most, double from, double to) {
  const int first = static_cast<int>(std::floor(std::log10(least)));
  const int last = static_cast<int>(std::ceil(std::log10(most)));
  return {first, std::max(last, first + 1), from, to};
}

}  // namespace

std::string quality_plot(std::span<const PlotPoint> points) {
  const auto divergence = [](const PlotPoint& p) {
    return std::max(p.divergence, kLeastDivergence);
  };
  double least_x = points[0].compute, most_x = least_x;
  double least_y = divergence(points[0]), most_y = least_y;
  for (const PlotPoint& p : points) {
    least_x = std::min(least_x, p.compute);
    most_x = std::max(most_x, p.compute);
    least_y = std::min(least_y, divergence(p));
    most_y = std::max(most_y, divergence(p));
  }
  const Axis x = axis_of(std::max(least_x, 1.0), std::max(most_x, 1.0), kLeft, kWidth - kRight);
  const Axis y = axis_of(least_y, most_y, kHeight - kBottom, kTop);

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      kWidth, kHeight);
  for (int decade = x.first; decade <= x.last; ++decade) {
    const double at = x.at(std::pow(10, decade));
    svg += fmt::format(
        "<path d=\"M{0:.1f} {1} V{2}\" stroke=\"#ddd\"/><text x=\"{0:.1f}\" y=\"{3}\" "
        "text-anchor=\"middle\">1e{4}</text>\n",
        at, kTop, kHeight - kBottom, kHeight - kBottom + 18, decade);
  }
  for (int decade = y.first; decade <= y.last; ++decade) {
    const double at = y.at(std::pow(10, decade));
    svg += fmt::format(
        "<path d=\"M{0} {1:.1f} H{2}\" stroke=\"#ddd\"/><text x=\"{3}\" y=\"{4:.1f}\" "
        "text-anchor=\"end\">1e{5}</text>\n",
        kLeft, at, kWidth - kRight, kLeft - 6, at + 4, decade);
  }
  svg += fmt::format(
      "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">bit-operations per token "
      "(multiplications "
      "x weight bits / 16)</text>\n",
      (kLeft + kWidth - kRight) / 2, kHeight - 16);
  svg += fmt::format(
      "<text transform=\"translate(20 {:.1f}) rotate(-90)\" text-anchor=\"middle\">divergence from "
      "the base (nats per token)</text>\n",
      (kTop + kHeight - kBottom) / 2);
  for (const PlotPoint& p : points) {
    const double at_x = x.at(std::max(p.compute, 1.0));
    const double at_y = y.at(divergence(p));
    svg += fmt::format(
        "<circle cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"4\" fill=\"#2563eb\"/><text x=\"{2:.1f}\" "
        "y=\"{3:.1f}\">{4}</text>\n",
        at_x, at_y, at_x + 8, at_y + 4, xml_text(p.name));
  }
  return svg + "</svg>\n";
}

}  // namespace ac::cli
