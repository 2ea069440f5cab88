// predictor learned: what was learned from use, and how to take it back.
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"
#include "runtime/route/use_labels.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    Option{"--undo", "N", "take the last N labels back"},
    Option{"--clear", "", "take all of them back"},
    Option{"--json", "", "as JSON"},
};

struct Learned {
  size_t n = 0;
  double success = 0;  // the sum
};

Result<int> run(const Invocation& invocation) {
  if (invocation.has("--undo") && invocation.has("--clear")) {
    return usage_error(invocation.verb(), "--undo and --clear exclude each other");
  }
  AC_TRY(const int64_t undo, invocation.integer("--undo", 0, 1, INT32_MAX));
  AC_TRY(const Settings settings, invocation.load_settings());
  const std::string path = learned_path(settings);
  if (path.empty()) return usage_error(invocation.verb(), "there is no home folder to look in");
  size_t taken = 0;
  if (undo > 0 || invocation.has("--clear")) {
    AC_TRY(taken, take_back_use_labels(
                      path, invocation.has("--clear") ? SIZE_MAX : static_cast<size_t>(undo)));
  }
  AC_TRY(const std::vector<UseLabelRow> rows, read_use_labels(path));
  std::map<std::string, Learned> by_tier;
  std::map<std::string, size_t> by_source;
  for (const UseLabelRow& row : rows) {
    Learned& learned = by_tier[row.label.tier];
    ++learned.n;
    learned.success += row.label.success;
    ++by_source[row.source];
  }
  if (invocation.has("--json")) {
    OrderedJson object{{"path", path}, {"labels", rows.size()}, {"taken_back", taken}};
    for (const auto& [tier, learned] : by_tier) {
      object["tiers"][tier] = {{"labels", learned.n},
                               {"success", learned.success / static_cast<double>(learned.n)}};
    }
    for (const auto& [source, n] : by_source) object["sources"][source] = n;
    output().write_line(json_line(object));
    return 0;
  }
  if (taken > 0) print("{} labels taken back\n", taken);
  print("{}: {} labels\n", path, rows.size());
  for (const auto& [tier, learned] : by_tier) {
    print("  {:<12} {} labels, success {:.2f}\n", tier, learned.n,
          learned.success / static_cast<double>(learned.n));
  }
  for (const auto& [source, n] : by_source) print("  {:<12} {}\n", source, n);
  return 0;
}

}  // namespace

constinit const Verb kPredictorLearned = {
    .name = "predictor learned",
    .summary = "what was learned from use, and how to take it back",
    .options = kOptions,
    .sections = "route log",
    .run = run,
};

}  // namespace ac::cli
