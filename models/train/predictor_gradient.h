// The backward pass of the predictor's network (models/predictor/network.h), written by hand and
// checked against finite differences in tests/train. Not an interface: models/train only.
#pragma once

#include "models/predictor/network.h"

namespace ac::predictor {

// y = W x (+ bias): adds to d_w, d_bias (where there is one) and d_x.
template <int kIn, int kOut, class Real>
inline void apply_backward(const Real* __restrict x, const Real* __restrict w,
                           const Real* __restrict d_y, Real* __restrict d_w, Real* d_bias,
                           Real* __restrict d_x) {
  // Four sums instead of one, so that they fit a vector register without reordering a single sum.
  constexpr int kLanes = 4;
  static_assert(kOut % kLanes == 0);
  for (int i = 0; i < kIn; ++i) {
    for (int o = 0; o < kOut; ++o) d_w[i * kOut + o] += x[i] * d_y[o];
    Real sum[size_t{kLanes}] = {};
    for (int o = 0; o < kOut; o += kLanes) {
      for (int j = 0; j < kLanes; ++j) sum[j] += w[i * kOut + o + j] * d_y[o + j];
    }
    d_x[i] += (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
  if (d_bias == nullptr) return;
  for (int o = 0; o < kOut; ++o) d_bias[o] += d_y[o];
}

// y = x * r * gain with r = 1 / rms(x): adds to d_gain and d_x.
template <class Real>
inline void rms_norm_backward(const Real* __restrict x, const Real* __restrict gain, Real r,
                              const Real* __restrict d_y, Real* __restrict d_gain,
                              Real* __restrict d_x) {
  // d r / d x_i = -r^3 x_i / d_model
  Real dot = 0;
  for (int d = 0; d < kDModel; ++d) {
    dot += d_y[d] * gain[d] * x[d];
    d_gain[d] += d_y[d] * x[d] * r;
  }
  const Real shared = dot * r * r * r / Real(kDModel);
  for (int d = 0; d < kDModel; ++d) d_x[d] += d_y[d] * gain[d] * r - shared * x[d];
}

// Adds to d_q, d_k, d_v, given d_mixed.
template <class Real>
inline void attend_backward(const typename Tape<Real>::Layer& layer, int n_tokens,
                            const typename Tape<Real>::Stream& d_mixed,
                            typename Tape<Real>::Stream& d_q, typename Tape<Real>::Stream& d_k,
                            typename Tape<Real>::Stream& d_v) {
  const Real scale = Real(1) / std::sqrt(Real(kDHead));
  for (int h = 0; h < kHeads; ++h) {
    const int from = h * kDHead;
    for (int t = 0; t < n_tokens; ++t) {
      const Real* weights = layer.weights[h][t];
      Real d_weights[kPredictorTokens];
      Real mean =
          0;  // sum_s weights[s] * d_weights[s]: what the softmax's normalisation takes back
      for (int s = 0; s < n_tokens; ++s) {
        Real dot = 0;
        for (int d = 0; d < kDHead; ++d) {
          dot += d_mixed[t][from + d] * layer.v[s][from + d];
          d_v[s][from + d] += weights[s] * d_mixed[t][from + d];
        }
        d_weights[s] = dot;
        mean += weights[s] * dot;
      }
      for (int s = 0; s < n_tokens; ++s) {
        const Real d_score = weights[s] * (d_weights[s] - mean) * scale;
        for (int d = 0; d < kDHead; ++d) {
          d_q[t][from + d] += d_score * layer.k[s][from + d];
          d_k[s][from + d] += d_score * layer.q[t][from + d];
        }
      }
    }
  }
}

// Adds the gradient of a loss to `gradient`, given d loss / d logits [n_tiers] and the tape of
// forward() on the same parameters and features.
template <class Real>
void backward(const Real* parameters, int n_tiers, const PromptFeatures& features,
              const Tape<Real>& tape, const Real* d_logits, Real* gradient) {
  const Offsets at = offsets_for(n_tiers);
  const int n = tape.n_tokens;

  Real d_normed[kDModel] = {};
  for (int i = 0; i < n_tiers; ++i) {
    gradient[at.b_head + i] += d_logits[i];
    for (int d = 0; d < kDModel; ++d) {
      gradient[at.w_head + d * n_tiers + i] += tape.normed[d] * d_logits[i];
      d_normed[d] += parameters[at.w_head + d * n_tiers + i] * d_logits[i];
    }
  }
  Real d_mean[kDModel] = {};
  rms_norm_backward(tape.mean, parameters + at.out_norm, tape.out_rms, d_normed,
                    gradient + at.out_norm, d_mean);

  typename Tape<Real>::Stream d_stream = {};  // of the residual stream, walking down
  for (int t = 0; t < n; ++t) {
    for (int d = 0; d < kDModel; ++d) d_stream[t][d] = d_mean[d] / Real(n);
  }
  for (int l = kLayers; l-- > 0;) {
    const auto& layer = tape.layers[l];
    const LayerOffsets& w = at.layers[l];
    typename Tape<Real>::Stream d_mixed = {}, d_q = {}, d_k = {}, d_v = {};
    for (int t = 0; t < n; ++t) {
      Real d_hidden[kDFf] = {};
      apply_backward<kDFf, kDModel>(layer.hidden[t], parameters + w.w_down, d_stream[t],
                                    gradient + w.w_down, gradient + w.b_down, d_hidden);
      for (int f = 0; f < kDFf; ++f) {
        const Real positive = layer.up[t][f] > Real(0) ? layer.up[t][f] : Real(0);
        d_hidden[f] *= Real(2) * positive;
      }
      Real d_ffn_normed[kDModel] = {};
      apply_backward<kDModel, kDFf>(layer.ffn_normed[t], parameters + w.w_up, d_hidden,
                                    gradient + w.w_up, gradient + w.b_up, d_ffn_normed);
      rms_norm_backward(layer.middle[t], parameters + w.ffn_norm, layer.ffn_rms[t], d_ffn_normed,
                        gradient + w.ffn_norm, d_stream[t]);
      apply_backward<kDModel, kDModel>(layer.mixed[t], parameters + w.w_o, d_stream[t],
                                       gradient + w.w_o, gradient + w.b_o, d_mixed[t]);
    }
    attend_backward<Real>(layer, n, d_mixed, d_q, d_k, d_v);
    for (int t = 0; t < n; ++t) {
      const Real* normed = layer.attn_normed[t];
      Real d_attn_normed[kDModel] = {};
      Real* const no_bias = nullptr;
      apply_backward<kDModel, kDModel>(normed, parameters + w.w_q, d_q[t], gradient + w.w_q,
                                       no_bias, d_attn_normed);
      apply_backward<kDModel, kDModel>(normed, parameters + w.w_k, d_k[t], gradient + w.w_k,
                                       no_bias, d_attn_normed);
      apply_backward<kDModel, kDModel>(normed, parameters + w.w_v, d_v[t], gradient + w.w_v,
                                       no_bias, d_attn_normed);
      rms_norm_backward(layer.input[t], parameters + w.attn_norm, layer.attn_rms[t], d_attn_normed,
                        gradient + w.attn_norm, d_stream[t]);
    }
  }
  for (int t = 0; t < n; ++t) {
    const uint16_t bucket = features.buckets[static_cast<size_t>(t)];
    Real* row_a = gradient + at.embedding + (bucket & 255) * kDModel;
    Real* row_b = gradient + at.embedding + (bucket >> 8) * kDModel;
    Real* position = gradient + at.position + t * kDModel;
    for (int d = 0; d < kDModel; ++d) {
      row_a[d] += d_stream[t][d];
      row_b[d] += d_stream[t][d];
      position[d] += d_stream[t][d];
    }
  }
}

}  // namespace ac::predictor
