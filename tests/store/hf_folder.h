// Writes a checkpoint of the engine's kind as the Hugging Face folder it would have come from: the
// translation of models/store the other way round, from the published conventions, sharing no code.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/store/safetensors_builder.h"
#include "tests/store/store_test_util.h"

namespace ac::testing {

struct HfFolder {
  std::string class_name;  // "LlamaForCausalLM"
  nlohmann::json config;
  std::vector<std::pair<std::string, SafetensorsBuilder>> files;  // one, or shards
  std::string tokenizer_json;
};

// Rows of each head from neighbours (2i, 2i+1) to halves (i, i + d/2).
inline std::string halves(const TensorView& view, int64_t n_heads) {
  const int64_t n_rows = view.shape[0];
  const auto row_bytes = static_cast<size_t>(view.size_bytes) / static_cast<size_t>(n_rows);
  const int64_t d = n_rows / n_heads;
  std::string out;
  for (int64_t head = 0; head < n_heads; ++head) {
    for (int64_t half = 0; half < 2; ++half) {
      for (int64_t i = 0; i < d / 2; ++i) {
        const auto row = static_cast<size_t>(head * d + 2 * i + half);
        out.append(reinterpret_cast<const char*>(view.data) + row * row_bytes, row_bytes);
      }
    }
  }
  return out;
}

inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

inline std::string hf_name(std::string name, bool gemma, bool fused) {
  if (name == "token_embd.weight") return "model.embed_tokens.weight";
  if (name == "output_norm.weight") return "model.norm.weight";
  if (name == "output.weight") return "lm_head.weight";
  name = replaced(name, "blk.", "model.layers.");
  name = replaced(name, "post_attention_norm", "post_attention_layernorm");
  name = replaced(name, "post_ffw_norm", "post_feedforward_layernorm");
  name = replaced(name, "attn_q_norm", "self_attn.q_norm");
  name = replaced(name, "attn_k_norm", "self_attn.k_norm");
  name = replaced(name, "attn_norm", "input_layernorm");
  name =
      replaced(name, "ffn_norm", gemma ? "pre_feedforward_layernorm" : "post_attention_layernorm");
  name = replaced(name, "attn_qkv", "self_attn.qkv_proj");
  name = replaced(name, "attn_q.", "self_attn.q_proj.");
  name = replaced(name, "attn_k.", "self_attn.k_proj.");
  name = replaced(name, "attn_v.", "self_attn.v_proj.");
  name = replaced(name, "attn_output", "self_attn.o_proj");
  name = replaced(name, "ffn_gate", "mlp.gate_proj");
  name = replaced(name, "ffn_up", fused ? "mlp.gate_up_proj" : "mlp.up_proj");
  name = replaced(name, "ffn_down", "mlp.down_proj");
  return name;
}

inline void write_folder(const std::string& path, const HfFolder& folder) {
  spill(path + "/config.json", folder.config.dump());
  if (folder.files.size() == 1) {
    spill(path + "/model.safetensors", folder.files[0].second.build());
  } else {
    nlohmann::json index = {{"metadata", {{"total_size", 1}}},
                            {"weight_map", nlohmann::json::object()}};
    for (auto [file, builder] : folder.files) {
      for (const auto& [name, entry] : builder.header().items()) index["weight_map"][name] = file;
      spill(path + "/" + file, builder.build());
    }
    spill(path + "/model.safetensors.index.json", index.dump());
  }
  spill(path + "/tokenizer.json", folder.tokenizer_json);
}

// A byte-level tokenizer.json of four tokens; the model's other ids become unused ones.
inline std::string tiny_tokenizer_json() {
  return R"({"added_tokens":[{"id":3,"content":"<|end|>","special":true}],
    "normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
    "model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
}

}  // namespace ac::testing
