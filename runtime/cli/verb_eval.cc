// eval: research workflows through every kind of router, and the table of what each is worth.
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "models/store/zoo.h"
#include "runtime/assemble/shipped.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"
#include "runtime/eval/strategies.h"
#include "runtime/eval/workflow_report.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    Option{"--n", "N", "workflows of the evaluation split (500)"},
    Option{"--calibration", "N",
           "workflows of the calibration split that choose the threshold (300)"},
    Option{"--first-seed", "N", "of the first workflow of the evaluation split; others follow (0)"},
    Option{"--price", "NAME=P/C",
           "what the same runs cost at P and C dollars a million tokens (prompt, completion)", true},
    Option{"--out", "NAME", "write NAME.md, NAME.json and NAME.svg"},
    Option{"--json", "", "as JSON"},
};
constexpr int kRandomShares = 10;

// The draft gate whole, and with something more or less.
struct NamedDraftPlan {
  const char* name;
  DraftPlan plan;
};
constexpr NamedDraftPlan kDraftPlans[] = {
    {"drafts judged", {}},
    {"drafts judged, no cascade", {.use = {.cascade = false}}},
    {"drafts judged, no probe", {.use = {.probe = false}}},
    {"drafts judged, second drafts", {.use = {.second = true}}},
    {"drafts judged, by workflow", {.by_workflow = true}},
};

// Everything that answers, by name.
class Places {
 public:
  static Result<std::unique_ptr<Places>> open(const Invocation& invocation,
                                              const Settings& settings) {
    auto places = std::make_unique<Places>();
    AC_TRY(Models models, open_models(invocation, settings));
    if (models.variants == nullptr || models.gates == nullptr || !models.gates->ngram) {
      return usage_error(
          invocation.verb(),
          "expected a zoo with a predictor of both gates (predictor train, zoo add)");
    }
    places->gates = models.gates;
    std::vector<LocalVariant> variants(models.variants->variants().begin(),
                                       models.variants->variants().end());
    std::stable_sort(variants.begin(), variants.end(),
                     [](const auto& a, const auto& b) { return a.cost.cost < b.cost.cost; });
    // The last tier is the full model; where the zoo has it too, it is not a saving.
    const std::span<const std::string> tiers = places->gates->paper.tiers();
    for (const LocalVariant& variant : variants) {
      const bool is_tier =
          std::find(tiers.begin(), tiers.end() - 1, variant.cost.id) != tiers.end() - 1;
      if (is_tier) places->variants.push_back(variant.cost.id);
      places->bit_ops_[variant.cost.id] = variant.cost.cost;
    }
    // It stands for the zoo's dearest variant, which `serve` runs.
    places->bit_ops_[std::string(kRemotePlace)] = variants.back().cost.cost;
    if (places->variants.empty()) {
      return usage_error(invocation.verb(), "no variant of the zoo is a tier of its predictor");
    }
    AC_TRY(RemoteOptions remote, remote_options(settings));
    if (remote.url.empty()) {
      return usage_error(
          invocation.verb(),
          "expected a remote full model: agentcompress serve --variant full in another "
          "process, and --remote-url");
    }
    places->remote_model = remote.model;
    harden(settings, remote);
    AC_TRY(places->router_, make_router(std::move(models), std::move(remote), settings));
    places->generate_ = generate_options(settings);
    return places;
  }

  Result<PlaceAnswer> ask(const std::string& place, const std::string& prompt) {
    RouteRequest request;
    request.messages = {{"user", prompt}};
    request.options = generate_;
    request.pin = place;
    request.wants_signals = true;
    Result<RoutedAnswer> asked = router_->answer(request);
    // A step that quotes a long wrong answer may not fit; then there is no answer.
    if (!asked && asked.error().code == ErrorCode::kContextFull) return PlaceAnswer{};
    if (!asked) return asked.error();
    const RoutedAnswer& answer = *asked;
    if (answer.interrupted) return *answer.interrupted;
    if (answer.receipt.finish == "cancelled") return Error{ErrorCode::kCancelled, ""};
    return PlaceAnswer{.text = answer.text,
                       .seconds = answer.receipt.seconds,
                       .prompt_tokens = answer.receipt.prompt_tokens,
                       .completion_tokens = answer.receipt.completion_tokens,
                       .first_token_seconds = answer.receipt.first_token_seconds,
                       .bit_ops_per_token = bit_ops_.at(place),
                       .signals = answer.signals.value_or(DraftSignals{})};
  }

