// tasks score: how often a model does the research tasks right.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "runtime/cli/setup.h"
#include "runtime/cli/task_flags.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"
#include "runtime/eval/task_score.h"

namespace ac::cli {
namespace {

constexpr int32_t kSlots = 8;  // answers decoded together

constexpr std::array kOptions = {
    kModelOption,
    kVariantOption,
    kKindOption,
    Option{"--split", "train|calibration|evaluation", "whose phrasings, names and words (evaluation)"},
    kRespelledOption,
    kSeedOption,
    Option{"--n", "N", "tasks of each kind (100)"},
    Option{"--failures", "N", "show so many wrong answers of each kind, and why they are wrong"},
    Option{"--file", "FILE", "instead: .jsonl of prompts, each with the one answer that is right"},
    kJsonOption,
};

OrderedJson to_json(const SuccessCount& count) {
  const Interval interval = count.interval();
  return OrderedJson{{"n", count.n},
                     {"right", count.right},
                     {"success", count.rate()},
                     {"low", interval.low},
                     {"high", interval.high}};
}

void print_row(std::string_view name, const SuccessCount& count) {
  const Interval interval = count.interval();
  print("{:<36}{:>6} of {:<6}{:>7.1f} %  [{:.1f}, {:.1f}]\n", name, count.right, count.n,
        100 * count.rate(), 100 * interval.low, 100 * interval.high);
}

// The variant that --variant names, or the dearest.
Result<std::string> chosen(const Invocation& invocation, const VariantSource& source) {
  if (const auto id = invocation.value("--variant")) return std::string(*id);
  const auto variants = source.variants();
  const auto dearest = std::max_element(
      variants.begin(), variants.end(), [](const LocalVariant& a, const LocalVariant& b) {
        return a.cost.cost < b.cost.cost;
      });
  if (dearest == variants.end()) return fail(ErrorCode::kNotFound, "the zoo has no variants");
  return dearest->cost.id;
}

// Every answer is shown, with its verdict.
Result<int> score_file(const Invocation& invocation, Engine& engine, const std::string& path,
                       const std::string& id) {
  AC_TRY(const std::vector<TextDocument> documents, read_documents(path));
  const bool json = invocation.has("--json");
  DocumentScoreOptions options;
  options.answering.cancel = &interrupted();
  options.on_answer = [json](const TextDocument& document, std::string_view answer, bool right) {
    if (json) {
      output().write_line(json_line(OrderedJson{{"prompt", document.prompt},
                                                {"answer", answer},
                                                {"expected", document.text},
                                                {"right", right}}));
      return;
    }
    print("{}\n--- answer, {}\n", document.prompt, right ? "right" : "wrong");
    output().write_untrusted(answer);
    print("\n");
    if (!right) print("--- expected\n{}\n", document.text);
    print("\n");
  };
  AC_TRY(const SuccessCount count, score_documents(engine, documents, options));
  if (!json) print_row(id, count);
  return 0;
}

Result<int> run(const Invocation& invocation) {
  AC_TRY(const TaskRange range, task_range(invocation, tasks::Split::kEvaluation, 100));
  AC_TRY(const int64_t n_failures, invocation.integer("--failures", 0, 0, 1'000'000));
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const Models models, open_models(invocation, settings, kSlots));
  if (models.variants == nullptr) {
    return usage_error(invocation.verb(), "expected --model FILE or a zoo");
  }
  AC_TRY(const std::string id, chosen(invocation, *models.variants));
  watch_interrupts();
  AC_TRY(const auto engine, models.variants->load(id));
  if (const auto file = invocation.value("--file")) {
    return score_file(invocation, *engine, *file, id);
  }
  TaskScoreOptions options;
  options.answering.cancel = &interrupted();
  std::array<int64_t, tasks::kTaskKinds> shown{};
  options.on_answer = [&](const tasks::Task& task, uint64_t seed, std::string_view answer,
                          const tasks::Verdict& verdict) {
    if (verdict.success || shown[static_cast<size_t>(task.kind)]++ >= n_failures) return;
    print("=== {} {}, {}\n{}\n--- answer\n", tasks::kind_name(task.kind), seed,
          tasks::field_name(task.field), task.prompt);
    output().write_untrusted(answer);
    print("\n--- expected\n{}\n--- {}\n\n", task.answer, verdict.reason);
  };
  std::optional<Progress> progress;
  options.answering.progress = [&](int64_t done, int64_t total) {
    if (!progress) progress.emplace("answering", static_cast<uint64_t>(total));
    progress->update(static_cast<uint64_t>(done), fmt::format("{} of {}", done, total));
  };
  const Result<TaskScore> score = score_tasks(
      *engine,
      {.split = range.split,
       .wording = range.wording,
       .kind = range.kind,
       .first_seed = range.first,
       .n_per_kind = static_cast<int64_t>(range.n)},
      options);
  progress.reset();
  if (!score) return score.error();
  if (invocation.has("--json")) {
    OrderedJson object{{"variant", id},
                       {"split", tasks::split_name(range.split)},
                       {"kinds", OrderedJson::object()},
                       {"skills", OrderedJson::object()},
                       {"all", to_json(score->all())}};
    for (int kind = 0; kind < tasks::kTaskKinds; ++kind) {
      const SuccessCount& count = score->kinds[static_cast<size_t>(kind)];
      if (count.n == 0) continue;
      object["kinds"][std::string(tasks::kind_name(static_cast<tasks::TaskKind>(kind)))] =
          to_json(count);
    }
    for (const auto& [name, count] : score->skills) object["skills"][name] = to_json(count);
    output().write_line(json_line(object));
    return 0;
  }
  print("{}, {} split, 95 % intervals\n", id, tasks::split_name(range.split));
  for (const auto& [name, count] : score->skills) print_row("  " + name, count);
  for (int kind = 0; kind < tasks::kTaskKinds; ++kind) {
    const SuccessCount& count = score->kinds[static_cast<size_t>(kind)];
    if (count.n > 0) print_row(tasks::kind_name(static_cast<tasks::TaskKind>(kind)), count);
  }
  print_row("all", score->all());
  return 0;
}

}  // namespace

constinit const Verb kTasksScore = {
    .name = "tasks score",
    .summary = "how often a model does the research tasks right",
    .options = kOptions,
    .sections = "engine route log",
    .run = run,
};

}  // namespace ac::cli
