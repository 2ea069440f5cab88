// The metadata of a model whose layers came to differ.
#pragma once

#include "models/arch/model.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// Writes head counts and widths of `layers` into the metadata, as one number where all layers agree
// and as arrays where they do not, and whatever a reader would otherwise derive from the old ones.
// `config` is what the checkpoint had before.
void set_layer_shapes(Checkpoint& checkpoint, const ModelConfig& config,
                      std::span<const LayerConfig> layers);

}  // namespace ac
