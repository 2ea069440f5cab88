// Recover: a student that was cut or factored learns its base's next-token distribution again, by
// gradients (Hinton et al. 2015, arXiv:1503.02531, at temperature 1). Distilling needs fewer tokens
// than training on the text itself: compression.md's toy reached half the divergence in 200 steps.
//
//   full  every weight learns
//   lora  of each matrix W a low-rank change B A of it (Hu et al. 2021, arXiv:2106.09685); what is
//         kept is W + B A, so nothing is slower. Half the memory of full, and it moves less.
//
// A part of the text is not learned from and tells when to stop: what is kept is the student that
// was best on it. Block by block and without gradients: repair.h.
#pragma once

#include "models/compress/stage.h"

namespace ac {

enum class RecoverMode { kFull, kLora };
std::string_view recover_mode_name(RecoverMode mode);

struct RecoverOptions {
  RecoverMode mode = RecoverMode::kFull;
  bool muon = true;  // moves the matrices inside layers in full mode, AdamW the rest; or AdamW all
  int64_t tokens = 2'000'000;  // to learn from: tokens / tokens_per_step steps; the text is read again
                               // where it is shorter
  int64_t tokens_per_step = 4096;  // at least: a step takes whole packs of at most 2048
  double learning_rate = 1e-3;  // at its peak; it falls to nothing
  double text_share = 0;        // of the loss that is cross-entropy with the text
  int64_t look_every = 40;      // steps between two looks at the held-back part
  int64_t patience = 4;         // looks without a better student until it stops
  int64_t rank = 16;            // of lora's change
};

// Errors: kInvalidArgument (too little text, a rate at which the loss explodes), kUnsupported (a
// base whose activations the trainer does not know), kCorruptFile, kOutOfMemory, kIo.
Result<StageResult> recover(const Stage& stage, const RecoverOptions& options);

}  // namespace ac
