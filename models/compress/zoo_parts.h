// What every maker of zoos does: names, the tokenizer, packed layouts, a variant's row, the file.
#pragma once

#include <string>
#include <string_view>

#include "models/arch/model.h"
#include "models/compress/pack.h"
#include "models/store/zoo.h"

namespace ac {

// The base's name as a line of text: the last part of its path without ".gguf".
std::string base_name(std::string path);

// Whether a tensor may be stored in the kernels' layout: one that holds q, k and v, or gate and up,
// only where one ends and the next begins at the end of a group of rows, because the decoder takes
// them apart.
bool may_pack(const ModelConfig& config, std::string_view name, const TensorView& view);

// The tokenizer, once for all variants; and the weights without it.
Checkpoint tokenizer_of(const Checkpoint& base);
void remove_tokenizer(Checkpoint& checkpoint);
// Views of `weights` with the tokenizer of `base`; both must outlive the result.
Checkpoint with_tokenizer(const Checkpoint& weights, const Checkpoint& base);

// A variant's row of the manifest, as far as its weights tell. Errors: those of model_cost.
Result<ZooVariant> describe_variant(const std::string& id, const Checkpoint& checkpoint);

// Variants are made from a base of one precision. Errors: kUnsupported (a nested one).
Status check_one_precision(const Checkpoint& base);

// Writes the zoo, cheapest variants first, and reads back what was written.
Result<PackReport> write_and_report(const std::string& path, ZooDraft& draft);

}  // namespace ac
