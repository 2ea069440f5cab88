// The recipe of a base model: everything that decides what training makes, as an ini file.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "models/train/lm_trainer.h"
#include "models/train/task_documents.h"
#include "models/train/train_state.h"
#include "runtime/core/ini_table.h"

namespace ac {

struct BaseRecipe {
  struct ModelShape {
    std::string name;
    int32_t d_model = 0;
    int32_t n_layers = 0;
    int32_t n_heads = 0;
    int32_t n_kv_heads = 0;
    int32_t d_ff = 0;
    int32_t context = 0;
    double rope_base = 0;
  } model;
  std::string start_path;  // a GGUF of this shape to begin from; empty: random weights

  int32_t n_vocab = 0;          // at most; fewer where the text is too small
  int64_t tokenizer_bytes = 0;  // of documents that the tokenizer is learned from
  bool first_letters = false;   // BpeOptions::first_letters
  bool relearn = false;         // with start_path: not the tokenizer of that file
  std::string text_path;        // [data] text; empty: the research tasks
  TaskMix tasks{};

  int64_t n_steps = 0;
  int64_t tokens_per_step = 0;
  int32_t tokens_per_pack = 0;  // what goes through the model at once
  int64_t warm_up_steps = 0;
  float learning_rate = 0;  // peak
  float last_rate = 0;      // at the end, as a share of the peak
  float prompt_weight = 0;
  float clip_length = 0;
  int64_t average_steps = 0;  // of weights, whose mean is the model (WeightAverage); 0: the last ones
  AdamWOptions adamw{};
  std::optional<MuonOptions> muon{};
  uint64_t seed = 1;

  int64_t evaluate_every = 0;  // steps
  int64_t evaluate_tokens = 0;
  double checkpoint_minutes = 0;
  MomentFormat checkpoint_format = MomentFormat::kF32;
  WeightFormat format = WeightFormat::kBF16;  // of the finished model's matrices

  std::string canonical;  // every value, as an ini file
  std::string fixed;      // of those, what a run that has begun cannot change any more
};
// The values of `now` that `before` has not, "steps = 100; seed = 2". Both as canonical.
std::string changed_values(std::string_view before, std::string_view now);

// The rows of the table, for help texts.
std::span<const SettingRow> recipe_rows();
// `path` names the text in errors and is what relative paths are relative to.
// Errors: kInvalidArgument naming file, line, key, value and what was expected.
Result<BaseRecipe> parse_base_recipe(std::string_view text, const std::string& path);
Result<BaseRecipe> read_base_recipe(const std::string& path);

}  // namespace ac
