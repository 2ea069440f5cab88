// predictor train|eval|info: the little network that judges prompts.
#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "models/predictor/gates.h"
#include "models/store/gguf.h"
#include "models/store/zoo.h"
#include "models/train/evaluate.h"
#include "models/train/gate_trainer.h"
#include "models/train/labels.h"
#include "models/train/predictor_trainer.h"
#include "models/train/reliability.h"
#include "models/train/router_table.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"

namespace ac::cli {
namespace {

constexpr Option kLabelsOption = {"--labels", "FILE",
                                  "JSON Lines: prompts with the scores of models"};
constexpr Option kTierOption = {"--tier", "NAME=MODEL[+MODEL]",
                                "whose scores a tier stands for, cheapest first", true};
constexpr Option kRetainOption = {
    "--retain", "SHARE", "share of the full model's success to keep (0.962)"};
constexpr Option kConfidenceOption = {"--confidence", "SHARE", "with which it is promised (0.9)"};
constexpr Option kJsonOption = {"--json", "", "as JSON"};
constexpr std::array kTrainOptions = {
    kLabelsOption,
    Option{"--out", "FILE", "where to write the predictor"},
    kTierOption,
    Option{"--seed", "N", "of the first weights and the order of prompts (1)"},
    Option{"--epochs", "N", "passes over the prompts (30)"},
    Option{"--folds", "N", "also train N times, each tested on another part"},
    kRetainOption,
    kConfidenceOption,
    kJsonOption,
};
constexpr std::array kEvalOptions = {
    kLabelsOption,
    kTierOption,
    Option{"--rows", "auto|test|all", "with FILE: which prompts count (auto)"},
    Option{"--weak", "MODEL", "without FILE: the model that prompts are kept on"},
    Option{"--strong", "MODEL", "without FILE: the model that the rest goes to"},
    Option{"--draft", "MODEL", "without FILE: compare its answers with the weak model's", true},
    Option{"--folds", "N", "without FILE: parts, each judged by what the others taught (5)"},
    Option{"--trials", "N", "without FILE: random halves to try the guarantee on (200)"},
    kRetainOption,
    kConfidenceOption,
    kJsonOption,
};
constexpr std::array kInfoOptions = {kJsonOption};

Result<std::vector<TierSource>> tiers_from(const Invocation& invocation) {
  std::vector<TierSource> tiers;
  for (const std::string& text : invocation.values("--tier")) {
    AC_TRY(TierSource tier, parse_tier_source(text));
    tiers.push_back(std::move(tier));
  }
  return tiers;
}

Result<Labels> labels_from(const Invocation& invocation) {
  const auto path = invocation.value("--labels");
  if (!path) return usage_error(invocation.verb(), "expected --labels FILE");
  std::optional<Progress> progress;
  return read_labels(*path, [&](uint64_t done, uint64_t total) {
    if (!progress) progress.emplace("reading labels", total);
    progress->update(done);
  });
}

// A predictor's own file, or the one inside a zoo.
Result<Gates> open_any_gates(const std::string& path) {
  AC_TRY(const auto file, MappedFile::open(path));
  constexpr std::string_view kMagic = "GGUF";
  const auto bytes = file->bytes();
  if (bytes.size() >= kMagic.size() &&
      std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0) {
    AC_TRY(const Checkpoint checkpoint, open_gguf(path));
    return Gates::from_checkpoint(checkpoint);
  }
  AC_TRY(const auto zoo, Zoo::open(path));
  AC_TRY(const std::optional<Checkpoint> checkpoint, zoo->open_predictor());
  if (!checkpoint) return fail(ErrorCode::kNotFound, "{}: has no predictor", path);
  return Gates::from_checkpoint(*checkpoint);
}

void print_evaluation(const Evaluation& evaluation) {
  for (const std::string& line : evaluation_lines(evaluation)) output().write_line(line);
}

OrderedJson curve_to_json(const std::vector<EpochLoss>& curve) {
  OrderedJson rows = OrderedJson::array();
  for (const EpochLoss& point : curve) {
    rows.push_back(OrderedJson{
        {"epoch", point.epoch}, {"train", point.train}, {"validation", point.validation}});
  }
  return rows;
}

Result<double> share_from(const Invocation& invocation, std::string_view flag, double missing) {
  AC_TRY(const double share, invocation.number(flag, missing, 0, 1));
  if (share > 0 && share < 1) return share;
  return usage_error(invocation.verb(),
                     fmt::format("{} is {}, expected more than 0 and less than 1", flag, share));
}

void print_promise(std::string_view name, const Guarantee& promised) {
  if (promised.allowance) {
    print("{:<12}{:.1f} % of the full model's success with {:.0f} % confidence: {:.1f} % of prompts "
          "stay local, where a variant may be {:.3f} less likely to succeed\n",
          name, 100 * promised.retain, 100 * promised.confidence, 100 * promised.kept,
          *promised.allowance);
    if (promised.cascade) {
      print("{:<12}a cheaper variant's draft may be {:.3f} less likely to\n", "", *promised.cascade);
    }
  } else {
    print("{:<12}none: {} prompts do not show that {:.1f} % of the full model's success can be "
          "kept with {:.0f} % confidence\n",
          name, promised.n_rows, 100 * promised.retain, 100 * promised.confidence);
  }
}

void print_gate(const GateReport& report) {
  print("gate        {} prompts to learn from, {} to calibrate with, {} left for tests\n",
        report.n_train, report.n_calibration, report.n_test);
  print_promise("promise", report.promised);
  if (!report.draft) return;
  print("drafts      {} parameters over what a variant shows of its own answer\n",
        report.draft->n_parameters());
  print_promise("  checked", report.with_draft);
  print_promise("  by two", report.with_second);
}

OrderedJson to_json(const Guarantee& promised) {
  return OrderedJson{
      {"retain", promised.retain},
      {"confidence", promised.confidence},
      {"allowance", promised.allowance ? OrderedJson(*promised.allowance) : OrderedJson(nullptr)},
      {"cascade", promised.cascade ? OrderedJson(*promised.cascade) : OrderedJson(nullptr)},
      {"kept", promised.kept},
      {"retained", promised.retained}};
}

OrderedJson to_json(const GateReport& report) {
  OrderedJson object = to_json(report.promised);
  object["parameters"] = report.gate.n_parameters();
  object["n_train"] = report.n_train;
  object["n_calibration"] = report.n_calibration;
  if (report.draft) {
    object["drafts"] = {{"parameters", report.draft->n_parameters()},
                        {"checked", to_json(report.with_draft)},
                        {"by_two", to_json(report.with_second)}};
  }
  return object;
}

Result<int> train(const Invocation& invocation) {
  const auto out = invocation.value("--out");
  if (!out) return usage_error(invocation.verb(), "expected --out FILE");
  TrainOptions options;
  AC_TRY(options.tiers, tiers_from(invocation));
  AC_TRY(const int64_t seed, invocation.integer("--seed", options.seed, 0, UINT32_MAX));
  AC_TRY(const int64_t n_epochs, invocation.integer("--epochs", options.n_epochs, 1, 10000));
  AC_TRY(const int64_t n_folds, invocation.integer("--folds", 0, 2, 100));
  options.seed = static_cast<uint32_t>(seed);
  options.n_epochs = static_cast<int>(n_epochs);
  options.cancel = &interrupted();
  watch_interrupts();
  AC_TRY(const Labels labels, labels_from(invocation));

  const auto n_steps =
      static_cast<uint64_t>(n_epochs * std::max<int64_t>(1, n_folds + (n_folds > 0)));
  std::optional<Progress> progress(std::in_place, "training", n_steps);
  uint64_t n_done = 0;
  options.on_epoch = [&](const EpochLoss& point) {
    progress->update(++n_done, fmt::format("epoch {}, loss {:.4f}, validation {:.4f}", point.epoch,
                                           point.train, point.validation));
  };
  AC_TRY(const TrainReport report, train_predictor(options, labels));
  std::optional<Evaluation> folds;
  if (n_folds > 0) {
    AC_TRY(folds, cross_validate(options, labels, static_cast<int>(n_folds)));
  }
  progress.reset();
  GateTrainOptions gate_options;
  gate_options.tiers = report.tiers;
  gate_options.cancel = &interrupted();
  AC_TRY(gate_options.retain, share_from(invocation, "--retain", gate_options.retain));
  AC_TRY(gate_options.confidence, share_from(invocation, "--confidence", gate_options.confidence));
  AC_TRY(const GateReport gate, train_gate(gate_options, labels));
  Checkpoint checkpoint = report.predictor.to_checkpoint();
  AC_TRY_STATUS(gate.gate.add_to(checkpoint));
  if (gate.draft) AC_TRY_STATUS(gate.draft->add_to(checkpoint));
  AC_TRY(const auto writer, create_file(*out));
  AC_TRY_STATUS(write_gguf(checkpoint, *writer));
  AC_TRY_STATUS(writer->commit());
  const std::vector<TierReliability> reliability =
      reliability_of(gate.gate.parts().calibration, gate.gate.tiers());
  AC_TRY_STATUS(write_file(*out + ".svg", reliability_svg(reliability, *out)));
  if (invocation.has("--json")) {
    OrderedJson object{{"path", *out},
                       {"parameters", report.predictor.n_parameters()},
                       {"n_train", report.n_train},
                       {"n_validation", report.n_validation},
                       {"n_test", report.n_test},
                       {"n_left_out", report.n_left_out},
                       {"curve", curve_to_json(report.curve)},
                       {"test", evaluation_to_json(report.test)},
                       {"gate", to_json(gate)}};
    for (const TierReliability& tier : reliability) {
      object["gate"]["ece"][tier.tier] = tier.calibration_error;
    }
    if (folds) object["folds"] = evaluation_to_json(*folds);
    output().write_line(json_line(object));
    return 0;
  }
  for (const TierSource& tier : report.tiers) print("tier {:<10} {}\n", tier.tier, models_of(tier));
  print("{} prompts to learn from, {} to choose by, {} to test on; {} left out\n", report.n_train,
        report.n_validation, report.n_test, report.n_left_out);
  for (const EpochLoss& point : report.curve) {
    print("epoch {:>3}  loss {:.4f}  validation {:.4f}\n", point.epoch, point.train,
          point.validation);
  }
  print_evaluation(report.test);
  if (folds) print_evaluation(*folds);
  print_gate(gate);
  for (const TierReliability& tier : reliability) {
    print("ECE         {:<10} {:.3f}\n", tier.tier, tier.calibration_error);
  }
  print("{0}: {1} and {2} parameters; {0}.svg is its reliability diagram\n", *out, gate.gate.n_parameters(),
        report.predictor.n_parameters());
  return 0;
}

// Both gates on a pair of models, trained and tested here.
Result<int> eval_pair(const Invocation& invocation) {
  RouterTableOptions options;
  options.weak = invocation.value("--weak").value_or("");
  options.strong = invocation.value("--strong").value_or("");
  options.drafts = invocation.values("--draft");
  if (options.weak.empty() != options.strong.empty()) {
    return usage_error(invocation.verb(), "--weak and --strong go together");
  }
  AC_TRY(options.retain, share_from(invocation, "--retain", options.retain));
  AC_TRY(options.confidence, share_from(invocation, "--confidence", options.confidence));
  AC_TRY(const int64_t n_folds, invocation.integer("--folds", options.n_folds, 2, 20));
  AC_TRY(const int64_t n_trials, invocation.integer("--trials", options.n_trials, 0, 100'000));
  options.n_folds = static_cast<int>(n_folds);
  options.n_trials = static_cast<int>(n_trials);
  options.cancel = &interrupted();
  watch_interrupts();
  AC_TRY(const Labels labels, labels_from(invocation));
  std::optional<Progress> progress(std::in_place, "evaluating", 4);
  uint64_t n_done = 0;
  options.progress = [&](std::string_view what) { progress->update(++n_done, std::string(what)); };
  AC_TRY(const RouterTable table, router_table(labels, options));
  progress.reset();
  if (invocation.has("--json")) {
    output().write_line(json_line(router_table_to_json(table)));
  } else {
    for (const std::string& line : router_table_lines(table)) output().write_line(line);
  }
  return 0;
}

Result<int> eval(const Invocation& invocation) {
  if (invocation.arguments().empty()) return eval_pair(invocation);
  const std::string rows = invocation.value("--rows").value_or("auto");
  if (rows != "auto" && rows != "test" && rows != "all") {
    return usage_error(invocation.verb(),
                       fmt::format("--rows is '{}', expected auto|test|all", rows));
  }
  const EvaluatedRows which = rows == "test"  ? EvaluatedRows::kTest
                              : rows == "all" ? EvaluatedRows::kAll
                                              : EvaluatedRows::kAuto;
  AC_TRY(std::vector<TierSource> tiers, tiers_from(invocation));
  AC_TRY(const Gates gates, open_any_gates(invocation.arguments()[0]));
  const Predictor& predictor = gates.paper;
  AC_TRY(const Labels labels, labels_from(invocation));
  AC_TRY(const Evaluation evaluation,
         evaluate_predictor(predictor, labels, std::move(tiers), which));
  if (invocation.has("--json")) {
    output().write_line(json_line(evaluation_to_json(evaluation)));
  } else {
    print_evaluation(evaluation);
  }
  return 0;
}

Result<int> info(const Invocation& invocation) {
  AC_TRY(const Gates gates, open_any_gates(invocation.arguments()[0]));
  const Predictor& predictor = gates.paper;
  const PredictorFacts& facts = predictor.facts();
  if (invocation.has("--json")) {
    OrderedJson tiers = OrderedJson::array();
    for (size_t i = 0; i < predictor.tiers().size(); ++i) {
      tiers.push_back(OrderedJson{{"tier", predictor.tiers()[i]},
                                  {"models", i < facts.models.size() ? facts.models[i] : ""}});
    }
    OrderedJson object = OrderedJson{{"parameters", predictor.n_parameters()},
                                              {"tokens", kPredictorTokens},
                                              {"tiers", tiers},
                                              {"labels", facts.labels},
                                              {"n_rows", facts.n_rows},
                                              {"seed", facts.seed},
                                              {"n_epochs", facts.n_epochs},
                                              {"target_retention", facts.target_retention},
                                              {"target_threshold", facts.target_threshold}};
    if (gates.ngram) {
      object["gate"] = {{"parameters", gates.ngram->n_parameters()},
                        {"n_rows", gates.ngram->facts().n_rows},
                        {"n_calibration", gates.ngram->parts().calibration.n_rows()},
                        {"usual_novelty", gates.ngram->parts().usual_novelty}};
    }
    if (gates.draft) {
      object["drafts"] = {{"parameters", gates.draft->n_parameters()},
                          {"hidden", gates.draft->parts().n_hidden},
                          {"seconds", gates.draft->parts().seconds}};
    }
    output().write_line(json_line(object));
    return 0;
  }
  if (gates.ngram) {
    print("default     {} parameters over n-grams of the whole prompt; {} prompts to learn from, {} to "
          "calibrate with\n",
          gates.ngram->n_parameters(), gates.ngram->facts().n_rows,
          gates.ngram->parts().calibration.n_rows());
  }
  if (gates.draft) {
    print("drafts      {} parameters over what a variant shows of its own answer\n",
          gates.draft->n_parameters());
  }
  print("paper       {} parameters over the first {} pieces of a prompt\n",
        predictor.n_parameters(), kPredictorTokens);
  for (size_t i = 0; i < predictor.tiers().size(); ++i) {
    print("tier        {:<10} {}\n", predictor.tiers()[i],
          i < facts.models.size() ? facts.models[i] : "");
  }
  print("learned     {} prompts of {}, {} epochs, seed {}\n", facts.n_rows, facts.labels,
        facts.n_epochs, facts.seed);
  print(
      "keeps       {:.1f} % of the full model's success at threshold {:.3f} (validation prompts)\n",
      100.0 * static_cast<double>(facts.target_retention), facts.target_threshold);
  return 0;
}

}  // namespace

constinit const Verb kPredictorTrain = {
    .name = "predictor train",
    .summary = "train both gates on labels",
    .options = kTrainOptions,
    .run = train,
};

constinit const Verb kPredictorEval = {
    .name = "predictor eval",
    .arguments = "[FILE]",
    .max_arguments = 1,
    .summary = "how good a predictor (or a zoo's) is on labels; without FILE, how good one would be",
    .options = kEvalOptions,
    .run = eval,
};

constinit const Verb kPredictorInfo = {
    .name = "predictor info",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "what a predictor (or a zoo's) is made of",
    .options = kInfoOptions,
    .run = info,
};

}  // namespace ac::cli
