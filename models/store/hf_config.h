// config.json of a Hugging Face folder as GGUF's keys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/checkpoint.h"
#include "runtime/core/json.h"

namespace ac {

// What the tensors' translation must know of a model beside its keys.
struct HfModel {
  std::string architecture;  // GGUF's name: "llama"
  int64_t n_layers = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t d_head = 0;
  int64_t d_rot = 0;
  bool interleaved_rope = false;  // GGUF pairs neighbours where Hugging Face pairs halves
  bool norm_plus_one = false;     // Gemma stores w of (1 + w)
  bool four_norms = false;        // Gemma: a norm before and after each block
  bool tied = false;              // the output matrix is the embedding
  bool tied_is_stated = false;
  // Factors that divide the rope's frequencies, [d_rot / 2] each; empty where there are none.
  std::vector<float> rope_factors;        // llama3
  std::vector<float> rope_factors_short;  // longrope
  std::vector<float> rope_factors_long;
};

// Writes the keys of `config` into `out`. Errors: kUnsupported (an architecture, activation or rope
// scaling that is not known, naming it), kCorruptFile, kNotFound (a key that is missing).
Result<HfModel> translate_config(const Json& config, Checkpoint& out);

}  // namespace ac
