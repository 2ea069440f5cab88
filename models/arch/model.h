// A model as its equations need it: dimensions, flags, and handles of weights inside a backend.
//
// A family of models is a row in architectures.cc: a name map and flags. Nothing in the mathematics
// (decoder.cc) asks for a name. Head counts and widths are per layer, because pruning makes them
// so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/arch/nested.h"
#include "runtime/core/backend.h"
#include "runtime/core/checkpoint.h"

namespace ac {

struct LayerConfig {
  int32_t n_heads = 0;  // 0: the attention block is absent
  int32_t n_kv_heads = 0;
  int32_t d_ff = 0;         // 0: the feed-forward block is absent
  int32_t window = 0;       // sliding window, 0: none
  bool local_rope = false;  // uses the second rope table (Gemma-3's local layers)
};

struct ModelConfig {
  std::string architecture;  // "llama"
  std::string name;          // general.name, may be empty
  int32_t n_vocab = 0;
  int32_t n_context = 0;  // trained context
  int32_t d_model = 0;
  int32_t d_head = 0;
  int32_t d_rot = 0;
  float norm_epsilon = 1e-5f;
  float embedding_scale = 1;  // Gemma: sqrt(d_model)
  float attention_scale = 0;  // 1 / sqrt(d_head) unless the family says otherwise
  float attention_softcap = 0;
  float logit_softcap = 0;
  Activation activation = Activation::kSilu;
  RopePairing rope_pairing = RopePairing::kHalves;
  std::vector<LayerConfig> layers;

  KvShape kv_shape(int32_t n_slots, int32_t n_context, KvFormat format) const;
};

// y = x W^T + bias, dense: `w`; low-rank: W = w * w_in with w [n_out, rank] and w_in [rank, n_in];
// absent: w is kNone.
struct Linear {
  WeightId w = WeightId::kNone;
  WeightId w_in = WeightId::kNone;
  WeightId bias = WeightId::kNone;
};

struct LayerWeights {
  WeightId attention_norm = WeightId::kNone;       // [d_model]
  WeightId attention_post_norm = WeightId::kNone;  // Gemma: applied to the block's output
  WeightId q_norm = WeightId::kNone;               // [d_head], Qwen3 and Gemma-3
  WeightId k_norm = WeightId::kNone;
  WeightId ff_norm = WeightId::kNone;
  WeightId ff_post_norm = WeightId::kNone;
  Linear q, k, v, o;
  Linear gate, up, down;
};

struct Model {
  ModelConfig config;
  WeightId embedding = WeightId::kNone;  // [n_vocab, d_model]
  WeightId output_norm = WeightId::kNone;
  Linear output;  // the embedding again where tied
  RopeId rope = RopeId::kNone;
  RopeId rope_local = RopeId::kNone;
  std::vector<LayerWeights> layers;
  // Nested precision; empty where there is one only. The weights of nested.matrices[i] (several
  // where layers share a tensor) are nested_weights[i].
  NestedOrder nested;
  std::vector<std::vector<WeightId>> nested_weights;
};

// What running a checkpoint costs, at the level that it says where it is nested. MACs are counted
// per token at position 0 and do not depend on the weight format; bytes are the weights read for
// one token.
struct ModelCost {
  uint64_t parameters = 0;
  uint64_t macs_per_token = 0;
  uint64_t weight_bytes = 0;  // without residuals that are not read
  uint64_t bytes_per_token = 0;
  // MACs times the bits of the weight in each, divided by 16: what they would be at 16 bits.
  // Products within attention, which have no weights, count as they are.
  double bit_ops_per_token = 0;
};

struct LoadOptions {
  // The longest sequence that will be run; chooses between the rope factors of models that have two
  // sets (LongRoPE). 0: the trained context.
  int32_t n_context = 0;
  // Binds the blocks of this layer and the rotation tables, nothing else; the model can then be
  // run only by run_attention_block and run_feed_forward_block.
  std::optional<int32_t> only_layer = std::nullopt;
};

// Every dimension is checked against a range and every tensor's shape against the dimensions; a
// block with a tensor that the architecture does not know is refused, since leaving it out would be
// another model. Errors: kUnsupported (unknown architecture, naming the known ones), kNotFound (a
// key or tensor that is missing), kCorruptFile, and those of the backend.
Result<ModelConfig> read_model_config(const Checkpoint& checkpoint);
Result<Model> load_model(const Checkpoint& checkpoint, Backend& backend,
                         const LoadOptions& options = {});
Result<ModelCost> model_cost(const Checkpoint& checkpoint);

// From the next step on `model` runs at this level of precision, 0 to 100 (nested.h); at first it
// runs at the checkpoint's own. Does nothing where there is one precision only.
void set_level(Backend& backend, const Model& model, int32_t level);

// The forward pass. REQUIRES: backend.begin_step was called with a batch; logit_rows ascend and
// stay valid until end_step. Returns the logits [logit_rows.size(), n_vocab] of those rows of the
// batch, or no value (id -1) when there are none: then only the cache is filled. end_step() is the
// caller's. `hidden`, where it is wanted: what the last norm reads for the same rows,
// [logit_rows.size(), d_model].
Value forward(Backend& backend, const Model& model, std::span<const int32_t> logit_rows,
              Value* hidden = nullptr);

// What the linear layers of one block read, [n_tokens, n] each.
struct BlockValues {
  Value normed;  // q, k and v; or gate and up
  Value inner;   // o; or down
};
// One block of the forward pass on x [n_tokens, d_model], a row for each token of the batch, which
// it changes in place. Opens no scope, so that everything can be read after end_step. REQUIRES: the
// layer has such a block.
BlockValues run_attention_block(Backend& backend, const Model& model, int32_t index, Value x);
BlockValues run_feed_forward_block(Backend& backend, const Model& model, int32_t index, Value x);

// Names of the architectures that can be loaded.
std::vector<std::string> architecture_names();

}  // namespace ac
