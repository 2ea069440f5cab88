// safetensors files and the Hugging Face folders around them: config.json, tokenizer.json,
// tokenizer_config.json, model.safetensors or model.safetensors.index.json with its shards.
#pragma once

#include <string>

#include "runtime/core/checkpoint.h"

namespace ac {

// One file: header and tensors only, names as in the file.
Result<Checkpoint> open_safetensors(const std::string& path);

// A whole folder, translated: GGUF's keys and tensor names, rope pairing as GGUF has it (the rows
// of q and k of Llama-like families are reordered), tokenizer and chat template as tokenizer.*
// keys.
Result<Checkpoint> open_hugging_face(const std::string& folder);

}  // namespace ac
