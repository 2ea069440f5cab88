// zoo build: from a base, a text and a recipe to a zoo of measured variants.
#include <array>
#include <nlohmann/json.hpp>

#include "models/compress/build.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"
#include "runtime/eval/task_score.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    Option{"--base", "FILE", "what to make variants of: a GGUF file or Hugging Face folder"},
    Option{"--calibrate", "FILE",
           "text like the prompts to come: documents between blank lines, or .jsonl with \"text\" or "
           "\"prompt\" and \"answer\""},
    Option{"--held-out", "FILE",
           "text that judges the variants (every tenth document of the other)"},
    Option{"--recipe", "FILE", "which variants, and how each is made"},
    Option{"--out", "FILE", "the zoo; parts are kept in FILE.build until it is whole"},
    Option{"--tasks", "N", "let every variant do N research tasks of each kind (0)"},
    Option{"--threads", "N", "worker threads; 0: one per core (0)"},
    Option{"--json", "", "as JSON"},
};

Result<std::string> needed(const Invocation& invocation, std::string_view flag) {
  if (const auto value = invocation.value(flag)) return *value;
  return usage_error(invocation.verb(), fmt::format("expected {} FILE", flag));
}

// Answers to `n` tasks of each kind, of the split that nothing is made with.
Result<std::vector<TaskSuccess>> success_of(Checkpoint variant, int64_t n, int n_threads) {
  constexpr int32_t kSlots = 8;
  AC_TRY(const auto engine, Engine::load(std::move(variant), {.n_threads = n_threads,
                                                              .n_slots = kSlots}));
  AC_TRY(const TaskScore score, score_tasks(*engine, {.n_per_kind = n}, {}));
  std::vector<TaskSuccess> success;
  for (int kind = 0; kind < tasks::kTaskKinds; ++kind) {
    const SuccessCount& count = score.kinds[static_cast<size_t>(kind)];
    success.push_back({.task = std::string(tasks::kind_name(static_cast<tasks::TaskKind>(kind))),
                       .n_right = static_cast<uint64_t>(count.right),
                       .n_total = static_cast<uint64_t>(count.n)});
  }
  return success;
}

Result<int> run(const Invocation& invocation) {
  BuildOptions options;
  AC_TRY(options.base_path, needed(invocation, "--base"));
  AC_TRY(options.calibration_path, needed(invocation, "--calibrate"));
  AC_TRY(options.recipe_path, needed(invocation, "--recipe"));
  AC_TRY(options.zoo_path, needed(invocation, "--out"));
  options.held_out_path = invocation.value("--held-out").value_or("");
  AC_TRY(const int64_t n_threads, invocation.integer("--threads", 0, 0, 256));
  options.n_threads = static_cast<int>(n_threads);
  AC_TRY(const int64_t n_tasks, invocation.integer("--tasks", 0, 0, 1'000'000));
  if (n_tasks > 0) {
    options.score_text = fmt::format("tasks split={} first=0 of_each_kind={}",
                                     tasks::split_name(TaskSample().split), n_tasks);
    options.score = [&](Checkpoint variant) {
      return success_of(std::move(variant), n_tasks, options.n_threads);
    };
  }
  std::optional<Progress> bar;
  options.progress = [&](uint64_t done, uint64_t total, std::string_view note) {
    if (!bar) bar.emplace("building", total);
    bar->update(done, note);
  };
  const Result<PackReport> report = build_zoo(options);
  bar.reset();
  if (!report) {
    // Whatever ended the build, a full disk too, left no zoo: the command as a whole was refused.
    if (report.error().code != ErrorCode::kIo) return report.error();
    log_line(LogLevel::kError, report.error().message);
    return 2;
  }
  if (invocation.has("--json")) {
    OrderedJson variants = OrderedJson::array();
    for (const ZooVariant& variant : report->manifest.variants) {
      variants.push_back(OrderedJson{{"name", variant.id},
                                     {"bytes_per_token", variant.bytes_per_token},
                                     {"macs_per_token", variant.macs_per_token},
                                     {"ms_per_token", variant.ms_per_token},
                                     {"kl", variant.quality->kl_mean},
                                     {"ppl", variant.quality->perplexity}});
    }
    output().write_line(json_line(OrderedJson{
        {"path", options.zoo_path}, {"bytes", report->zoo_bytes}, {"variants", variants}}));
    return 0;
  }
  for (const ZooVariant& variant : report->manifest.variants) {
    print(
        "{:<20} {:>9.2f} MB/token {:>9.3f} ms/token   KL {:.5f}   perplexity {:.3f} (base "
        "{:.3f})\n",
        variant.id, static_cast<double>(variant.bytes_per_token) / 1e6, variant.ms_per_token,
        variant.quality->kl_mean, variant.quality->perplexity, variant.quality->base_perplexity);
  }
  print("{}: {:.2f} MB\n", options.zoo_path, static_cast<double>(report->zoo_bytes) / 1e6);
  return 0;
}

}  // namespace

constinit const Verb kZooBuild = {
    .name = "zoo build",
    .summary = "make a zoo of calibrated, measured variants by a recipe",
    .options = kOptions,
    .run = run,
};

}  // namespace ac::cli
