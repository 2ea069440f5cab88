// Metadata to ModelConfig: every dimension is bounded before anything is computed from it.
#include <algorithm>
#include <cmath>

#include "models/arch/family.h"

namespace ac {
namespace {

constexpr uint64_t kMaxModelWidth = 65536;
constexpr uint64_t kMaxLayers = 512;
constexpr uint64_t kMaxHeads = 1024;
constexpr uint64_t kMaxHeadWidth = 1024;
constexpr int64_t kMaxAttentionWidth = 1 << 17;  // heads times their width
constexpr uint64_t kMaxFeedForward = 1u << 20;
constexpr uint64_t kMaxVocabulary = 1u << 21;
constexpr uint64_t kMaxContext = 1u << 24;
constexpr uint64_t kMaxWindow = 1u << 30;

Error out_of_range(const Checkpoint& checkpoint, std::string_view key, double value,
                   std::string_view expected) {
  return fail(ErrorCode::kCorruptFile, "{}: key '{}' is {}, expected {}", checkpoint.origin, key,
              value, expected);
}

// One number for all layers, or an array with one for each. `missing` < 0: the key must be there.
Result<std::vector<int32_t>> per_layer(const Checkpoint& checkpoint, const std::string& key,
                                       size_t n_layers, uint64_t max, int64_t missing) {
  if (!checkpoint.has(key) && missing >= 0) {
    return std::vector<int32_t>(n_layers, static_cast<int32_t>(missing));
  }
  const auto it = checkpoint.metadata.find(key);
  if (it == checkpoint.metadata.end() || it->second.type != MetaType::kArray) {
    AC_TRY(const uint64_t value, checkpoint.get_uint(key, 0, max));
    return std::vector<int32_t>(n_layers, static_cast<int32_t>(value));
  }
  AC_TRY(const std::vector<int64_t> values, checkpoint.get_integers(key));
  if (values.size() != n_layers) {
    return fail(ErrorCode::kCorruptFile,
                "{}: key '{}' has {} values, expected one for each of {} layers", checkpoint.origin,
                key, values.size(), n_layers);
  }
  std::vector<int32_t> checked;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || static_cast<uint64_t>(values[i]) > max) {
      return fail(ErrorCode::kCorruptFile, "{}: key '{}' is {} for layer {}, expected 0 to {}",
                  checkpoint.origin, key, values[i], i, max);
    }
    checked.push_back(static_cast<int32_t>(values[i]));
  }
  return checked;
}

Result<double> positive(const Checkpoint& checkpoint, const std::string& key, double missing,
                        double max) {
  AC_TRY(const double value, checkpoint.get_number_or(key, missing));
  if (!(value > 0 && value <= max)) {
    return out_of_range(checkpoint, key, value, fmt::format("more than 0 and at most {}", max));
  }
  return value;
}

Result<float> softcap(const Checkpoint& checkpoint, const std::string& key, float missing) {
  AC_TRY(const double value, checkpoint.get_number_or(key, static_cast<double>(missing)));
  if (!(value >= 0 && value <= 1e6)) return out_of_range(checkpoint, key, value, "0 to 1e6");
  return static_cast<float>(value);
}

// Which layers have the window. The key holds a period (of every p layers all but the last; 0: all)
// or a truth value for each layer.
Result<std::vector<bool>> windowed_layers(const Checkpoint& checkpoint, const Family& family,
                                          size_t n_layers) {
  const std::string key = family_key(family, "attention.sliding_window_pattern");
  const auto it = checkpoint.metadata.find(key);
  if (it != checkpoint.metadata.end() && it->second.type == MetaType::kArray) {
    const auto* array = std::get_if<MetaArray>(&it->second.value);
    std::vector<bool> windowed;
    if (array != nullptr && array->element == MetaType::kBool) {
      for (std::byte b : array->numbers) windowed.push_back(b != std::byte{0});
    } else {
      AC_TRY(const std::vector<int64_t> values, checkpoint.get_integers(key));
      for (int64_t value : values) windowed.push_back(value != 0);
    }
    if (windowed.size() != n_layers) {
      return fail(ErrorCode::kCorruptFile,
                  "{}: key '{}' has {} values, expected one for each of {} layers",
                  checkpoint.origin, key, windowed.size(), n_layers);
    }
    return windowed;
  }
  AC_TRY(const uint64_t period,
         checkpoint.get_uint_or(key, 0, kMaxLayers, static_cast<uint64_t>(family.window_period)));
  std::vector<bool> windowed(n_layers, true);
  for (size_t i = 0; period > 0 && i < n_layers; ++i) windowed[i] = i % period + 1 < period;
  return windowed;
}

