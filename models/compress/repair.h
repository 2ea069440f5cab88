// Repair: what a technique broke is mended in closed form, block by block, without gradients.
//
// Base and student run side by side over the calibration text. At each block the student's last
// matrix (o, then down) is fitted anew by least squares, so that the stream after the block comes
// as close to the base's as the student's own inputs allow: the error that earlier blocks made is
// part of what it fits, and it runs on with its new weights. Of a low-rank pair the outer factor is
// fitted.
#pragma once

#include "models/compress/stage.h"

namespace ac {

struct RepairOptions {
  // Pulls towards the weights as they were, in units of the inputs' mean second moment.
  double damping = 0.01;
};

// Blocks whose output is normed before it is added are left as they are, with a note.
// Errors: kCorruptFile, kOutOfMemory, kIo, those of the backend.
Result<StageResult> repair(const Stage& stage, const RepairOptions& options);

// w + (c - w h) (h + damping)^-1: the weights that bring `inputs` with second moments h closest to
// targets with cross moments c = mean(target input^T), pulled towards w.
Result<Matrix> fit_to_targets(const Matrix& w, const Matrix& h, const Matrix& c, double damping,
                              cpu::ThreadTeam& team);

}  // namespace ac
