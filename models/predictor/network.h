// The predictor's equations and the layout of its parameters, shared by inference (float) and by
// the trainer (float, and double when gradients are checked). Not an interface: models/predictor
// and models/train only.
//
//   x_t   = E[row_a(t)] + E[row_b(t)] + P[t]                                  t < n_tokens
//   twice:  x = x + b_o + W_o attend(W_q n, W_k n, W_v n),   n = rms_norm(x) * g
//           x = x + b_down + W_down relu(b_up + W_up n)^2,   n = rms_norm(x) * g'
//   logit = W_head (rms_norm(mean_t x_t) * g'') + b_head                      [n_tiers]
//
// Every piece looks at every other (no mask). Squared ReLU needs no exponential and its slope has
// no jump, so that finite differences check it everywhere. Biases of q, k and v are left out: that
// of k cannot matter under a softmax, the others did not.
//
// Matrices lie as [n_in, n_out], the transpose of the house's order: the inner loops then run over
// outputs, which compilers vectorise without reordering a sum.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "models/predictor/predictor.h"

namespace ac::predictor {

inline constexpr int kRows = 256;  // of the embedding table
inline constexpr int kDModel = 16;
inline constexpr int kHeads = 2;
inline constexpr int kDHead = kDModel / kHeads;
inline constexpr int kDFf = 64;
inline constexpr int kLayers = 2;
inline constexpr float kNormEpsilon = 1e-5f;
// A parameter beyond this is refused when a file is read: below it no prompt can make the network
// overflow into a NaN.
inline constexpr float kMaxParameter = 1000.0f;

// Offsets into the flat parameter vector.
struct LayerOffsets {
  int attn_norm, w_q, w_k, w_v, w_o, b_o, ffn_norm, w_up, b_up, w_down, b_down;
};
struct Offsets {
  int embedding, position;
  LayerOffsets layers[kLayers];
  int out_norm, w_head, b_head, total;
};

constexpr Offsets offsets_for(int n_tiers) {
  Offsets at{};
  int next = 0;
  const auto take = [&next](int size) {
    const int offset = next;
    next += size;
    return offset;
  };
  at.embedding = take(kRows * kDModel);
  at.position = take(kPredictorTokens * kDModel);
  for (LayerOffsets& layer : at.layers) {
    layer.attn_norm = take(kDModel);
    layer.w_q = take(kDModel * kDModel);
    layer.w_k = take(kDModel * kDModel);
    layer.w_v = take(kDModel * kDModel);
    layer.w_o = take(kDModel * kDModel);
    layer.b_o = take(kDModel);
    layer.ffn_norm = take(kDModel);
    layer.w_up = take(kDModel * kDFf);
    layer.b_up = take(kDFf);
    layer.w_down = take(kDFf * kDModel);
    layer.b_down = take(kDModel);
  }
  at.out_norm = take(kDModel);
  at.w_head = take(kDModel * n_tiers);
  at.b_head = take(n_tiers);
  at.total = next;
  return at;
}
static_assert(offsets_for(2).total == 10786 && offsets_for(4).total == 10820,
              "about ten thousand parameters");

// One named block of the vector; the names and shapes of the tensors in the file.
struct ParameterBlock {
  std::string name;
  int offset = 0;
  int n_rows = 0;  // 1 for a vector
  int n_cols = 0;
  enum class Kind { kTable, kMatrix, kGain, kBias } kind = Kind::kMatrix;
  int size() const { return n_rows * n_cols; }
};
std::vector<ParameterBlock> parameter_blocks(int n_tiers);

// Everything a forward pass computes, kept for the backward pass; about 35 kB of floats, on the
// stack.
template <class Real>
struct Tape {
  using Stream = Real[kPredictorTokens][kDModel];
  struct Layer {
    Stream input, attn_normed, q, k, v, mixed;
    Real attn_rms[kPredictorTokens];                               // 1 / root mean square
    Real weights[kHeads][kPredictorTokens][kPredictorTokens + 1];  // softmax; padded to 16
    Stream middle, ffn_normed;
    Real ffn_rms[kPredictorTokens];
    Real up[kPredictorTokens][kDFf];      // before the activation
    Real hidden[kPredictorTokens][kDFf];  // after it
  };
  int n_tokens;
  Layer layers[kLayers];
  Stream output;
  Real mean[kDModel], normed[kDModel], out_rms;
  Real logits[kPredictorMaxTiers];
};

// y[o] = sum_i x[i] * w[i][o] + (bias ? bias[o] : 0)
template <int kIn, int kOut, class Real>
inline void apply(const Real* __restrict x, const Real* __restrict w, const Real* bias,
                  Real* __restrict y) {
  Real sum[size_t{kOut}];
  for (int o = 0; o < kOut; ++o) sum[o] = bias == nullptr ? Real(0) : bias[o];
  for (int i = 0; i < kIn; ++i) {
    for (int o = 0; o < kOut; ++o) sum[o] += x[i] * w[i * kOut + o];
  }
  for (int o = 0; o < kOut; ++o) y[o] = sum[o];
}

// y = x / rms(x) * gain; returns 1 / rms(x).
template <class Real>
inline Real rms_norm(const Real* __restrict x, const Real* __restrict gain, Real* __restrict y) {
  Real square = 0;
  for (int d = 0; d < kDModel; ++d) square += x[d] * x[d];
  const Real scale = Real(1) / std::sqrt(square / Real(kDModel) + Real(kNormEpsilon));
  for (int d = 0; d < kDModel; ++d) y[d] = x[d] * scale * gain[d];
  return scale;
}

template <class Real>
inline void attend(typename Tape<Real>::Layer& layer, int n_tokens) {
  const Real scale = Real(1) / std::sqrt(Real(kDHead));
  for (int h = 0; h < kHeads; ++h) {
    const int from = h * kDHead;
    for (int t = 0; t < n_tokens; ++t) {
      Real* weights = layer.weights[h][t];
      Real top = -HUGE_VALF;
      for (int s = 0; s < n_tokens; ++s) {
        Real dot = 0;
        for (int d = 0; d < kDHead; ++d) dot += layer.q[t][from + d] * layer.k[s][from + d];
        weights[s] = dot * scale;
        top = weights[s] > top ? weights[s] : top;
      }
      Real sum = 0;
      for (int s = 0; s < n_tokens; ++s) {
        weights[s] = std::exp(weights[s] - top);
        sum += weights[s];
      }
      Real mixed[kDHead] = {};
      for (int s = 0; s < n_tokens; ++s) {
        weights[s] /= sum;
        for (int d = 0; d < kDHead; ++d) mixed[d] += weights[s] * layer.v[s][from + d];
      }
      for (int d = 0; d < kDHead; ++d) layer.mixed[t][from + d] = mixed[d];
    }
  }
}

// Fills `tape`. `parameters` holds offsets_for(n_tiers).total values. A prompt without any piece is
// read as one piece of bucket 0.
template <class Real>
void forward(const Real* parameters, int n_tiers, const PromptFeatures& features,
             Tape<Real>& tape) {
  const Offsets at = offsets_for(n_tiers);
  const int n = features.n_tokens > 0 ? features.n_tokens : 1;
  tape.n_tokens = n;
  const Real* table = parameters + at.embedding;
  const Real* position = parameters + at.position;
  for (int t = 0; t < n; ++t) {
    const uint16_t bucket = features.buckets[static_cast<size_t>(t)];
    const Real* row_a = table + (bucket & 255) * kDModel;
    const Real* row_b = table + (bucket >> 8) * kDModel;
    for (int d = 0; d < kDModel; ++d) {
      tape.layers[0].input[t][d] = row_a[d] + row_b[d] + position[t * kDModel + d];
    }
  }
  for (int l = 0; l < kLayers; ++l) {
    auto& layer = tape.layers[l];
    const LayerOffsets& w = at.layers[l];
    auto& output = l + 1 < kLayers ? tape.layers[l + 1].input : tape.output;
    for (int t = 0; t < n; ++t) {
      Real* normed = layer.attn_normed[t];
      layer.attn_rms[t] = rms_norm(layer.input[t], parameters + w.attn_norm, normed);
      apply<kDModel, kDModel, Real>(normed, parameters + w.w_q, nullptr, layer.q[t]);
      apply<kDModel, kDModel, Real>(normed, parameters + w.w_k, nullptr, layer.k[t]);
      apply<kDModel, kDModel, Real>(normed, parameters + w.w_v, nullptr, layer.v[t]);
    }
    attend<Real>(layer, n);
    for (int t = 0; t < n; ++t) {
      Real* middle = layer.middle[t];
      apply<kDModel, kDModel>(layer.mixed[t], parameters + w.w_o, parameters + w.b_o, middle);
      for (int d = 0; d < kDModel; ++d) middle[d] += layer.input[t][d];
      layer.ffn_rms[t] = rms_norm(middle, parameters + w.ffn_norm, layer.ffn_normed[t]);
      apply<kDModel, kDFf>(layer.ffn_normed[t], parameters + w.w_up, parameters + w.b_up,
                           layer.up[t]);
      for (int f = 0; f < kDFf; ++f) {
        const Real positive = layer.up[t][f] > Real(0) ? layer.up[t][f] : Real(0);
        layer.hidden[t][f] = positive * positive;
      }
      apply<kDFf, kDModel>(layer.hidden[t], parameters + w.w_down, parameters + w.b_down,
                           output[t]);
      for (int d = 0; d < kDModel; ++d) output[t][d] += middle[d];
    }
  }
  for (int d = 0; d < kDModel; ++d) {
    Real sum = 0;
    for (int t = 0; t < n; ++t) sum += tape.output[t][d];
    tape.mean[d] = sum / Real(n);
  }
  tape.out_rms = rms_norm(tape.mean, parameters + at.out_norm, tape.normed);
  for (int i = 0; i < n_tiers; ++i) {
    Real sum = parameters[at.b_head + i];
    for (int d = 0; d < kDModel; ++d)
      sum += tape.normed[d] * parameters[at.w_head + d * n_tiers + i];
    tape.logits[i] = sum;
  }
}

template <class Real>
inline Real sigmoid(Real x) {
  return Real(1) / (Real(1) + std::exp(-x));
}

}  // namespace ac::predictor
