// Small models with random weights, of every family, as checkpoints in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/checkpoint.h"

namespace ac::test {

struct RandomModelOptions {
  std::string_view family = "llama";
  uint64_t seed = 1;
  WeightFormat format = WeightFormat::kF32;  // of the matrices; vectors are f32
  bool whole_blocks = false;  // sizes of whole blocks of 32 even where the format has none
  bool per_layer = false;     // head counts and widths differ; one block of each kind is absent
  bool low_rank = false;      // some linears are pairs of thin ones
  bool untied = false;        // output.weight of its own
  bool stretched = false;  // the family's way to longer contexts: rope factors, scaling, LongRoPE
  bool tokenizer = false;  // a SentencePiece vocabulary of bytes and a few pieces
  int32_t n_layers = 0;    // 0: what shows the family's pattern
  int32_t n_context = 96;
};

// The families there are, in the order of the engine's list.
std::vector<std::string_view> random_model_families();

Checkpoint random_model(const RandomModelOptions& options);

// Gives every Q4_0 matrix a residual of random weights, an eighth of the size of its own, and lists
// them in the order of the file: a nested model (models/arch/nested.h). Returns their names.
std::vector<std::string> add_residuals(Checkpoint& checkpoint, uint64_t seed);
// The same model in f32 as it is at a level: what its planes add up to.
Checkpoint sum_of_planes(const Checkpoint& nested, int32_t level);

// Token ids below n_vocab.
std::vector<int32_t> random_tokens(size_t n, int32_t n_vocab, uint64_t seed);

// A random matrix of normal weights times `scale`, in any format that has an encoder.
void add_random_matrix(Checkpoint& checkpoint, const std::string& name, int64_t n_out, int64_t n_in,
                       WeightFormat format, double scale, uint64_t seed);

}  // namespace ac::test
