#include "tests/support/random_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "cpu/formats/codecs.h"
#include "models/arch/nested.h"
#include "runtime/core/rng.h"
#include "tests/support/plain_weights.h"

namespace ac::test {
namespace {

// A hash of the name, so that a tensor's weights do not depend on which others there are.
uint64_t seed_of(std::string_view name, uint64_t seed) {
  uint64_t hash = 1469598103934665603u ^ seed;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

struct Shape {
  int32_t d_model = 0;
  int32_t d_head = 0;
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t d_ff = 0;
  int32_t n_layers = 3;
  int32_t n_vocab = 101;
  int32_t rank = 0;
};

int32_t block_of(const RandomModelOptions& options) {
  const auto block = static_cast<int32_t>(weight_format_info(options.format).block_weights);
  return options.whole_blocks ? std::max(block, 32) : block;
}

// Odd sizes where the format has no blocks, whole blocks otherwise.
Shape shape_for(const RandomModelOptions& options) {
  const int32_t block = block_of(options);
  Shape shape;
  if (block == 1) {
    shape = {.d_model = 60, .d_head = 10, .n_heads = 6, .n_kv_heads = 2, .d_ff = 86, .rank = 7};
  } else {
    const bool wide = block > 32;
    shape = {.d_model = 3 * block,
             .d_head = 32,
             .n_heads = wide ? 8 : 6,
             .n_kv_heads = wide ? 4 : 3,
             .d_ff = 5 * block,
             .rank = block};
  }
  // Families whose heads are not d_model / n_heads wide.
  const bool own_width = options.family == "qwen3" || options.family.starts_with("gemma");
  if (own_width) shape.d_head = block == 1 ? 14 : 64;
  if (options.family == "gemma2") shape.n_layers = 4;
  if (options.family == "gemma3") shape.n_layers = 7;
  if (options.n_layers > 0) shape.n_layers = options.n_layers;
  return shape;
}

class Writer {
 public:
  Writer(Checkpoint& checkpoint, const RandomModelOptions& options)
      : checkpoint_(checkpoint), options_(options) {}

  void vector(const std::string& name, int64_t n, double mean, double deviation) {
    const int64_t shape[] = {n};
    auto bytes = checkpoint_.add_tensor(name, WeightFormat::kF32, shape);
    AC_CHECK(bytes.has_value());
    Rng rng(seed_of(name, options_.seed));
    for (int64_t i = 0; i < n; ++i) {
      const auto value = static_cast<float>(mean + deviation * rng.normal());
      std::memcpy(bytes->data() + 4 * i, &value, sizeof value);
    }
  }
  void matrix(const std::string& name, int64_t n_out, int64_t n_in, double scale) {
    add_random_matrix(checkpoint_, name, n_out, n_in, options_.format,
                      scale / std::sqrt(static_cast<double>(n_in)), options_.seed);
  }
  // Low-rank where asked for and the name's turn has come.
  void linear(const std::string& name, int64_t n_out, int64_t n_in, int64_t rank, double scale) {
    const bool thin = options_.low_rank && seed_of(name, 0) % 2 == 0;
    if (!thin) return matrix(name + ".weight", n_out, n_in, scale);
    matrix(name + ".lowrank_out.weight", n_out, rank, scale);
    matrix(name + ".lowrank_in.weight", rank, n_in, 1);
  }

 private:
  Checkpoint& checkpoint_;
  const RandomModelOptions& options_;
};

struct LayerShape {
  int32_t n_heads;
  int32_t n_kv_heads;
  int32_t d_ff;
};

// Layer 1 loses its attention, layer 2 its feed-forward block; heads and widths fall with depth.
std::vector<LayerShape> layer_shapes(const RandomModelOptions& options, const Shape& shape) {
  std::vector<LayerShape> layers;
  const int32_t block = block_of(options);
  for (int32_t i = 0; i < shape.n_layers; ++i) {
    LayerShape layer{shape.n_heads, shape.n_kv_heads, shape.d_ff};
    if (options.per_layer) {
      const bool whole_rows = (layer.n_heads - layer.n_kv_heads) * shape.d_head % block == 0;
      if (i % 3 == 0 && layer.n_heads > layer.n_kv_heads && whole_rows) {
        layer.n_heads -= layer.n_kv_heads;
      }
      if (i % 3 == 1) layer.n_heads = layer.n_kv_heads = 0;
      layer.d_ff = i % 3 == 2 ? 0 : shape.d_ff - (i % 2) * block;
    }
    layers.push_back(layer);
  }
  return layers;
}

void write_layer(Writer& writer, const RandomModelOptions& options, const Shape& shape,
                 const LayerShape& layer, int32_t index) {
  const std::string blk = fmt::format("blk.{}.", index);
  const bool gemma = options.family.starts_with("gemma");
  const bool fused = options.family == "phi3";
  const int64_t d_model = shape.d_model;
  const int64_t q_rows = int64_t{layer.n_heads} * shape.d_head;
  const int64_t kv_rows = int64_t{layer.n_kv_heads} * shape.d_head;
  if (layer.n_heads > 0) {
    writer.vector(blk + "attn_norm.weight", d_model, 1, 0.1);
    if (fused) {
      writer.linear(blk + "attn_qkv", q_rows + 2 * kv_rows, d_model, shape.rank, 1);
    } else {
      writer.linear(blk + "attn_q", q_rows, d_model, shape.rank, 1);
      writer.linear(blk + "attn_k", kv_rows, d_model, shape.rank, 1);
      writer.linear(blk + "attn_v", kv_rows, d_model, shape.rank, 1);
    }
    writer.linear(blk + "attn_output", d_model, q_rows, shape.rank, 0.7);
    if (options.family == "qwen2") {
      writer.vector(blk + "attn_q.bias", q_rows, 0, 0.3);
      writer.vector(blk + "attn_k.bias", kv_rows, 0, 0.3);
      writer.vector(blk + "attn_v.bias", kv_rows, 0, 0.3);
    }
    if (options.family == "qwen3" || options.family == "gemma3") {
      writer.vector(blk + "attn_q_norm.weight", shape.d_head, 1.2, 0.2);
      writer.vector(blk + "attn_k_norm.weight", shape.d_head, 1.2, 0.2);
    }
    if (gemma) writer.vector(blk + "post_attention_norm.weight", d_model, 0.5, 0.1);
  }
  if (layer.d_ff > 0) {
    writer.vector(blk + "ffn_norm.weight", d_model, 1, 0.1);
    if (fused) {
      writer.linear(blk + "ffn_up", 2 * layer.d_ff, d_model, shape.rank, 1);
    } else {
      writer.linear(blk + "ffn_gate", layer.d_ff, d_model, shape.rank, 1);
      writer.linear(blk + "ffn_up", layer.d_ff, d_model, shape.rank, 1);
    }
    writer.linear(blk + "ffn_down", d_model, layer.d_ff, shape.rank, 0.7);
    if (gemma) writer.vector(blk + "post_ffw_norm.weight", d_model, 0.5, 0.1);
  }
}

void write_metadata(Checkpoint& checkpoint, const RandomModelOptions& options, const Shape& shape,
                    const std::vector<LayerShape>& layers) {
  const auto key = [&](std::string_view rest) {
    return fmt::format("{}.{}", options.family, rest);
  };
  const auto uint = [&](std::string_view rest, int32_t value) {
    checkpoint.set_uint(key(rest), static_cast<uint32_t>(value));
  };
  checkpoint.set_string("general.architecture", std::string(options.family));
  checkpoint.set_string("general.name", fmt::format("random {}", options.family));
  uint("block_count", shape.n_layers);
  uint("context_length", options.n_context);
  uint("embedding_length", shape.d_model);
  checkpoint.set_float(key("attention.layer_norm_rms_epsilon"), 1e-5f);
  checkpoint.set_float(key("rope.freq_base"), options.family == "gemma3" ? 1e6f : 5e3f);
  if (shape.d_head * shape.n_heads != shape.d_model || options.per_layer) {
    uint("attention.key_length", shape.d_head);
    uint("attention.value_length", shape.d_head);
  }
  if (options.per_layer) {
    std::vector<int32_t> heads;
    std::vector<int32_t> kv_heads;
    std::vector<int32_t> widths;
    for (const LayerShape& layer : layers) {
      heads.push_back(layer.n_heads);
      kv_heads.push_back(layer.n_kv_heads);
      widths.push_back(layer.d_ff);
    }
    checkpoint.set_integers(key("attention.head_count"), heads);
    checkpoint.set_integers(key("attention.head_count_kv"), kv_heads);
    checkpoint.set_integers(key("feed_forward_length"), widths);
  } else {
    uint("attention.head_count", shape.n_heads);
    uint("attention.head_count_kv", shape.n_kv_heads);
    uint("feed_forward_length", shape.d_ff);
  }
  if (options.family == "phi3") uint("rope.dimension_count", shape.d_head / 4 * 2);
  // Short enough to matter in a test.
  if (options.family != "qwen2" && options.family != "qwen3") uint("attention.sliding_window", 7);
  if (options.family == "gemma2") {
    checkpoint.set_float(key("attn_logit_softcapping"), 3);
    checkpoint.set_float(key("final_logit_softcapping"), 4);
  }
}

void write_stretch(Checkpoint& checkpoint, Writer& writer, const RandomModelOptions& options,
                   const Shape& shape) {
  const auto key = [&](std::string_view rest) {
    return fmt::format("{}.rope.scaling.{}", options.family, rest);
  };
  const int32_t d_rot = options.family == "phi3" ? shape.d_head / 4 * 2 : shape.d_head;
  if (options.family == "llama") {
    writer.vector("rope_freqs.weight", d_rot / 2, 3, 0.5);
  } else if (options.family == "qwen2") {
    checkpoint.set_string(key("type"), "yarn");
    checkpoint.set_float(key("factor"), 4);
    checkpoint.set_uint(key("original_context_length"), 24);
  } else if (options.family == "qwen3") {
    checkpoint.set_string(key("type"), "llama3");
    checkpoint.set_float(key("factor"), 8);
    checkpoint.set_float(key("low_freq_factor"), 1);
    checkpoint.set_float(key("high_freq_factor"), 4);
    checkpoint.set_uint(key("original_context_length"), 24);
  } else if (options.family == "phi3") {
    writer.vector("rope_factors_long.weight", d_rot / 2, 5, 0.5);
    writer.vector("rope_factors_short.weight", d_rot / 2, 1.2, 0.05);
    checkpoint.set_uint(key("original_context_length"), 24);
    checkpoint.set_float(key("attn_factor"), 1.19f);
  } else {
    checkpoint.set_string(key("type"), "linear");
    checkpoint.set_float(key("factor"), 8);
  }
}

// <unk> <s> </s>, the 256 bytes, then letters and pairs: enough for every text to have tokens.
std::vector<std::string> write_tokenizer(Checkpoint& checkpoint) {
  std::vector<std::string> pieces = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    pieces.push_back(fmt::format("<0x{:02X}>", byte));
    types.push_back(6);
  }
  for (char c = 'a'; c <= 'z'; ++c) pieces.emplace_back(1, c);
  for (const char* piece :
       {"\u2581", "\u2581a", "\u2581the", "th", "he", "the", "an", "in", "on", "er"}) {
    pieces.emplace_back(piece);
  }
  types.resize(pieces.size(), 1);
  std::vector<float> scores(pieces.size(), 0);
  for (size_t i = 259; i < pieces.size(); ++i) scores[i] = -static_cast<float>(pieces.size() - i);
  checkpoint.set_string("tokenizer.ggml.model", "llama");
  checkpoint.set_strings("tokenizer.ggml.tokens", pieces);
  checkpoint.set_floats("tokenizer.ggml.scores", scores);
  checkpoint.set_integers("tokenizer.ggml.token_type", types);
  checkpoint.set_uint("tokenizer.ggml.bos_token_id", 1);
  checkpoint.set_uint("tokenizer.ggml.eos_token_id", 2);
  checkpoint.set_uint("tokenizer.ggml.unknown_token_id", 0);
  return pieces;
}

}  // namespace

std::vector<std::string_view> random_model_families() {
  return {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"};
}

void add_random_matrix(Checkpoint& checkpoint, const std::string& name, int64_t n_out, int64_t n_in,
                       WeightFormat format, double scale, uint64_t seed) {
  const int64_t shape[] = {n_out, n_in};
  auto bytes = checkpoint.add_tensor(name, format, shape);
  AC_CHECK(bytes.has_value());
  Rng rng(seed_of(name, seed));
  const auto n = static_cast<size_t>(n_in);
  const size_t row_bytes = cpu::row_bytes(format, n);
  std::vector<float> row(n);
  for (size_t r = 0; r < static_cast<size_t>(n_out); ++r) {
    for (float& value : row) value = static_cast<float>(scale * rng.normal());
    cpu::codec(format).encode_row(row.data(), bytes->data() + r * row_bytes, n);
  }
}

Checkpoint random_model(const RandomModelOptions& options) {
  Checkpoint checkpoint;
  checkpoint.origin = fmt::format("random {}", options.family);
  Shape shape = shape_for(options);
  if (options.tokenizer) shape.n_vocab = static_cast<int32_t>(write_tokenizer(checkpoint).size());
  const std::vector<LayerShape> layers = layer_shapes(options, shape);
  write_metadata(checkpoint, options, shape, layers);
  Writer writer(checkpoint, options);
  // Gemma multiplies by sqrt(d_model); the others have embeddings of deviation 1.
  const bool gemma = options.family.starts_with("gemma");
  writer.matrix("token_embd.weight", shape.n_vocab, shape.d_model,
                gemma ? 1 : std::sqrt(static_cast<double>(shape.d_model)));
  writer.vector("output_norm.weight", shape.d_model, 1, 0.1);
  if (options.untied) writer.linear("output", shape.n_vocab, shape.d_model, shape.rank, 1);
  for (int32_t i = 0; i < shape.n_layers; ++i) {
    write_layer(writer, options, shape, layers[static_cast<size_t>(i)], i);
  }
  if (options.stretched) write_stretch(checkpoint, writer, options, shape);
  return checkpoint;
}

std::vector<std::string> add_residuals(Checkpoint& checkpoint, uint64_t seed) {
  std::vector<std::string> names;
  for (const std::string& tensor : std::vector<std::string>(checkpoint.tensor_order)) {
    const TensorView view = checkpoint.tensors.at(tensor);
    if (view.format != WeightFormat::kQ4_0) continue;
    names.push_back(tensor.substr(0, tensor.size() - std::string_view(".weight").size()));
    double energy = 0;
    const std::vector<double> weights = plain_weights(view);
    for (const double w : weights) energy += w * w;
    add_random_matrix(checkpoint, nested_residual(names.back()), view.n_rows(), view.n_cols(),
                      view.format, std::sqrt(energy / static_cast<double>(weights.size())) / 8,
                      seed);
  }
  checkpoint.set_strings(std::string(kNestedOrderKey), names);
  return names;
}

Checkpoint sum_of_planes(const Checkpoint& nested, int32_t level) {
  const auto order = read_nested_order(nested);
  AC_CHECK(order.has_value());
  const std::set<std::string> unread = order->unread_residuals(level);
  Checkpoint sum;
  sum.origin = "sum";
  sum.metadata = nested.metadata;
  sum.metadata.erase(std::string(kNestedOrderKey));
  sum.metadata.erase(std::string(kNestedLevelKey));
  for (const std::string& name : nested.tensor_order) {
    if (is_residual(name)) continue;
    const TensorView view = nested.tensors.at(name);
    std::vector<double> weights = plain_weights(view);
    const auto residual = nested.tensors.find(name + std::string(kResidualSuffix));
    if (residual != nested.tensors.end() && !unread.contains(residual->first)) {
      const std::vector<double> rest = plain_weights(residual->second);
      for (size_t i = 0; i < weights.size(); ++i) weights[i] += rest[i];
    }
    auto bytes = sum.add_tensor(name, WeightFormat::kF32, view.axes());
    AC_CHECK(bytes.has_value());
    for (size_t i = 0; i < weights.size(); ++i) {
      const auto value = static_cast<float>(weights[i]);
      std::memcpy(bytes->data() + 4 * i, &value, sizeof value);
    }
  }
  return sum;
}

std::vector<int32_t> random_tokens(size_t n, int32_t n_vocab, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(n_vocab)));
  }
  return tokens;
}

}  // namespace ac::test
