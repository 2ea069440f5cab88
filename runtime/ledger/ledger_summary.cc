#include "runtime/ledger/ledger_summary.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/core/at_share.h"

namespace ac {
namespace {

void add(LedgerTotals& totals, const LedgerEntry& entry) {
  ++totals.n;
  totals.n_local += entry.place == "local" ? 1 : 0;
  totals.n_degraded += entry.degraded ? 1 : 0;
  totals.n_doubtful += entry.doubtful ? 1 : 0;
  totals.n_interrupted += entry.finish == "interrupted" ? 1 : 0;
  totals.prompt_tokens += entry.prompt_tokens;
  totals.completion_tokens += entry.completion_tokens;
  totals.cost_micro_usd += entry.cost_micro_usd;
  totals.full_cost_micro_usd += entry.full_cost_micro_usd;
  totals.local_watt_hours += entry.local_watt_hours;
}

class Gathered {
 public:
  void take(const LedgerEntry& entry) {
    add(totals_, entry);
    seconds_.push_back(entry.seconds);
  }
  LedgerTotals totals() {
    std::sort(seconds_.begin(), seconds_.end());
    totals_.p50_seconds = at_share(seconds_, 0.5);
    totals_.p90_seconds = at_share(seconds_, 0.9);
    return totals_;
  }

