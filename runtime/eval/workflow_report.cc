#include "runtime/eval/workflow_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ac {
namespace {

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string interval_text(const Interval& interval) {
  return fmt::format("[{:.1f}, {:.1f}]", 100 * interval.low, 100 * interval.high);
}

std::string row_line(const ReportRow& row) {
  const StrategyScore& score = row.score;
  return fmt::format("| {} | {} {} | {} | {} {} | {} | {:.0f} | {:.0f} ({:.2f}x) | {:.0f} | {} |\n",
                     row.name, percent(row.cut), interval_text(row.cut_interval),
                     percent(row.compute_cut), percent(score.workflows.rate()), interval_text(score.workflows.interval()),
                     percent(row.retained), 1e3 * score.p50_seconds, 1e3 * score.p90_seconds,
                     row.p90_ratio, 1e6 * score.p99_decision_seconds, percent(score.remote_share));
}

OrderedJson to_json(const ReportRow& row) {
  const StrategyScore& score = row.score;
  const Interval success = score.workflows.interval();
  return {{"name", row.name},
          {"cut", row.cut},
          {"cut_interval", {row.cut_interval.low, row.cut_interval.high}},
          {"compute_cut", row.compute_cut},
          {"workflows", score.workflows.n},
          {"success", score.workflows.rate()},
          {"success_interval", {success.low, success.high}},
          {"step_success", score.steps.rate()},
          {"retained", row.retained},
          {"usd", score.usd},
          {"p50_ms", 1e3 * score.p50_seconds},
          {"p90_ms", 1e3 * score.p90_seconds},
          {"p90_ratio", row.p90_ratio},
          {"decision_p99_us", 1e6 * score.p99_decision_seconds},
          {"remote_share", score.remote_share},
          {"answered_by", score.answered_by}};
}

std::string allowed_text(const std::optional<Allowed>& allowed) {
  if (!allowed) return ", which could not be promised: everything went to the full model";
  return fmt::format(", an allowance of {:.3f}{}", allowed->allowance,
                     allowed->cascade ? fmt::format(" and of {:.2f} in the cascade", *allowed->cascade)
                                      : "");
}

// "thin 12.0 %, nested.0 88.0 %", the most first.
std::string places_text(const StrategyScore& score) {
  std::vector<std::pair<double, std::string>> places;
  for (const auto& [place, share] : score.answered_by) places.emplace_back(share, place);
  std::sort(places.rbegin(), places.rend());
  std::string text;
  for (const auto& [share, place] : places) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", place, percent(share));
  }
  return text;
}

// A plot of 640 x 420 with both axes from 0 to 1.
struct Frame {
  static constexpr double kLeft = 60, kTop = 30, kWidth = 550, kHeight = 330;
  double x(double cut) const { return kLeft + kWidth * std::clamp(cut, 0.0, 1.0); }
  double y(double success) const { return kTop + kHeight * (1 - std::clamp(success, 0.0, 1.0)); }
};

}  // namespace

ReportRow report_row(std::string name, std::span<const WorkflowRun> runs,
                     std::span<const WorkflowRun> full) {
  const StrategyScore of_full = score_of(full);
  ReportRow row{.name = std::move(name), .score = score_of(runs), .cut_interval = {}};
  if (of_full.usd > 0) row.cut = 1 - row.score.usd / of_full.usd;
  row.cut_interval = saving_interval(runs, full, full, &WorkflowRun::usd, 1);
  if (of_full.bit_ops > 0) row.compute_cut = 1 - row.score.bit_ops / of_full.bit_ops;
  row.retained =
      of_full.workflows.right > 0 ? row.score.workflows.rate() / of_full.workflows.rate() : 1;
  row.p90_ratio = of_full.p90_seconds > 0 ? row.score.p90_seconds / of_full.p90_seconds : 1;
  return row;
}

WorkflowReport::Ablation ablation_of(std::string without, std::span<const WorkflowRun> runs,
                                     std::span<const WorkflowRun> headline,
                                     std::span<const WorkflowRun> full) {
  WorkflowReport::Ablation ablation{
      .row = report_row(without, runs, full),
      .compute_lost = saving_interval(headline, runs, full, &WorkflowRun::bit_ops, 1)};
  ablation.without = std::move(without);
  return ablation;
}

