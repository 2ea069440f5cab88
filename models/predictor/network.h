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
#include <cstddef>
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
inline constexpr int kPaddedTokens = 16;
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
    Real attn_rms[kPredictorTokens];                        // 1 / root mean square
    Real weights[kHeads][kPredictorTokens][kPaddedTokens];  // softmax
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

// Four floats or two doubles that the compiler keeps in one register. Written out because g++ 12
// leaves plain loops over small arrays in memory: the whole network takes three times as long.
template <class Real>
struct Lanes {
  typedef Real Vec __attribute__((vector_size(16)));
  static constexpr int kCount = 16 / static_cast<int>(sizeof(Real));
  static Vec load(const Real* from) {
    Vec value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
  }
  static void store(Real* to, Vec value) { __builtin_memcpy(to, &value, sizeof value); }
  static Vec max(Vec a, Vec b) { return a > b ? a : b; }
};

// y[t][o] = sum_i x[t][i] * w[i][o] + (bias ? bias[o] : 0) for t < n_tokens, summed in order of i.
template <int kIn, int kOut, class Real>
inline void apply(const Real (*x)[size_t{kIn}], int n_tokens, const Real* w, const Real* bias,
                  Real (*y)[size_t{kOut}]) {
  using L = Lanes<Real>;
  constexpr int kVecs = 4;
  constexpr int kBlock = kVecs * L::kCount;
  static_assert(kOut % kBlock == 0);
  for (int from = 0; from < kOut; from += kBlock) {
    typename L::Vec start[size_t{kVecs}] = {};
    for (int j = 0; bias != nullptr && j < kVecs; ++j)
      start[j] = L::load(bias + from + j * L::kCount);
    // Two tokens at a time: eight sums in flight hide the latency of an addition.
    for (int t = 0; t < n_tokens; t += 2) {
      const int u = t + 1 < n_tokens ? t + 1 : t;
      typename L::Vec a[size_t{kVecs}] = {start[0], start[1], start[2], start[3]};
      typename L::Vec b[size_t{kVecs}] = {start[0], start[1], start[2], start[3]};
      for (int i = 0; i < kIn; ++i) {
        const Real* row = w + i * kOut + from;
        for (int j = 0; j < kVecs; ++j) {
          const typename L::Vec weight = L::load(row + j * L::kCount);
          a[j] += x[t][i] * weight;
          b[j] += x[u][i] * weight;
        }
      }
      for (int j = 0; j < kVecs; ++j) {
        L::store(y[t] + from + j * L::kCount, a[j]);
        L::store(y[u] + from + j * L::kCount, b[j]);
      }
    }
  }
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

// e^x of each lane for x <= 0. In float a polynomial (Cephes' expf), within two units in the last
// place and 1.6e-38 below -87: calling std::exp for each of the 900 weights would cost more than
// all matrices.
inline Lanes<double>::Vec exp_below_zero(Lanes<double>::Vec x) {
  for (int i = 0; i < Lanes<double>::kCount; ++i) x[i] = std::exp(x[i]);
  return x;
}
inline Lanes<float>::Vec exp_below_zero(Lanes<float>::Vec x) {
  typedef int32_t IntVec __attribute__((vector_size(16)));
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  x = Lanes<float>::max(x, Lanes<float>::Vec{} - 87.0f);
  const Lanes<float>::Vec n = (x * 1.44269504f + kRound) - kRound;
  const Lanes<float>::Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes<float>::Vec p = 1.98756915e-4f * r + 1.39819995e-3f;
  p = p * r + 8.33345190e-3f;
  p = p * r + 4.16657961e-2f;
  p = p * r + 1.66666655e-1f;
  p = p * r + 5.00000012e-1f;
  p = p * r * r + r + 1.0f;
  const IntVec power = (__builtin_convertvector(n, IntVec) + 127) << 23;
  Lanes<float>::Vec scale;
  __builtin_memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

// Softmax of scores[0 .. n_tokens) in place; the places up to kPaddedTokens become nothing.
template <class Real>
inline void softmax(Real* scores, int n_tokens) {
  using L = Lanes<Real>;
  for (int s = n_tokens; s < kPaddedTokens; ++s) scores[s] = -HUGE_VALF;
  typename L::Vec top = L::load(scores);
  for (int s = L::kCount; s < kPaddedTokens; s += L::kCount) top = L::max(top, L::load(scores + s));
  Real largest = top[0];
  for (int i = 1; i < L::kCount; ++i) largest = top[i] > largest ? top[i] : largest;
  typename L::Vec sums = {};
  for (int s = 0; s < kPaddedTokens; s += L::kCount) {
    const typename L::Vec weight = exp_below_zero(L::load(scores + s) - largest);
    L::store(scores + s, weight);
    sums += weight;
  }
  Real sum = sums[0];
  for (int i = 1; i < L::kCount; ++i) sum += sums[i];
  const Real share = Real(1) / sum;
  for (int s = 0; s < kPaddedTokens; s += L::kCount)
    L::store(scores + s, L::load(scores + s) * share);
}

template <class Real>
inline void attend(typename Tape<Real>::Layer& layer, int n_tokens) {
  using L = Lanes<Real>;
  constexpr int kScoreVecs = kPaddedTokens / L::kCount;
  constexpr int kMixedVecs = kDHead / L::kCount;
  const Real scale = Real(1) / std::sqrt(Real(kDHead));
  // Keys with tokens innermost, padded with zeros, so that loops over tokens have a fixed length.
  Real keys[kDModel][kPaddedTokens] = {};
  for (int s = 0; s < n_tokens; ++s) {
    for (int d = 0; d < kDModel; ++d) keys[d][s] = layer.k[s][d] * scale;
  }
  for (int h = 0; h < kHeads; ++h) {
    const int from = h * kDHead;
    for (int t = 0; t < n_tokens; ++t) {
      Real* weights = layer.weights[h][t];
      typename L::Vec scores[size_t{kScoreVecs}] = {};
      for (int d = 0; d < kDHead; ++d) {
        for (int j = 0; j < kScoreVecs; ++j) {
          scores[j] += layer.q[t][from + d] * L::load(keys[from + d] + j * L::kCount);
        }
      }
      for (int j = 0; j < kScoreVecs; ++j) L::store(weights + j * L::kCount, scores[j]);
      softmax(weights, n_tokens);
      typename L::Vec mixed[size_t{kMixedVecs}] = {};
      for (int s = 0; s < n_tokens; ++s) {
        for (int j = 0; j < kMixedVecs; ++j) {
          mixed[j] += weights[s] * L::load(layer.v[s] + from + j * L::kCount);
        }
      }
      for (int j = 0; j < kMixedVecs; ++j) {
        L::store(layer.mixed[t] + from + j * L::kCount, mixed[j]);
      }
    }
  }
}

// y = relu(x)^2
template <class Real>
inline void squared_relu(const Real* x, Real* y) {
  using L = Lanes<Real>;
  for (int f = 0; f < kDFf; f += L::kCount) {
    const typename L::Vec positive = L::max(L::load(x + f), typename L::Vec{});
    L::store(y + f, positive * positive);
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
      layer.attn_rms[t] = rms_norm(layer.input[t], parameters + w.attn_norm, layer.attn_normed[t]);
    }
    const Real* no_bias = nullptr;
    apply<kDModel, kDModel>(layer.attn_normed, n, parameters + w.w_q, no_bias, layer.q);
    apply<kDModel, kDModel>(layer.attn_normed, n, parameters + w.w_k, no_bias, layer.k);
    apply<kDModel, kDModel>(layer.attn_normed, n, parameters + w.w_v, no_bias, layer.v);
    attend<Real>(layer, n);
    apply<kDModel, kDModel>(layer.mixed, n, parameters + w.w_o, parameters + w.b_o, layer.middle);
    for (int t = 0; t < n; ++t) {
      for (int d = 0; d < kDModel; ++d) layer.middle[t][d] += layer.input[t][d];
      layer.ffn_rms[t] = rms_norm(layer.middle[t], parameters + w.ffn_norm, layer.ffn_normed[t]);
    }
    apply<kDModel, kDFf>(layer.ffn_normed, n, parameters + w.w_up, parameters + w.b_up, layer.up);
    for (int t = 0; t < n; ++t) squared_relu(layer.up[t], layer.hidden[t]);
    apply<kDFf, kDModel>(layer.hidden, n, parameters + w.w_down, parameters + w.b_down, output);
    for (int t = 0; t < n; ++t) {
      for (int d = 0; d < kDModel; ++d) output[t][d] += layer.middle[t][d];
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