 private:
  LedgerTotals totals_;
  std::vector<double> seconds_;
};

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

OrderedJson to_json(const LedgerTotals& totals) {
  return {{"answers", totals.n},
          {"local", totals.n_local},
          {"degraded", totals.n_degraded},
          {"doubtful", totals.n_doubtful},
          {"interrupted", totals.n_interrupted},
          {"prompt_tokens", totals.prompt_tokens},
          {"completion_tokens", totals.completion_tokens},
          {"usd", totals.usd()},
          {"full_model_usd", totals.full_usd()},
          {"saved_usd", totals.saved_usd()},
          {"local_watt_hours", totals.local_watt_hours},
          {"p50_seconds", totals.p50_seconds},
          {"p90_seconds", totals.p90_seconds}};
}

std::string day_text(int64_t start_ms) { return utc_text(start_ms).substr(0, 10); }

std::string line_of(std::string_view name, const LedgerTotals& totals) {
  return fmt::format("{:<28} {:>8} {:>9.1f} % {:>12} {:>9.2f} {:>9.2f} {:>10.4f} {:>10.4f}\n", name,
                     totals.n, 100 * share(totals.n_local, totals.n),
                     totals.prompt_tokens + totals.completion_tokens, totals.p50_seconds,
                     totals.p90_seconds, totals.usd(), totals.full_usd());
}

// RFC 4180; and a cell that begins as a formula does gets an apostrophe.
std::string csv_cell(const std::string& text) {
  std::string cell = text;
  if (!cell.empty() && std::string_view("=+-@\t\r").find(cell[0]) != std::string_view::npos) {
    cell.insert(0, 1, '\'');
  }
  if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

LedgerSummary summary_of(std::span<const LedgerRow> rows) {
  Gathered all;
  std::map<std::pair<std::string, std::string>, Gathered> models;
  std::map<int64_t, Gathered> days;
  for (const LedgerRow& row : rows) {
    all.take(row.entry);
    models[{row.entry.place, row.entry.model}].take(row.entry);
    days[day_start_ms(row.entry.at_ms)].take(row.entry);
  }
  LedgerSummary summary{.all = all.totals(), .models = {}, .days = {}};
  for (auto& [name, gathered] : models) {
    summary.models.push_back({name.first, name.second, gathered.totals()});
  }
  std::stable_sort(summary.models.begin(), summary.models.end(),
                   [](const auto& a, const auto& b) { return a.totals.n > b.totals.n; });
  for (auto& [start, gathered] : days) summary.days.push_back({start, gathered.totals()});
  return summary;
}

std::string summary_text(const LedgerSummary& summary) {
  const LedgerTotals& all = summary.all;
  if (all.n == 0) return "no answers yet\n";
  std::string text = fmt::format(
      "{} answer{}, {:.1f} % of them here. Paid ${:.4f}; the full model alone would have taken "
      "${:.4f}: ${:.4f} saved ({:.1f} %). This machine took {:.2f} Wh.\n",
      all.n, all.n == 1 ? "" : "s", 100 * share(all.n_local, all.n), all.usd(), all.full_usd(),
      all.saved_usd(),
      100 * (all.full_cost_micro_usd > 0 ? all.saved_usd() / all.full_usd() : 0),
      all.local_watt_hours);
  if (all.n_degraded + all.n_doubtful + all.n_interrupted > 0) {
    text += fmt::format("{} wanted the full model and could not have it, {} were doubtful, {} broke "
                        "off.\n",
                        all.n_degraded, all.n_doubtful, all.n_interrupted);
  }
  const std::string head =
      fmt::format("{:>8} {:>11} {:>12} {:>9} {:>9} {:>10} {:>10}\n", "answers", "here", "tokens",
                  "p50 s", "p90 s", "paid $", "full $");
  text += fmt::format("\n{:<28} {}", "model", head);
  for (const auto& model : summary.models) {
    text += line_of(model.place + " " + model.model, model.totals);
  }
  text += fmt::format("\n{:<28} {}", "day (UTC)", head);
  for (const auto& day : summary.days) text += line_of(day_text(day.start_ms), day.totals);
  return text;
}

OrderedJson summary_to_json(const LedgerSummary& summary) {
  OrderedJson json = to_json(summary.all);
  json["models"] = OrderedJson::array();
  for (const auto& model : summary.models) {
    OrderedJson row{{"place", model.place}, {"model", model.model}};
    row.update(to_json(model.totals));
    json["models"].push_back(std::move(row));
  }
  json["days"] = OrderedJson::array();
  for (const auto& day : summary.days) {
    OrderedJson row{{"day", day_text(day.start_ms)}};
    row.update(to_json(day.totals));
    json["days"].push_back(std::move(row));
  }
  return json;
}

std::string summary_svg(const LedgerSummary& summary) {
  constexpr double kLeft = 70, kTop = 30, kWidth = 540, kHeight = 320;
  const double most = std::max({summary.all.full_usd(), summary.all.usd(), 1e-6});
  const int64_t first = summary.days.empty() ? 0 : summary.days.front().start_ms;
  const int64_t last = summary.days.empty() ? 1 : summary.days.back().start_ms;
  const auto x = [&](int64_t at) {
    if (last == first) return kLeft + kWidth;
    return kLeft + kWidth * static_cast<double>(at - first) / static_cast<double>(last - first);
  };
  const auto y = [&](double usd) { return kTop + kHeight * (1 - usd / most); };
  std::string full, paid;
  double full_usd = 0, usd = 0;
  for (const auto& day : summary.days) {
    full_usd += day.totals.full_usd();
    usd += day.totals.usd();
    full += fmt::format("{:.1f},{:.1f} ", x(day.start_ms), y(full_usd));
    paid += fmt::format("{:.1f},{:.1f} ", x(day.start_ms), y(usd));
  }
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 420\" font-family=\"system-ui, "
      "'DejaVu Sans', sans-serif\" font-size=\"12\">\n  <title>Paid and saved</title>\n"
      "  <style>.page { fill: #ffffff; } text { fill: #1d2733; } .grid { stroke: #dde3e8; } "
      ".full { stroke: #8a94a0; fill: none; stroke-dasharray: 5 4; } .paid { stroke: #b3361e; "
      "fill: none; stroke-width: 2; } .saved { fill: #2f7d4f22; }</style>\n"
      "  <rect class=\"page\" width=\"640\" height=\"420\"/>\n";
  for (int tick = 0; tick <= 4; ++tick) {
    const double at = most * tick / 4;
    svg += fmt::format(
        "  <line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n"
        "  <text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">${:.4g}</text>\n",
        kLeft, kLeft + kWidth, y(at), y(at), kLeft - 8, y(at) + 4, at);
  }
  if (!summary.days.empty()) {
    svg += fmt::format("  <text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", kLeft, kTop + kHeight + 20,
                       day_text(first));
    if (last != first) {
      svg += fmt::format("  <text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
                         kLeft + kWidth, kTop + kHeight + 20, day_text(last));
    }
  }
  svg += fmt::format("  <polyline class=\"full\" points=\"{}\"/>\n", full);
  svg += fmt::format("  <polyline class=\"paid\" points=\"{}\"/>\n", paid);
  svg += fmt::format(
      "  <text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">red: what was paid; dashed: what the "
      "full model alone would have taken</text>\n",
      kLeft + kWidth / 2, kTop + kHeight + 44);
  return svg + "</svg>\n";
}

std::string rows_to_csv(std::span<const LedgerRow> rows) {
  std::string text =
      "id,at_utc,source,place,model,level,reason,finish,confidence,degraded,doubtful,prompt_tokens,"
      "completion_tokens,reused_tokens,seconds,first_token_seconds,cost_usd,full_model_usd,"
      "local_watt_hours\n";
  for (const LedgerRow& row : rows) {
    const LedgerEntry& entry = row.entry;
    text += fmt::format(
        "{},{},{},{},{},{},{},{},{},{:d},{:d},{},{},{},{:.4f},{:.4f},{:.6f},{:.6f},{:.6f}\n", row.id,
        utc_text(entry.at_ms), csv_cell(entry.source), csv_cell(entry.place), csv_cell(entry.model),
        entry.level ? std::to_string(*entry.level) : "", csv_cell(entry.reason),
        csv_cell(entry.finish), entry.confidence ? fmt::format("{:.4f}", *entry.confidence) : "",
        entry.degraded, entry.doubtful, entry.prompt_tokens, entry.completion_tokens,
        entry.reused_tokens, entry.seconds, entry.first_token_seconds, usd_of(entry.cost_micro_usd),
        usd_of(entry.full_cost_micro_usd), entry.local_watt_hours);
  }
  return text;
}

OrderedJson row_to_json(const LedgerRow& row) {
  const LedgerEntry& entry = row.entry;
  return {{"id", row.id},
          {"at_utc", utc_text(entry.at_ms)},
          {"source", entry.source},
          {"place", entry.place},
          {"model", entry.model},
          {"level", entry.level ? OrderedJson(*entry.level) : OrderedJson(nullptr)},
          {"reason", entry.reason},
          {"finish", entry.finish},
          {"confidence", entry.confidence ? OrderedJson(*entry.confidence) : OrderedJson(nullptr)},
          {"degraded", entry.degraded},
          {"doubtful", entry.doubtful},
          {"prompt_tokens", entry.prompt_tokens},
          {"completion_tokens", entry.completion_tokens},
          {"reused_tokens", entry.reused_tokens},
          {"seconds", entry.seconds},
          {"first_token_seconds", entry.first_token_seconds},
          {"cost_usd", usd_of(entry.cost_micro_usd)},
          {"full_model_usd", usd_of(entry.full_cost_micro_usd)},
          {"local_watt_hours", entry.local_watt_hours}};
}

}  // namespace ac