  std::shared_ptr<const Gates> gates;
  std::vector<std::string> variants;  // cheapest first, without the full model
  std::string remote_model;

 private:
  std::unique_ptr<Router> router_;
  GenerateOptions generate_;
  std::map<std::string, double> bit_ops_;  // of a token, by place
};

// The techniques of the zoo's variants, by the first word of what was done; of "quantise", which all
// of them have, by two.
std::map<std::string, std::set<std::string>> variants_by_technique(const Zoo& zoo) {
  std::map<std::string, std::set<std::string>> found;
  for (const ZooVariant& variant : zoo.manifest().variants) {
    for (const std::string& line : variant.techniques) {
      const size_t first = line.find(' ');
      const size_t end = line.starts_with("quantise ") ? line.find(' ', first + 1) : first;
      found[line.substr(0, end)].insert(variant.id);
    }
  }
  return found;
}

// "A100=1.5/6". Errors: kInvalidArgument.
Result<WorkflowReport::Priced> priced_from(const Verb& verb, const std::string& text) {
  WorkflowReport::Priced priced;
  const size_t equals = text.rfind('='), slash = text.rfind('/');
  const auto number = [&](size_t from, size_t to, double& out) {
    const auto [end, error] = std::from_chars(text.data() + from, text.data() + to, out);
    return error == std::errc() && end == text.data() + to && out >= 0 && out <= 1e6;
  };
  const bool good = equals != std::string::npos && equals > 0 && slash != std::string::npos &&
                    slash > equals &&
                    number(equals + 1, slash, priced.prices.usd_per_million_prompt_tokens) &&
                    number(slash + 1, text.size(), priced.prices.usd_per_million_completion_tokens);
  if (!good) {
    return usage_error(verb, fmt::format("--price is '{}', expected NAME=PROMPT/COMPLETION", text));
  }
  priced.name = text.substr(0, equals);
  return priced;
}

double usd_at(std::span<const WorkflowRun> runs, const StepPrices& prices) {
  double usd = 0;
  for (const WorkflowRun& run : runs) {
    for (const StepRun& step : run.steps) usd += price_of(step, prices);
  }
  return usd;
}

class Evaluation {
 public:
  Evaluation(Places& places, const StepPrices& prices)
      : places_(places), prices_(prices), book_([this](const auto& place, const auto& prompt) {
          if (progress)
            progress->update(book_.n_asked() + 1, fmt::format("{} answers", book_.n_asked() + 1));
          return places_.ask(place, prompt);
        }) {}

  Result<std::vector<WorkflowRun>> run(std::span<const tasks::Workflow> workflows,
                                       const Strategy& strategy) {
    std::vector<WorkflowRun> runs;
    for (const tasks::Workflow& workflow : workflows) {
      AC_TRY(WorkflowRun run, run_workflow(workflow, strategy, prices_, book_));
      runs.push_back(std::move(run));
    }
    return runs;
  }

  void ask_together(std::vector<std::string> places) { book_.ask_together(std::move(places)); }

  std::optional<Progress> progress;

 private:
  Places& places_;
  StepPrices prices_;
  AnswerBook book_;
};