Status read_heads(const Checkpoint& checkpoint, const Family& family, ModelConfig* config) {
  const size_t n_layers = config->layers.size();
  AC_TRY(
      const std::vector<int32_t> heads,
      per_layer(checkpoint, family_key(family, "attention.head_count"), n_layers, kMaxHeads, -1));
  const std::string kv_key = family_key(family, "attention.head_count_kv");
  AC_TRY(const std::vector<int32_t> kv_heads,
         per_layer(checkpoint, kv_key, n_layers, kMaxHeads, heads[0]));
  const bool own_kv_heads = checkpoint.has(kv_key);
  for (size_t i = 0; i < n_layers; ++i) {
    LayerConfig& layer = config->layers[i];
    layer.n_heads = heads[i];
    layer.n_kv_heads = own_kv_heads ? kv_heads[i] : heads[i];
    if (layer.n_heads == 0) layer.n_kv_heads = 0;
    if (layer.n_heads > 0 && (layer.n_kv_heads == 0 || layer.n_heads % layer.n_kv_heads != 0)) {
      return fail(ErrorCode::kCorruptFile,
                  "{}: layer {} has {} heads and {} kv heads, expected a divisor of the heads",
                  checkpoint.origin, i, layer.n_heads, layer.n_kv_heads);
    }
  }
  // The width of a head, where the file does not say it, follows from the heads of the first layer.
  const std::string key = family_key(family, "attention.key_length");
  if (!checkpoint.has(key) && (heads[0] == 0 || config->d_model % heads[0] != 0)) {
    return fail(
        ErrorCode::kCorruptFile,
        "{}: key '{}' is missing and {} columns are not whole heads of layer 0, which has {}",
        checkpoint.origin, key, config->d_model, heads[0]);
  }
  const auto by_width = static_cast<uint64_t>(heads[0] == 0 ? 0 : config->d_model / heads[0]);
  AC_TRY(const uint64_t d_head, checkpoint.get_uint_or(key, 2, kMaxHeadWidth, by_width));
  const std::string value_key = family_key(family, "attention.value_length");
  AC_TRY(const uint64_t d_value, checkpoint.get_uint_or(value_key, 1, kMaxHeadWidth, d_head));
  if (d_value != d_head) {
    return fail(ErrorCode::kUnsupported, "{}: values of {} per head beside keys of {}",
                checkpoint.origin, d_value, d_head);
  }
  const std::string rot_key = family_key(family, "rope.dimension_count");
  AC_TRY(const uint64_t d_rot, checkpoint.get_uint_or(rot_key, 2, kMaxHeadWidth, d_head));
  if (d_head < 2 || d_head > kMaxHeadWidth || d_head % 2 != 0) {
    return out_of_range(checkpoint, key, static_cast<double>(d_head), "an even number, 2 to 1024");
  }
  if (d_rot > d_head || d_rot % 2 != 0) {
    return out_of_range(checkpoint, rot_key, static_cast<double>(d_rot),
                        fmt::format("an even number, at most the head's width {}", d_head));
  }
  const int32_t most_heads = *std::max_element(heads.begin(), heads.end());
  if (most_heads * static_cast<int64_t>(d_head) > kMaxAttentionWidth) {
    return fail(ErrorCode::kCorruptFile, "{}: {} heads of width {}, expected at most {} together",
                checkpoint.origin, most_heads, d_head, kMaxAttentionWidth);
  }
  config->d_head = static_cast<int32_t>(d_head);
  config->d_rot = static_cast<int32_t>(d_rot);
  return {};
}

Status read_windows(const Checkpoint& checkpoint, const Family& family, ModelConfig* config) {
  const std::string key = family_key(family, "attention.sliding_window");
  AC_TRY(const uint64_t window,
         checkpoint.get_uint_or(key, 0, kMaxWindow, static_cast<uint64_t>(family.default_window)));
  if (window == 0) return {};
  AC_TRY(const std::vector<bool> windowed,
         windowed_layers(checkpoint, family, config->layers.size()));
  for (size_t i = 0; i < config->layers.size(); ++i) {
    if (!windowed[i]) continue;
    config->layers[i].window = static_cast<int32_t>(window);
    config->layers[i].local_rope = family.local_rope_base > 0;
  }
  return {};
}

