// train: a base model from a recipe.
#include <array>
#include <nlohmann/json.hpp>

#include "models/train/base_trainer.h"
#include "models/train/text_documents.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"

namespace ac::cli {
namespace {

constexpr uint64_t kTextBytes = uint64_t{4} << 30;

constexpr std::array kOptions = {
    Option{"--recipe", "FILE", "what to train, and how"},
    Option{"--out", "FILE", "the model; its log, loss curve and checkpoint lie beside it"},
    Option{"--resume", "", "go on from the checkpoint"},
    Option{"--new-recipe", "", "with --resume: even if data or schedule of the recipe have changed"},
    Option{"--minutes", "N", "stop after so long, with a checkpoint"},
    Option{"--threads", "N", "worker threads (one per core)"},
    Option{"--json", "", "as JSON"},
};

std::string time_words(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

struct Sources {
  std::unique_ptr<DocumentSource> training, held_out;
};

Result<Sources> open_sources(const BaseRecipe& recipe) {
  Sources sources;
  if (recipe.text_path.empty()) {
    sources.training = std::make_unique<TaskDocuments>(tasks::Split::kTrain, recipe.tasks);
    // As they will be asked, not made up; the evaluation split is not looked at while training.
    TaskMix held_out = recipe.tasks;
    held_out.respelled = 0;
    held_out.shortest = 0;
    held_out.longest = 0;
    sources.held_out = std::make_unique<TaskDocuments>(tasks::Split::kCalibration, held_out);
    return sources;
  }
  AC_TRY(const std::string text, read_file(recipe.text_path, kTextBytes));
  using Part = TextDocuments::Part;
  AC_TRY(sources.training, TextDocuments::create(text, Part::kTraining, recipe.text_path));
  AC_TRY(sources.held_out, TextDocuments::create(text, Part::kHeldOut, recipe.text_path));
  return sources;
}

std::string note_of(const BaseTrainProgress& progress) {
  const LogPoint& point = progress.point;
  return fmt::format("step {}, loss {:.3f}{}, {:.1f}k tokens/s, {} left", point.step, point.loss,
                     progress.held_out ? fmt::format(", held out {:.3f}", *progress.held_out) : "",
                     point.tokens_per_s / 1000, time_words(progress.left_s));
}

Result<int> train(const Invocation& invocation) {
  const auto recipe_path = invocation.value("--recipe");
  if (!recipe_path) return usage_error(invocation.verb(), "expected --recipe FILE");
  const auto out = invocation.value("--out");
  if (!out) return usage_error(invocation.verb(), "expected --out FILE");
  AC_TRY(const int64_t minutes, invocation.integer("--minutes", 0, 1, 1 << 20));
  AC_TRY(const int64_t n_threads, invocation.integer("--threads", 0, 0, 256));
  AC_TRY(const BaseRecipe recipe, read_base_recipe(*recipe_path));
  AC_TRY(const Sources sources, open_sources(recipe));

  watch_interrupts();
  std::optional<Progress> progress;
  BaseTrainOptions options;
  options.out_path = *out;
  options.resume = invocation.has("--resume");
  options.new_recipe = invocation.has("--new-recipe");
  if (options.new_recipe && !options.resume) {
    return usage_error(invocation.verb(), "--new-recipe goes with --resume");
  }
  options.minutes = static_cast<double>(minutes);
  options.n_threads = static_cast<int>(n_threads);
  options.cancel = &interrupted();
  options.on_stage = [](std::string_view what) { log_info("{}", what); };
  options.on_step = [&](const BaseTrainProgress& at) {
    if (!progress) progress.emplace("training", static_cast<uint64_t>(at.n_steps));
    progress->update(static_cast<uint64_t>(at.point.step), note_of(at));
  };
  const Result<BaseTrainReport> done =
      train_base(recipe, *sources.training, *sources.held_out, options);
  progress.reset();
  if (!done) return done.error();
  const BaseTrainReport& report = *done;
  if (invocation.has("--json")) {
    output().write_line(json_line(OrderedJson{{"path", *out},
                                              {"finished", report.finished},
                                              {"step", report.step},
                                              {"steps", recipe.n_steps},
                                              {"tokens", report.n_tokens},
                                              {"parameters", report.n_parameters},
                                              {"vocabulary", report.n_vocab},
                                              {"training_loss", report.training_loss},
                                              {"held_out_loss", report.held_out_loss},
                                              {"unigram_loss", report.unigram_loss},
                                              {"tokens_per_s", report.tokens_per_s},
                                              {"seconds", report.seconds}}));
  } else {
    print("{:.2f} M parameters, {} tokens in the vocabulary\n",
          static_cast<double>(report.n_parameters) / 1e6, report.n_vocab);
    print("step {} of {}, {} tokens, {:.0f} tokens/s, {}\n", report.step, recipe.n_steps,
          report.n_tokens, report.tokens_per_s, time_words(report.seconds));
    const std::string held_out = report.held_out_loss > 0 ? fmt::format("{:.4f}", report.held_out_loss)
                                                          : "not looked at yet";
    print("loss {:.4f}, held out: {} (knowing only how frequent tokens are: {:.4f})\n",
          report.training_loss, held_out, report.unigram_loss);
    if (report.finished) {
      print("{}\n", *out);
    } else {
      print("stopped; go on with: agentcompress train --recipe {} --out {} --resume\n",
            *recipe_path, *out);
    }
  }
  return report.finished || !interrupted().raised() ? 0 : kExitInterrupted;
}

}  // namespace

constinit const Verb kTrain = {
    .name = "train",
    .summary = "train a base model from a recipe",
    .options = kOptions,
    .run = train,
};

}  // namespace ac::cli
