// Byte-level BPE (GPT-2, Llama-3, Qwen, SmolLM, ...): pre-tokenizer, then ranked merges of bytes.
// Sennrich et al. 2016, arXiv:1508.07909; the alphabet of bytes is GPT-2's.
#pragma once

#include <memory>

#include "models/text/tokenizer.h"

namespace ac::text {

Result<std::unique_ptr<const Tokenizer>> make_byte_bpe(const Checkpoint& checkpoint);

}  // namespace ac::text
