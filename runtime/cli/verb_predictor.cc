// predictor train|eval|info: the little network that judges prompts.
#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "models/predictor/predictor.h"
#include "models/store/gguf.h"
#include "models/store/zoo.h"
#include "models/train/evaluate.h"
#include "models/train/labels.h"
#include "models/train/predictor_trainer.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"

namespace ac::cli {
namespace {

constexpr Option kLabelsOption = {"--labels", "FILE",
                                  "JSON Lines: prompts with the scores of models"};
constexpr Option kTierOption = {"--tier", "NAME=MODEL[+MODEL]",
                                "whose scores a tier stands for, cheapest first", true};
constexpr Option kJsonOption = {"--json", "", "as JSON"};
constexpr std::array kTrainOptions = {
    kLabelsOption,
    Option{"--out", "FILE", "where to write the predictor"},
    kTierOption,
    Option{"--seed", "N", "of the first weights and the order of prompts (1)"},
    Option{"--epochs", "N", "passes over the prompts (30)"},
    Option{"--folds", "N", "also train N times, each tested on another part"},
    kJsonOption,
};
constexpr std::array kEvalOptions = {
    kLabelsOption,
    kTierOption,
    Option{"--rows", "auto|test|all", "which prompts of the file count (auto)"},
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
Result<Predictor> open_any_predictor(const std::string& path) {
  AC_TRY(const auto file, MappedFile::open(path));
  constexpr std::string_view kMagic = "GGUF";
  const auto bytes = file->bytes();
  if (bytes.size() >= kMagic.size() &&
      std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0) {
    AC_TRY(const Checkpoint checkpoint, open_gguf(path));
    return Predictor::from_checkpoint(checkpoint);
  }
  AC_TRY(const auto zoo, Zoo::open(path));
  AC_TRY(const std::optional<Checkpoint> checkpoint, zoo->open_predictor());
  if (!checkpoint) return fail(ErrorCode::kNotFound, "{}: has no predictor", path);
  return Predictor::from_checkpoint(*checkpoint);
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
  const Checkpoint checkpoint = report.predictor.to_checkpoint();
  AC_TRY(const auto writer, create_file(*out));
  AC_TRY_STATUS(write_gguf(checkpoint, *writer));
  AC_TRY_STATUS(writer->commit());
  if (invocation.has("--json")) {
    OrderedJson object{{"path", *out},
                       {"parameters", report.predictor.n_parameters()},
                       {"n_train", report.n_train},
                       {"n_validation", report.n_validation},
                       {"n_test", report.n_test},
                       {"n_left_out", report.n_left_out},
                       {"curve", curve_to_json(report.curve)},
                       {"test", evaluation_to_json(report.test)}};
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
  print("{}: {} parameters\n", *out, report.predictor.n_parameters());
  return 0;
}

Result<int> eval(const Invocation& invocation) {
  const std::string rows = invocation.value("--rows").value_or("auto");
  if (rows != "auto" && rows != "test" && rows != "all") {
    return usage_error(invocation.verb(),
                       fmt::format("--rows is '{}', expected auto|test|all", rows));
  }
  const EvaluatedRows which = rows == "test"  ? EvaluatedRows::kTest
                              : rows == "all" ? EvaluatedRows::kAll
                                              : EvaluatedRows::kAuto;
  AC_TRY(std::vector<TierSource> tiers, tiers_from(invocation));
  AC_TRY(const Predictor predictor, open_any_predictor(invocation.arguments()[0]));
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
  AC_TRY(const Predictor predictor, open_any_predictor(invocation.arguments()[0]));
  const PredictorFacts& facts = predictor.facts();
  if (invocation.has("--json")) {
    OrderedJson tiers = OrderedJson::array();
    for (size_t i = 0; i < predictor.tiers().size(); ++i) {
      tiers.push_back(OrderedJson{{"tier", predictor.tiers()[i]},
                                  {"models", i < facts.models.size() ? facts.models[i] : ""}});
    }
    output().write_line(json_line(OrderedJson{{"parameters", predictor.n_parameters()},
                                              {"tokens", kPredictorTokens},
                                              {"tiers", tiers},
                                              {"labels", facts.labels},
                                              {"n_rows", facts.n_rows},
                                              {"seed", facts.seed},
                                              {"n_epochs", facts.n_epochs},
                                              {"target_retention", facts.target_retention},
                                              {"target_threshold", facts.target_threshold}}));
    return 0;
  }
  print("parameters  {}, over the first {} pieces of a prompt\n", predictor.n_parameters(),
        kPredictorTokens);
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
    .summary = "train a predictor on labels",
    .options = kTrainOptions,
    .run = train,
};

constinit const Verb kPredictorEval = {
    .name = "predictor eval",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "how good a predictor (or a zoo's) is on labels",
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
