// The transformer, once, in the verbs of a backend. No family has a name here: what differs between
// them is data in the model (weights that are there or not, numbers, flags of a layer).
//
//   x = embed(tokens)
//   x += post_norm(o(attend(rope(norm(q(n))), rope(norm(k(n))), v(n))))   n = norm(x), each layer
//   x += post_norm(down(activation(gate(n)) * up(n)))                      n = norm(x), each layer
//   logits = softcap(output(norm(x)))
#include "models/arch/model.h"

namespace ac {
namespace {

// What the second factor of a low-rank layer reads; x itself where the layer is dense.
Value inner(Backend& backend, Value x, const Linear& layer) {
  return layer.w_in != WeightId::kNone ? backend.matmul(x, layer.w_in) : x;
}

Value linear(Backend& backend, Value x, const Linear& layer) {
  return backend.matmul(inner(backend, x, layer), layer.w, layer.bias);
}

struct Projected {
  Value n;  // what q, k and v read
  Value q, k, v;
};

// Layers that share their first factor share its product.
Projected project(Backend& backend, Value n, const LayerWeights& weights, bool without_q) {
  Projected made{.n = n, .q = {}, .k = {}, .v = {}};
  const Value in_k = inner(backend, n, weights.k);
  const auto in = [&](const Linear& layer) {
    return layer.w_in == weights.k.w_in ? in_k : inner(backend, n, layer);
  };
  if (!without_q) made.q = backend.matmul(in(weights.q), weights.q.w, weights.q.bias);
  made.k = backend.matmul(in_k, weights.k.w, weights.k.bias);
  made.v = backend.matmul(in(weights.v), weights.v.w, weights.v.bias);
  return made;
}

struct Attended {
  Value n;       // what q, k and v read
  Value values;  // what attention reads of the cache, before o: [n_tokens, n_heads * d_head]
};
Attended attend(Backend& backend, const Model& model, int32_t index, Value x,
                bool fill_cache_only) {
  const ModelConfig& config = model.config;
  const LayerConfig& layer = config.layers[static_cast<size_t>(index)];
  const LayerWeights& weights = model.layers[static_cast<size_t>(index)];
  const RopeId rope = layer.local_rope ? model.rope_local : model.rope;

  const Value n = backend.rms_norm(x, weights.attention_norm, config.norm_epsilon);
  auto [input, q, k, v] = project(backend, n, weights, fill_cache_only);
  if (weights.k_norm != WeightId::kNone) {
    k = backend.rms_norm(k, weights.k_norm, config.norm_epsilon, config.d_head);
  }
  backend.rope(k, config.d_head, rope);
  backend.store_kv(index, k, v);
  if (fill_cache_only) return {input, {}};

  if (weights.q_norm != WeightId::kNone) {
    q = backend.rms_norm(q, weights.q_norm, config.norm_epsilon, config.d_head);
  }
  backend.rope(q, config.d_head, rope);
  return {input, backend.attend(q, {.layer = index,
                                    .n_heads = layer.n_heads,
                                    .scale = config.attention_scale,
                                    .softcap = config.attention_softcap,
                                    .window = layer.window})};
}

void add_attention(Backend& backend, const Model& model, const LayerWeights& weights, Value x,
                   Value attended) {
  Value y = linear(backend, attended, weights.o);
  if (weights.attention_post_norm != WeightId::kNone) {
    y = backend.rms_norm(y, weights.attention_post_norm, model.config.norm_epsilon);
  }
  backend.add(x, y);
}

BlockValues add_feed_forward(Backend& backend, const Model& model, const LayerWeights& weights,
                             Value x) {
  const ModelConfig& config = model.config;
  const Value n = backend.rms_norm(x, weights.ff_norm, config.norm_epsilon);
  const Value gate = linear(backend, n, weights.gate);
  const Value up = linear(backend, n, weights.up);
  const Value hidden = backend.gated(gate, up, config.activation);
  Value y = linear(backend, hidden, weights.down);
  if (weights.ff_post_norm != WeightId::kNone) {
    y = backend.rms_norm(y, weights.ff_post_norm, config.norm_epsilon);
  }
  backend.add(x, y);
  return {n, hidden};
}

}  // namespace

BlockValues run_attention_block(Backend& backend, const Model& model, int32_t index, Value x) {
  const Attended attended = attend(backend, model, index, x, false);
  add_attention(backend, model, model.layers[static_cast<size_t>(index)], x, attended.values);
  return {attended.n, attended.values};
}

BlockValues run_feed_forward_block(Backend& backend, const Model& model, int32_t index, Value x) {
  return add_feed_forward(backend, model, model.layers[static_cast<size_t>(index)], x);
}

Value forward(Backend& backend, const Model& model, std::span<const int32_t> logit_rows,
              Value* hidden) {
  const ModelConfig& config = model.config;
  const auto n_layers = static_cast<int32_t>(config.layers.size());
  Value x = backend.embed(model.embedding);
  if (config.embedding_scale != 1.0f) backend.scale(x, config.embedding_scale);

  // The last layer that has an attention block is the last that needs every row; past its cache
  // only the rows whose logits are wanted are computed.
  int32_t last_attention = -1;
  for (int32_t i = 0; i < n_layers; ++i) {
    if (config.layers[static_cast<size_t>(i)].n_heads > 0) last_attention = i;
  }
  const auto narrow = [&](Value value) {
    return static_cast<size_t>(value.n_rows) == logit_rows.size()
               ? value
               : backend.select_rows(value, logit_rows);
  };
  if (last_attention < 0) {
    if (logit_rows.empty()) return {};
    x = narrow(x);
  }
  for (int32_t i = 0; i < n_layers; ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    const LayerWeights& weights = model.layers[static_cast<size_t>(i)];
    if (layer.n_heads > 0) {
      const bool narrows = i == last_attention;
      // The narrowed x has to outlive the scope, so the layer that makes it has none.
      if (!narrows) backend.begin_scope();
      Value attended = attend(backend, model, i, x, narrows && logit_rows.empty()).values;
      if (narrows) {
        if (logit_rows.empty()) return {};
        attended = narrow(attended);
        x = narrow(x);
      }
      add_attention(backend, model, weights, x, attended);
      if (!narrows) backend.end_scope();
    }
    if (layer.d_ff > 0) {
      backend.begin_scope();
      add_feed_forward(backend, model, weights, x);
      backend.end_scope();
    }
  }
  if (hidden != nullptr) *hidden = x;
  const Value n = backend.rms_norm(x, model.output_norm, config.norm_epsilon);
  const Value logits = linear(backend, n, model.output);
  if (config.logit_softcap > 0) backend.softcap(logits, config.logit_softcap);
  return logits;
}

}  // namespace ac