void add_groups(std::span<const tasks::Workflow> workflows, std::span<const WorkflowRun> full,
                std::span<const WorkflowRun> gate, WorkflowReport& report) {
  const auto add = [&](std::string_view name, auto belongs) {
    WorkflowReport::Group group{.name = std::string(name), .full = {}, .gate = {}};
    double usd = 0, of_full = 0;
    for (size_t i = 0; i < workflows.size(); ++i) {
      if (!belongs(workflows[i])) continue;
      group.full.add(full[i].success);
      group.gate.add(gate[i].success);
      usd += gate[i].usd();
      of_full += full[i].usd();
    }
    if (of_full > 0) group.cut = 1 - usd / of_full;
    report.groups.push_back(std::move(group));
  };
  for (int kind = 0; kind < tasks::kTaskKinds; ++kind) {
    add(tasks::kind_name(static_cast<tasks::TaskKind>(kind)),
        [kind](const tasks::Workflow& workflow) {
          return workflow.kind == static_cast<tasks::TaskKind>(kind);
        });
  }
  for (int field = 0; field < tasks::kFields; ++field) {
    add(tasks::field_name(static_cast<tasks::Field>(field)),
        [field](const tasks::Workflow& workflow) {
          return workflow.field == static_cast<tasks::Field>(field);
        });
  }
}

