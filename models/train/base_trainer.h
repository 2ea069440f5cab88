// Trains a base model from a recipe: tokenizer, first weights, steps, a look at unseen documents now
// and then, and checkpoints, each with a GGUF file that answers as well as it can by then.
//
// Files: OUT is the model; beside it OUT.state (to go on from), OUT.log.jsonl and OUT.svg. Each is
// written whole and renamed, at checkpoints and at the end, so they agree with each other.
//
// The same recipe, documents and instruction set give the same bits, for any number of threads and
// however often the run was stopped at a checkpoint (with checkpoint_format f32).
#pragma once

#include <functional>
#include <string>

#include "models/train/recipe.h"
#include "models/train/train_log.h"
#include "runtime/core/cancel.h"
#include "runtime/core/clock.h"

namespace ac {

struct BaseTrainProgress {
  LogPoint point{};
  int64_t n_steps = 0;
  double left_s = 0;  // at the speed so far
  std::optional<double> held_out{};  // the latest
};

struct BaseTrainOptions {
  std::string out_path{};
  bool resume = false;  // go on from OUT.state, which must be there
  // Even where the recipe is another one than that of the state, as long as model, tokenizer and
  // optimiser are the same; the log says what changed.
  bool new_recipe = false;
  double minutes = 0;   // > 0: stop after so long, with a checkpoint
  int n_threads = 0;
  std::function<void(std::string_view what)> on_stage{};  // before the first step
  std::function<void(const BaseTrainProgress&)> on_step{};
  const CancelFlag* cancel = nullptr;  // raised: a checkpoint, then the end
  const Clock* clock = nullptr;        // nullptr: the machine's
};

struct BaseTrainReport {
  bool finished = false;  // or stopped, with a checkpoint
  int64_t step = 0;
  int64_t n_tokens = 0;
  uint64_t n_parameters = 0;
  int32_t n_vocab = 0;
  double training_loss = 0;  // of the last step
  double held_out_loss = 0;
  double unigram_loss = 0;  // held out, of a model that knows only how frequent tokens are
  double tokens_per_s = 0;  // of steps alone
  double seconds = 0;       // of this run
};

// `training` and `held_out` share no document.
// Errors: kInvalidArgument (a recipe unlike the one of the state, a loss that is not a number),
// those of reading and writing files, kOutOfMemory.
Result<BaseTrainReport> train_base(const BaseRecipe& recipe, DocumentSource& training,
                                   const DocumentSource& held_out, const BaseTrainOptions& options);

}  // namespace ac
