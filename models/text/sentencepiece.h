// SentencePiece vocabularies of kind BPE (Llama-2, Mistral, Gemma, Phi-3): the neighbours whose
// union is the token with the highest score merge first; characters that are no token fall back to
// bytes. Kudo and Richardson 2018, arXiv:1808.06226.
#pragma once

#include <memory>

#include "models/text/tokenizer.h"

namespace ac::text {

Result<std::unique_ptr<const Tokenizer>> make_sentencepiece(const Checkpoint& checkpoint);

}  // namespace ac::text