Result<int> run(const Invocation& invocation) {
  AC_TRY(const int64_t n, invocation.integer("--n", 500, 16, 100'000));
  AC_TRY(const int64_t seed, invocation.integer("--first-seed", 0, 0, 1'000'000'000));
  AC_TRY(const int64_t n_calibration, invocation.integer("--calibration", 300, 16, 100'000));
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const std::unique_ptr<Places> places, Places::open(invocation, settings));
  WorkflowReport report;
  report.zoo = zoo_path(settings);
  report.remote_model = places->remote_model;
  report.n_workflows = static_cast<size_t>(n);
  report.n_calibration = static_cast<size_t>(n_calibration);
  report.retain = settings.number("route.target_success");
  report.confidence = settings.number("route.target_confidence");
  const TokenPrices prices = full_model_prices(settings);
  report.prices = {
      .usd_per_million_prompt_tokens = prices.usd_per_million_prompt_tokens,
      .usd_per_million_completion_tokens = prices.usd_per_million_completion_tokens,
      .local_usd_per_second = settings.number("cost.local_watts") / 1000 *
                              settings.number("cost.usd_per_kwh") / 3600};
  if (report.prices.usd_per_million_completion_tokens == 0) {
    return usage_error(invocation.verb(),
                       "the remote costs nothing: set usd_per_million_prompt_tokens and "
                       "usd_per_million_completion_tokens in [remote]");
  }
  for (const std::string& text : invocation.values("--price")) {
    AC_TRY(WorkflowReport::Priced priced, priced_from(invocation.verb(), text));
    priced.prices.local_usd_per_second = report.prices.local_usd_per_second;
    report.priced.push_back(std::move(priced));
  }
  watch_interrupts();

  const auto calibration =
      workflows_of(tasks::Split::kCalibration, 0, static_cast<size_t>(n_calibration));
  const auto workflows = workflows_of(tasks::Split::kEvaluation, static_cast<uint64_t>(seed),
                                      static_cast<size_t>(n));
  const std::vector<std::string>& variants = places->variants;
  Evaluation evaluation(*places, report.prices);
  // Each step at each place, and some again because an earlier answer was another one: a guess.
  uint64_t n_steps = 0;
  for (const auto* all : {&calibration, &workflows}) {
    for (const tasks::Workflow& workflow : *all) n_steps += workflow.steps.size();
  }
  evaluation.progress.emplace("answering", n_steps * (variants.size() + 1));
  const auto gate_at = [&](double allowance, bool verified) {
    return default_gate(places->gates, variants, allowance, verified);
  };
  using StrategyAt = std::function<Strategy(const Allowed& allowed)>;
  AC_TRY(const auto full_before, evaluation.run(calibration, always_remote()));
  const auto certain = [&](const StrategyAt& at, bool cascade) {
    return certain_setting(
        full_before, report.retain, report.confidence, tried_settings(cascade),
        [&](const Allowed& allowed) { return evaluation.run(calibration, at(allowed)); });
  };

  std::vector<std::string> all_places = variants;
  all_places.emplace_back(kRemotePlace);
  evaluation.ask_together(std::move(all_places));
  AC_TRY(const auto full, evaluation.run(workflows, always_remote()));
  evaluation.ask_together({});
  const auto add = [&](std::string name,
                       const Strategy& strategy) -> Result<std::vector<WorkflowRun>> {
    AC_TRY(std::vector<WorkflowRun> runs, evaluation.run(workflows, strategy));
    report.rows.push_back(report_row(std::move(name), runs, full));
    return runs;
  };
  constexpr Allowed kNothing = {.allowance = -2};
  report.rows.push_back(report_row("full model alone", full, full));
  // The draft gate whole, where there is one; else the default gate.
  std::vector<WorkflowRun> headline;
  const auto add_certain = [&](const std::string& name, const StrategyAt& at, bool cascade,
                               bool is_headline) -> Status {
    AC_TRY(const auto allowed, certain(at, cascade));
    AC_TRY(std::vector<WorkflowRun> runs, add(name, at(allowed.value_or(kNothing))));
    if (!is_headline) return {};
    report.headline = name;
    report.allowed = allowed;
    headline = std::move(runs);
    return {};
  };
  const bool has_drafts = places->gates->draft.has_value();
  AC_TRY_STATUS(add_certain(
      "default gate", [&](const Allowed& at) { return gate_at(at.allowance, false); }, false,
      !has_drafts));
  AC_TRY_STATUS(add_certain(
      "default gate and checks", [&](const Allowed& at) { return gate_at(at.allowance, true); },
      false, false));
  for (const NamedDraftPlan& each : kDraftPlans) {
    if (!has_drafts) break;
    AC_TRY_STATUS(add_certain(
        each.name,
        [&](const Allowed& at) { return draft_gate(places->gates, variants, at, each.plan); },
        each.plan.use.cascade,
        std::string_view(each.name) == kDraftPlans[0].name));
  }
  AC_TRY(const auto paper,
         add("paper's gate",
             paper_gate(places->gates, variants, settings.number("route.confidence_threshold"))));
  AC_TRY(const auto best, add("oracle", oracle(variants)));
  for (int share = 0; share <= kRandomShares; ++share) {
    const double local = static_cast<double>(share) / kRandomShares;
    AC_TRY(const auto runs, evaluation.run(workflows, at_random(variants.front(), local, 1)));
    report.random_rows.push_back(report_row(fmt::format("random {:.1f}", local), runs, full));
  }
  report.random_cut =
      cut_at(report.random_rows, report_row(report.headline, headline, full).retained);
  add_groups(workflows, full, headline, report);
  for (WorkflowReport::Priced& priced : report.priced) {
    priced.usd_full = usd_at(full, priced.prices);
    priced.usd = usd_at(headline, priced.prices);
  }

  AC_TRY(const auto zoo, Zoo::open(report.zoo));
  for (const auto& [technique, those] : variants_by_technique(*zoo)) {
    std::vector<std::string> left;
    for (const std::string& variant : variants) {
      if (!those.contains(variant)) left.push_back(variant);
    }
    if (left.empty() || left.size() == variants.size()) continue;
    const auto without = [&](const Allowed& allowed) {
      return has_drafts ? draft_gate(places->gates, left, allowed, kDraftPlans[0].plan)
                        : default_gate(places->gates, left, allowed.allowance, false);
    };
    AC_TRY(const auto allowed, certain(without, kDraftPlans[0].plan.use.cascade));
    AC_TRY(const auto runs, evaluation.run(workflows, without(allowed.value_or(kNothing))));
    report.ablations.push_back(ablation_of(technique, runs, headline, full));
  }
  evaluation.progress.reset();

  if (const auto out = invocation.value("--out")) {
    AC_TRY_STATUS(write_file(*out + ".md", report_markdown(report)));
    AC_TRY_STATUS(write_file(*out + ".json", json_line(report_to_json(report)) + "\n"));
    AC_TRY_STATUS(write_file(*out + ".svg", report_svg(report)));
  }
  if (invocation.has("--json")) {
    output().write_line(json_line(report_to_json(report)));
  } else {
    output().write(report_markdown(report));
  }
  return 0;
}

}  // namespace

constinit const Verb kEval = {
    .name = "eval",
    .summary = "research workflows through every router, and what each is worth",
    .options = kOptions,
    .sections = "engine generate route budget cost remote privacy log",
    .run = run,
};

}  // namespace ac::cli
