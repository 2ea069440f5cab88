// A Hugging Face tokenizer as GGUF's tokenizer.* keys.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/core/checkpoint.h"
#include "runtime/core/json.h"

namespace ac {

// Reads tokenizer.json, or vocab.json with merges.txt, then tokenizer_config.json and
// chat_template.jinja, from `folder` and writes tokenizer.* keys. Ids that no token has, up to
// `n_vocab` (the rows of the embedding; 0: as many as there are tokens), become unused tokens.
// Byte-level BPE becomes "gpt2" with its pre-tokenizer's name, BPE over SentencePiece's alphabet
// becomes "llama" with scores from the order of its merges. Errors: kNotFound (no tokenizer),
// kUnsupported (another kind of model or pre-tokenizer, naming it), kCorruptFile.
Status read_hf_tokenizer(const std::string& folder, int64_t n_vocab, Checkpoint& out);

// The name of the pre-tokenizer that tokenizer.json's "pre_tokenizer" spells out.
// `splits_digits`: whether no token joins a digit to anything, which tells a vocabulary that was
// trained on single digits although the file does not say so. Errors: kUnsupported, with the
// pattern that is not known.
Result<std::string> recognise_pre_tokenizer(const Json& pre_tokenizer, bool splits_digits);

}  // namespace ac