std::optional<double> cut_at(std::span<const ReportRow> rows, double retained) {
  for (size_t i = rows.size(); i-- > 0;) {
    if (rows[i].retained < retained) continue;
    if (i + 1 == rows.size()) return rows[i].cut;
    const double fall = rows[i].retained - rows[i + 1].retained;
    const double share = fall > 0 ? (rows[i].retained - retained) / fall : 0;
    return rows[i].cut + std::clamp(share, 0.0, 1.0) * (rows[i + 1].cut - rows[i].cut);
  }
  return std::nullopt;
}

std::string report_markdown(const WorkflowReport& report) {
  std::string text = fmt::format(
      "# {} workflows\n\n{} with `{}` as the full model. Thresholds are from {} other workflows: "
      "{} of the full "
      "model's success with {} confidence{}.\n\n",
      report.n_workflows, report.zoo, report.remote_model, report.n_calibration,
      percent(report.retain), percent(report.confidence),
      allowed_text(report.allowed));
  text +=
      "| router | cost cut | compute cut | workflows that succeed | of the full model's | p50 ms | "
      "p90 ms | decision p99 us | steps that asked the remote |\n"
      "|---|---|---|---|---|---|---|---|---|\n";
  for (const ReportRow& row : report.rows) text += row_line(row);
  for (const ReportRow& row : report.rows) {
    if (row.name != report.headline) continue;
    text += fmt::format("\nSteps of \"{}\" were answered by {}.\n", row.name, places_text(row.score));
  }
  if (report.random_cut) {
    text += fmt::format("\nA random router that keeps as much as \"{}\" cuts {}.\n",
                        report.headline, percent(*report.random_cut));
  }
  text += fmt::format("\n| | full model alone | {} | cost cut |\n|---|---|---|---|\n",
                      report.headline);
  for (const auto& group : report.groups) {
    text += fmt::format("| {} | {} | {} {} | {} |\n", group.name, percent(group.full.rate()),
                        percent(group.gate.rate()), interval_text(group.gate.interval()),
                        percent(group.cut));
  }
  if (!report.ablations.empty()) {
    text += fmt::format(
        "\n| {} without variants by | cost cut | compute cut | lost by it | of the full model's success "
        "| p90 ms |\n|---|---|---|---|---|---|\n",
        report.headline);
    for (const auto& ablation : report.ablations) {
      text += fmt::format("| {} | {} {} | {} | {} | {} | {:.0f} |\n", ablation.without,
                          percent(ablation.row.cut), interval_text(ablation.row.cut_interval),
                          percent(ablation.row.compute_cut), interval_text(ablation.compute_lost),
                          percent(ablation.row.retained),
                          1e3 * ablation.row.score.p90_seconds);
    }
  }
  if (!report.priced.empty()) {
    text += fmt::format(
        "\n| priced as | USD a million tokens | full model alone, USD | {}, USD | cost cut "
        "|\n|---|---|---|---|---|\n",
        report.headline);
    for (const auto& priced : report.priced) {
      text += fmt::format("| {} | {:g}, {:g} | {:.5f} | {:.5f} | {} |\n", priced.name,
                          priced.prices.usd_per_million_prompt_tokens,
                          priced.prices.usd_per_million_completion_tokens, priced.usd_full,
                          priced.usd,
                          percent(priced.usd_full > 0 ? 1 - priced.usd / priced.usd_full : 0));
    }
  }
  text += fmt::format(
      "\nTimes and tokens are measured, each prompt once at each place, on this machine and over "
      "its own network "
      "stack; costs are priced: remote tokens at ${} and ${} a million (prompt, completion), local "
      "seconds at ${:.8f}; compute is bit-operations, MACs times the bits of a weight, of every token "
      "read and written. Intervals are 95 %.\n",
      report.prices.usd_per_million_prompt_tokens, report.prices.usd_per_million_completion_tokens,
      report.prices.local_usd_per_second);
  return text;
}