Status read_scales(const Checkpoint& checkpoint, const Family& family, ModelConfig* config) {
  const std::string epsilon_key = family_key(family, "attention.layer_norm_rms_epsilon");
  AC_TRY(const double epsilon, checkpoint.get_number(epsilon_key));
  if (!(epsilon > 0 && epsilon <= 1)) {
    return out_of_range(checkpoint, epsilon_key, epsilon, "more than 0 and at most 1");
  }
  config->norm_epsilon = static_cast<float>(epsilon);
  if (family.scales_embedding) {
    config->embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config->d_model)));
  }
  double width = config->d_head;
  if (family.layers_scaled_by_model_width == static_cast<int32_t>(config->layers.size()) &&
      config->layers[0].n_heads > 0) {
    width = config->d_model / config->layers[0].n_heads;
  }
  AC_TRY(const double attention_scale,
         positive(checkpoint, family_key(family, "attention.scale"), 1 / std::sqrt(width), 1e3));
  config->attention_scale = static_cast<float>(attention_scale);
  AC_TRY(config->attention_softcap,
         softcap(checkpoint, family_key(family, "attn_logit_softcapping"),
                 family.default_attention_softcap));
  AC_TRY(config->logit_softcap, softcap(checkpoint, family_key(family, "final_logit_softcapping"),
                                        family.default_logit_softcap));
  return {};
}

// The embedding's rows are the vocabulary; what else speaks of it must agree.
Status read_vocabulary(const Checkpoint& checkpoint, const Family& family, ModelConfig* config) {
  AC_TRY(const TensorView embedding, checkpoint.tensor("token_embd.weight"));
  const int64_t rows = embedding.shape[0];
  if (embedding.n_axes != 2 || rows < 1 || rows > static_cast<int64_t>(kMaxVocabulary)) {
    return fail(ErrorCode::kCorruptFile,
                "{}: tensor token_embd.weight has {} axes and {} rows, expected 2 and 1 to {}",
                checkpoint.origin, embedding.n_axes, rows, kMaxVocabulary);
  }
  config->n_vocab = static_cast<int32_t>(rows);
  const auto n_vocab = static_cast<uint64_t>(rows);
  AC_TRY(const uint64_t stated,
         checkpoint.get_uint_or(family_key(family, "vocab_size"), 1, kMaxVocabulary, n_vocab));
  uint64_t listed = n_vocab;
  if (checkpoint.has("tokenizer.ggml.tokens")) {
    AC_TRY(const auto tokens, checkpoint.get_strings("tokenizer.ggml.tokens"));
    listed = tokens.size();
  }
  if (stated != n_vocab || listed != n_vocab) {
    return fail(
        ErrorCode::kCorruptFile,
        "{}: the embedding has {} rows, key '{}.vocab_size' says {}, the tokenizer lists {}",
        checkpoint.origin, n_vocab, family.name, stated, listed);
  }
  return {};
}

}  // namespace

KvShape ModelConfig::kv_shape(int32_t n_slots, int32_t context, KvFormat format) const {
  KvShape shape;
  shape.n_slots = n_slots;
  shape.n_context = context;
  shape.format = format;
  for (const LayerConfig& layer : layers) shape.layers.push_back({layer.n_kv_heads, d_head});
  return shape;
}

Result<ModelConfig> read_model_config(const Checkpoint& checkpoint) {
  AC_TRY(const Family* found, find_family(checkpoint));
  const Family& family = *found;
  ModelConfig config;
  config.architecture = family.name;
  AC_TRY(const std::string_view name, checkpoint.get_string_or("general.name", ""));
  config.name = name;
  config.activation = family.activation;
  config.rope_pairing = family.rope_pairing;

  AC_TRY(const uint64_t n_experts,
         checkpoint.get_uint_or(family_key(family, "expert_count"), 0, UINT32_MAX, 0));
  if (n_experts > 0) {
    return fail(ErrorCode::kUnsupported, "{}: a mixture of {} experts", checkpoint.origin,
                n_experts);
  }
  AC_TRY(const uint64_t d_model,
         checkpoint.get_uint(family_key(family, "embedding_length"), 1, kMaxModelWidth));
  AC_TRY(const uint64_t n_layers,
         checkpoint.get_uint(family_key(family, "block_count"), 1, kMaxLayers));
  AC_TRY(const uint64_t n_context,
         checkpoint.get_uint(family_key(family, "context_length"), 1, kMaxContext));
  config.d_model = static_cast<int32_t>(d_model);
  config.n_context = static_cast<int32_t>(n_context);
  config.layers.resize(n_layers);

  AC_TRY_STATUS(read_heads(checkpoint, family, &config));
  AC_TRY(const std::vector<int32_t> d_ff,
         per_layer(checkpoint, family_key(family, "feed_forward_length"), n_layers, kMaxFeedForward,
                   -1));
  for (size_t i = 0; i < n_layers; ++i) config.layers[i].d_ff = d_ff[i];
  AC_TRY_STATUS(read_windows(checkpoint, family, &config));
  AC_TRY_STATUS(read_scales(checkpoint, family, &config));
  AC_TRY_STATUS(read_vocabulary(checkpoint, family, &config));
  return config;
}

}  // namespace ac
