#include "models/train/train_log.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/core/json.h"
#include "runtime/core/xml_text.h"

namespace ac {
namespace {

constexpr int64_t kMost = int64_t{1} << 53;

// The page, in SVG units.
constexpr double kWidth = 760, kHeight = 420, kLeft = 60, kRight = 20, kTop = 44, kBottom = 46;
constexpr int kLines = 5;  // of the grid, about
constexpr size_t kMostVertices = 600;

// 1, 2 or 5 times a power of ten, so that about kLines fit into `span`.
double grid_step(double span) {
  const double rough = span / kLines;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) return factor * power;
  }
  return 10 * power;
}

struct Scale {
  double last_step = 1, low = 0, high = 1;
  double x(double step) const {
    return kLeft + (kWidth - kLeft - kRight) * step / last_step;
  }
  double y(double loss) const {
    return kTop + (kHeight - kTop - kBottom) * (high - std::clamp(loss, low, high)) / (high - low);
  }
};

struct Vertex {
  double step = 0, loss = 0;
};

std::string line_of(std::span<const Vertex> vertices, const Scale& scale, std::string_view style) {
  std::string points;
  for (const Vertex& v : vertices) {
    points += fmt::format("{:.1f},{:.1f} ", scale.x(v.step), scale.y(v.loss));
  }
  return fmt::format("  <polyline class=\"{}\" points=\"{}\"/>\n", style, points);
}

// Means of equal runs of steps, at most kMostVertices.
std::vector<Vertex> smoothed(std::span<const LogPoint> points) {
  const size_t run = std::max<size_t>(1, (points.size() + kMostVertices - 1) / kMostVertices);
  std::vector<Vertex> vertices;
  for (size_t i = 0; i < points.size(); i += run) {
    const size_t n = std::min(run, points.size() - i);
    Vertex mean;
    for (const LogPoint& point : points.subspan(i, n)) {
      mean.step += static_cast<double>(point.step) / static_cast<double>(n);
      mean.loss += point.loss / static_cast<double>(n);
    }
    vertices.push_back(mean);
  }
  return vertices;
}

}  // namespace

std::string log_lines(std::span<const LogPoint> points) {
  std::string text;
  for (const LogPoint& point : points) {
    OrderedJson line{{"step", point.step}, {"tokens", point.n_tokens}, {"loss", point.loss}};
    if (point.held_out) line["held_out"] = *point.held_out;
    line["tokens_per_s"] = std::round(point.tokens_per_s);
    line["learning_rate"] = point.learning_rate;
    line["gradient_length"] = point.gradient_length;
    if (!point.new_values.empty()) line["new_values"] = point.new_values;
    text += json_line(line) + "\n";
  }
  return text;
}

Result<std::vector<LogPoint>> parse_log_lines(std::string_view text, std::string_view origin) {
  std::vector<LogPoint> points;
  const auto parse = [](std::string_view line) -> Result<LogPoint> {
    AC_TRY(const Json object, parse_json(line));
    LogPoint point;
    AC_TRY(point.step, json_integer(object, "step", 0, kMost));
    AC_TRY(point.n_tokens, json_integer(object, "tokens", 0, kMost));
    AC_TRY(point.loss, json_number(object, "loss"));
    if (json_find(object, "held_out") != nullptr) {
      AC_TRY(const double held_out, json_number(object, "held_out"));
      point.held_out = held_out;
    }
    AC_TRY(point.tokens_per_s, json_number(object, "tokens_per_s"));
    AC_TRY(point.learning_rate, json_number(object, "learning_rate"));
    AC_TRY(point.gradient_length, json_number(object, "gradient_length"));
    if (json_find(object, "new_values") != nullptr) {
      AC_TRY(point.new_values, json_string(object, "new_values"));
    }
    return point;
  };
  for (size_t n = 1; !text.empty(); ++n) {
    const size_t end = std::min(text.find('\n'), text.size());
    Result<LogPoint> point = parse(text.substr(0, end));
    if (!point) return with_context(point.error(), fmt::format("{}:{}", origin, n));
    points.push_back(*point);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return points;
}

std::string loss_curve_svg(std::span<const LogPoint> points, std::string_view title,
                           const CurveLevel& level) {
  const std::vector<Vertex> training = smoothed(points);
  std::vector<Vertex> held_out;
  for (const LogPoint& point : points) {
    if (point.held_out) held_out.push_back({static_cast<double>(point.step), *point.held_out});
  }
  Scale scale;
  if (!training.empty()) {
    scale.last_step = std::max(1.0, static_cast<double>(points.back().step));
    scale.low = scale.high = training.front().loss;
    const auto include = [&scale](const std::vector<Vertex>& line) {
      for (const Vertex& v : line) {
        scale.low = std::min(scale.low, v.loss);
        scale.high = std::max(scale.high, v.loss);
      }
    };
    include(training);
    include(held_out);
    if (!level.name.empty()) scale.high = std::max(scale.high, level.loss);
    const double margin = std::max(0.05, 0.05 * (scale.high - scale.low));
    scale.low -= margin;
    scale.high += margin;
  }
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"12\">\n"
      "  <title>{2}</title>\n"
      "  <style>.page {{ fill: #ffffff; }} text {{ fill: #1d2733; }} .head {{ font-weight: 600; }} "
      "polyline, line {{ fill: none; }} .grid {{ stroke: #dde3e8; }} .level {{ stroke: #8a5a00; "
      "stroke-dasharray: 5 4; }} .training {{ stroke: #8aa4c8; stroke-width: 1.2; }} .held "
      "{{ stroke: #b3361e; stroke-width: 1.8; }}</style>\n"
      "  <rect class=\"page\" width=\"{0}\" height=\"{1}\"/>\n"
      "  <text class=\"head\" x=\"{3}\" y=\"24\">{2}</text>\n",
      kWidth, kHeight, xml_text(title), kLeft);
  const auto text_at = [&svg](double x, double y, std::string_view anchor, std::string_view text) {
    svg += fmt::format("  <text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y,
                       anchor, xml_text(text));
  };
  const double by = grid_step(scale.high - scale.low);
  for (double loss = std::ceil(scale.low / by) * by; loss <= scale.high; loss += by) {
    svg += fmt::format(
        "  <line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n", kLeft,
        kWidth - kRight, scale.y(loss));
    text_at(kLeft - 8, scale.y(loss) + 4, "end", fmt::format("{:.4g}", loss));
  }
  const double every = grid_step(scale.last_step);
  for (double step = 0; step <= scale.last_step; step += every) {
    text_at(scale.x(step), kHeight - kBottom + 18, "middle", fmt::format("{:.6g}", step));
  }
  text_at((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle",
          "steps; loss in nats a token: training (blue), held out (red)");
  if (!level.name.empty()) {
    svg += fmt::format(
        "  <line class=\"level\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n", kLeft,
        kWidth - kRight, scale.y(level.loss));
    text_at(kWidth - kRight - 4, scale.y(level.loss) - 5, "end",
            fmt::format("{} {:.3f}", level.name, level.loss));
  }
  svg += line_of(training, scale, "training");
  svg += line_of(held_out, scale, "held");
  if (!held_out.empty()) {
    text_at(scale.x(held_out.back().step) - 4, scale.y(held_out.back().loss) - 8, "end",
            fmt::format("{:.3f}", held_out.back().loss));
  }
  return svg + "</svg>\n";
}

}  // namespace ac
