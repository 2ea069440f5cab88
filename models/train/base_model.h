// A Llama-shaped model before its first step: metadata, first weights, and a tokenizer learned from
// the documents that it will be trained on.
#pragma once

#include "models/train/bpe_trainer.h"
#include "models/train/parameters.h"
#include "models/train/recipe.h"

namespace ac {

// Learned from the first documents of the source, up to recipe.tokenizer_bytes.
// Errors: those of BpeTrainer.
Result<BpeVocabulary> train_tokenizer(const BaseRecipe& recipe, const DocumentSource& source);

// Embedding and output are one tensor. First weights are normal: a matrix [n_out, n_in] has
// deviation 1 / sqrt(n_in), those that write into the residual stream another
// 1 / sqrt(2 * n_layers) (Radford et al. 2019, section 2.3), the embedding 0.02.
// Errors: kOutOfMemory.
Result<Checkpoint> make_base_model(const BaseRecipe& recipe, const BpeVocabulary& vocabulary);

// Gives `to`, a model of `vocabulary`, the weights of `from`, a model of the same shape with another
// one. The embedding of a token is the mean of those that its text has there (Gee et al. 2022,
// "Fast Vocabulary Transfer for Language Model Compression").
// Errors: kCorruptFile (a tokenizer that cannot be read, a tensor that is missing or of another
// shape), those of Parameters.
Status take_weights(const Checkpoint& from, const BpeVocabulary& vocabulary, Parameters* to);

}  // namespace ac
