// A training run on disk, to be gone on with: a GGUF file with the model's own tensors (so it is a
// model, too) and beside them the optimiser's two running means and where the run is.
#pragma once

#include <string>

#include "models/train/adamw.h"
#include "models/train/parameters.h"
#include "models/train/sequences.h"
#include "models/train/weight_average.h"

namespace ac {

// How the two running means are written, 12 bytes a parameter in all (kF32) or 8 (kBF16). kSmall: the
// mean in Q4_0, the root of the mean square in Q8_0 and the matrices in bf16, 3.63 bytes.
enum class MomentFormat { kF32, kBF16, kSmall };

struct TrainPlace {
  int64_t step = 0;
  int64_t n_tokens = 0;
  PackStream::Place place;
};

// `average`, where there is one, is written in the format of the matrices.
// Written to a temporary file, synced, renamed. Where writing rounds, the run goes on with what is
// rounded: whoever resumes does what the run that wrote does.
// `recipe` is kept as it is. Errors: kIo, kOutOfMemory.
Status save_train_state(const std::string& path, Parameters& parameters, AdamW& optimizer,
                        WeightAverage* average, MomentFormat format, const TrainPlace& place, std::string_view recipe);

struct TrainState {
  std::unique_ptr<Parameters> parameters;
  TrainPlace place;
  std::string recipe;
  std::vector<float> mean, square;  // as long as the parameters' array
  std::vector<float> average;       // as long, or empty
  int64_t n_averaged = 0;           // WeightAverage::n_seen
};
// Errors: those of open_gguf; kCorruptFile (a file that is no training state, or a damaged one).
Result<TrainState> load_train_state(const std::string& path);
// The same of a file that has been read. Errors: kCorruptFile, kUnsupported, kOutOfMemory.
Result<TrainState> parse_train_state(Checkpoint file);

}  // namespace ac
