// From a base checkpoint, a text and a recipe to a zoo of measured variants.
//
// Everything is kept in a folder beside the zoo as it gets done ("NAME.zoo.build"): a build that
// was interrupted goes on from there, variants that begin alike share what they share, and when the
// zoo is written the folder goes away. The zoo itself appears whole or not at all.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/compress/pack.h"
#include "models/store/zoo.h"

namespace ac {

struct BuildOptions {
  std::string base_path;         // a GGUF file or a Hugging Face folder
  std::string calibration_path;  // text; see calibration_text.h
  std::string held_out_path;     // text that judges; "": every tenth document of the other
  std::string recipe_path;
  std::string zoo_path;  // replaced when it exists
  int n_threads = 0;     // 0: one per core
  PackProgress progress = {};
  // Answers tasks with a variant, tokenizer included, and says how many were right; empty: no
  // variant is asked. `score_text` says which tasks, for the manifest and the names of parts.
  std::function<Result<std::vector<TaskSuccess>>(Checkpoint variant)> score = {};
  std::string score_text = {};
};

// Errors: those of open_checkpoint and read_model_config; kInvalidArgument (a recipe that does not
// parse, too little text, held-out text that overlaps, a build folder that is something else);
// kCorruptFile (weights or activations that are not finite), kIo, kOutOfMemory.
Result<PackReport> build_zoo(const BuildOptions& options);

}  // namespace ac