OrderedJson report_to_json(const WorkflowReport& report) {
  const std::optional<Allowed>& allowed = report.allowed;
  const auto number_or_null = [](std::optional<double> number) {
    return number ? OrderedJson(*number) : OrderedJson(nullptr);
  };
  OrderedJson json{{"workflows", report.n_workflows},
                   {"calibration", report.n_calibration},
                   {"zoo", report.zoo},
                   {"remote_model", report.remote_model},
                   {"retain", report.retain},
                   {"confidence", report.confidence},
                   {"headline", report.headline},
                   {"allowance", number_or_null(allowed ? std::optional(allowed->allowance)
                                                        : std::nullopt)},
                   {"cascade_allowance", number_or_null(allowed ? allowed->cascade : std::nullopt)},
                   {"random_cut", report.random_cut ? OrderedJson(*report.random_cut) : nullptr}};
  const auto add = [&json](const char* key, const std::vector<ReportRow>& rows) {
    json[key] = OrderedJson::array();
    for (const ReportRow& row : rows) json[key].push_back(to_json(row));
  };
  add("rows", report.rows);
  add("random", report.random_rows);
  json["groups"] = OrderedJson::array();
  for (const auto& group : report.groups) {
    json["groups"].push_back({{"name", group.name},
                              {"full", group.full.rate()},
                              {"gate", group.gate.rate()},
                              {"workflows", group.gate.n},
                              {"cut", group.cut}});
  }
  json["priced"] = OrderedJson::array();
  for (const auto& priced : report.priced) {
    json["priced"].push_back(
        {{"name", priced.name},
         {"usd_per_million_prompt_tokens", priced.prices.usd_per_million_prompt_tokens},
         {"usd_per_million_completion_tokens", priced.prices.usd_per_million_completion_tokens},
         {"usd_full", priced.usd_full},
         {"usd", priced.usd}});
  }
  json["ablations"] = OrderedJson::array();
  for (const auto& ablation : report.ablations) {
    OrderedJson row = to_json(ablation.row);
    row["without"] = ablation.without;
    row["compute_lost_interval"] = {ablation.compute_lost.low, ablation.compute_lost.high};
    json["ablations"].push_back(std::move(row));
  }
  return json;
}

std::string report_svg(const WorkflowReport& report) {
  const Frame frame;
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 420\" font-family=\"system-ui, "
      "'DejaVu Sans', sans-serif\" font-size=\"12\">\n  <title>Cost and success</title>\n"
      "  <style>.page { fill: #ffffff; } text { fill: #1d2733; } .grid { stroke: #dde3e8; } "
      ".random { "
      "stroke: #8a94a0; fill: none; stroke-dasharray: 5 4; } circle { fill: #b3361e; }</style>\n"
      "  <rect class=\"page\" width=\"640\" height=\"420\"/>\n";
  for (int tick = 0; tick <= 10; tick += 2) {
    const double share = tick / 10.0;
    svg += fmt::format(
        "  <line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n"
        "  <text x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5} %</text>\n"
        "  <text x=\"{6:.1f}\" y=\"{7:.1f}\" text-anchor=\"middle\">{5} %</text>\n",
        frame.x(0), frame.x(1), frame.y(share), frame.x(0) - 8, frame.y(share) + 4, 10 * tick,
        frame.x(share), frame.y(0) + 18);
  }
  svg += fmt::format(
      "  <text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">cost that is saved; upwards, "
      "workflows that "
      "succeed; dashed, random routers</text>\n  <polyline class=\"random\" points=\"",
      frame.x(0.5), frame.y(0) + 40);
  for (const ReportRow& row : report.random_rows) {
    svg += fmt::format("{:.1f},{:.1f} ", frame.x(row.cut), frame.y(row.score.workflows.rate()));
  }
  svg += "\"/>\n";
  for (const ReportRow& row : report.rows) {
    const double x = frame.x(row.cut), y = frame.y(row.score.workflows.rate());
    const bool left = row.cut > 0.7;
    svg += fmt::format(
        "  <circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n  <text x=\"{:.1f}\" y=\"{:.1f}\" "
        "text-anchor=\"{}\">{}</text>\n",
        x, y, left ? x - 8 : x + 8, y - 7, left ? "end" : "start", row.name);
  }
  return svg + "</svg>\n";
}

}  // namespace ac
