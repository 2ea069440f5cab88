// Tensors of a Hugging Face folder under GGUF's names and in its conventions.
#pragma once

#include "models/store/hf_config.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// Moves the tensors of `source` (named as in the safetensors files) into `out`: matrices as they
// lie, the rows of q and k reordered where the ropes differ, vectors as f32, Gemma's norms plus
// one, rope factors as tensors. `source` must outlive `out`. Errors: kUnsupported (a tensor with no
// place in the architecture), kCorruptFile (a shape that the configuration contradicts), kNotFound.
Status translate_tensors(const Checkpoint& source, const HfModel& model, Checkpoint& out);

}  // namespace ac
