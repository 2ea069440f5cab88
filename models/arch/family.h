// What makes a family of models: the names of its tensors and a handful of flags. Internal to
// models/arch; a new family is a file that defines one of these and a row in architectures.cc.
//
// Key and tensor names, defaults and conventions are those of GGUF files as llama.cpp converts
// them:
// - query and key rows of Llama are permuted for interleaved rotation; the others keep halves;
// - Gemma's norm weights already include its "+ 1".
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "models/arch/model.h"

namespace ac {

// Names inside "blk.<i>.", without ".weight".
struct BlockNames {
  std::string_view attention_norm = "attn_norm";
  std::string_view q = "attn_q";
  std::string_view k = "attn_k";
  std::string_view v = "attn_v";
  std::string_view qkv = "attn_qkv";  // q, k and v, one below the other
  std::string_view o = "attn_output";
  std::string_view q_norm = "attn_q_norm";
  std::string_view k_norm = "attn_k_norm";
  std::string_view attention_post_norm = "post_attention_norm";
  std::string_view ff_norm = "ffn_norm";
  std::string_view gate = "ffn_gate";
  std::string_view up = "ffn_up";  // where there is no gate: gate and up, one below the other
  std::string_view down = "ffn_down";
  std::string_view ff_post_norm = "post_ffw_norm";
};

struct Family {
  std::string_view name;  // general.architecture, and the prefix of its keys
  BlockNames names = {};
  RopePairing rope_pairing = RopePairing::kHalves;
  Activation activation = Activation::kSilu;
  bool has_qkv_bias = false;      // q, k and v must have biases; elsewhere they may
  bool has_qk_norm = false;       // RMS norm over each head of q and k, before the rope
  bool has_post_norms = false;    // norms on what a block adds, beside those on what it reads
  bool scales_embedding = false;  // by sqrt(d_model)
  bool may_fuse = false;          // q|k|v and gate|up may come as one tensor each
  // Layers with the sliding window: of every `window_period` all but the last; 0: all.
  int32_t window_period = 0;
  int32_t default_window = 0;  // where the file names none; 0: none
  double local_rope_base = 0;  // > 0: windowed layers turn with a base of their own
  float default_attention_softcap = 0;
  float default_logit_softcap = 0;
  // > 0: a model of that many layers scales attention by 1 / sqrt(d_model / n_heads) instead of
  // 1 / sqrt(d_head); the files have no key for it.
  int32_t layers_scaled_by_model_width = 0;
};

std::span<const Family* const> families();
// Errors: kUnsupported, naming the known ones; kNotFound, kCorruptFile (general.architecture).
Result<const Family*> find_family(const Checkpoint& checkpoint);

// "llama.attention.head_count"
inline std::string family_key(const Family& family, std::string_view rest) {
  return fmt::format("{}.{}", family.name, rest);
}

}  // namespace ac
