#include "models/train/reliability.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "models/train/routing_metrics.h"
#include "runtime/core/xml_text.h"

namespace ac {
namespace {

constexpr size_t kBins = 10;

// Squares of 200 units, three in a row.
constexpr double kSide = 200, kGap = 60, kTop = 60;
constexpr size_t kInRow = 3;

struct Square {
  double left = 0, top = 0;
  double x(double share) const { return left + kSide * share; }
  double y(double share) const { return top + kSide * (1 - share); }
};

std::string square_svg(const TierReliability& tier, const Square& square) {
  std::string svg = fmt::format(
      "  <rect class=\"frame\" x=\"{0:.1f}\" y=\"{1:.1f}\" width=\"{2:.1f}\" height=\"{2:.1f}\"/>\n"
      "  <line class=\"diagonal\" x1=\"{3:.1f}\" y1=\"{4:.1f}\" x2=\"{5:.1f}\" y2=\"{6:.1f}\"/>\n"
      "  <text x=\"{0:.1f}\" y=\"{7:.1f}\">{8}, ECE {9:.3f}</text>\n",
      square.left, square.top, kSide, square.x(0), square.y(0), square.x(1), square.y(1),
      square.top - 8, xml_text(tier.tier), tier.calibration_error);
  for (const double share : {0.0, 0.5, 1.0}) {
    svg += fmt::format(
        "  <text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.0f} %</text>\n"
        "  <text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{:.0f} %</text>\n",
        square.x(share), square.y(0) + 14, 100 * share, square.x(0) - 5, square.y(share) + 4,
        100 * share);
  }
  size_t most = 1;
  for (const ReliabilityBin& bin : tier.bins) most = std::max(most, bin.n);
  for (const ReliabilityBin& bin : tier.bins) {
    const double radius =
        2 + 5 * std::sqrt(static_cast<double>(bin.n) / static_cast<double>(most));
    svg += fmt::format(
        "  <line class=\"bar\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>\n"
        "  <circle cx=\"{0:.1f}\" cy=\"{3:.1f}\" r=\"{4:.1f}\"><title>{5} prompts</title></circle>\n",
        square.x(bin.predicted), square.y(bin.interval.low), square.y(bin.interval.high),
        square.y(bin.earned), radius, bin.n);
  }
  return svg;
}

}  // namespace

std::vector<ReliabilityBin> reliability_bins(std::span<const float> predicted,
                                             std::span<const float> earned) {
  std::array<ReliabilityBin, kBins> bins{};
  for (size_t i = 0; i < predicted.size(); ++i) {
    const auto at = static_cast<size_t>(static_cast<double>(predicted[i]) * kBins);
    ReliabilityBin& bin = bins[std::min(at, kBins - 1)];
    bin.predicted += static_cast<double>(predicted[i]);
    bin.earned += static_cast<double>(earned[i]);
    ++bin.n;
  }
  std::vector<ReliabilityBin> filled;
  for (ReliabilityBin& bin : bins) {
    if (bin.n == 0) continue;
    bin.interval = wilson_interval(bin.earned, static_cast<double>(bin.n));
    bin.predicted /= static_cast<double>(bin.n);
    bin.earned /= static_cast<double>(bin.n);
    filled.push_back(bin);
  }
  return filled;
}

std::vector<TierReliability> reliability_of(const CalibrationTable& table,
                                            std::span<const std::string> tiers) {
  std::vector<TierReliability> all;
  for (size_t tier = 0; tier < tiers.size(); ++tier) {
    std::vector<float> predicted, earned;
    for (size_t row = 0; row < table.n_rows(); ++row) {
      predicted.push_back(table.predicted[row * table.n_tiers + tier]);
      earned.push_back(table.earned[row * table.n_tiers + tier]);
    }
    all.push_back({.tier = tiers[tier],
                   .calibration_error = calibration_error(predicted, earned),
                   .bins = reliability_bins(predicted, earned)});
  }
  return all;
}

std::string reliability_svg(std::span<const TierReliability> tiers, std::string_view title) {
  const size_t n_rows = (tiers.size() + kInRow - 1) / kInRow;
  const size_t n_columns = std::min(std::max<size_t>(tiers.size(), 1), kInRow);
  const double width = kGap + static_cast<double>(n_columns) * (kSide + kGap);
  const double height = kTop + static_cast<double>(n_rows) * (kSide + kGap) + 20;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"12\">\n"
      "  <title>{2}</title>\n"
      "  <style>.page {{ fill: #ffffff; }} text {{ fill: #1d2733; }} .tick {{ font-size: 9px; }} "
      ".frame {{ fill: none; stroke: #b8c2cc; }} .diagonal {{ stroke: #8a94a0; stroke-dasharray: 5 "
      "4; }} .bar {{ stroke: #b3361e; }} circle {{ fill: #b3361e; }}</style>\n"
      "  <rect class=\"page\" width=\"{0:.0f}\" height=\"{1:.0f}\"/>\n"
      "  <text x=\"{3:.0f}\" y=\"22\" font-size=\"14\">{2}</text>\n",
      width, height, xml_text(title), kGap);
  for (size_t i = 0; i < tiers.size(); ++i) {
    const Square square{kGap + static_cast<double>(i % kInRow) * (kSide + kGap),
                        kTop + static_cast<double>(i / kInRow) * (kSide + kGap)};
    svg += square_svg(tiers[i], square);
  }
  svg += fmt::format(
      "  <text x=\"{:.0f}\" y=\"{:.0f}\">to the right: predicted success; upwards: what came of it, "
      "with 95 % intervals</text>\n",
      kGap, height - 12);
  return svg + "</svg>\n";
}

}  // namespace ac
