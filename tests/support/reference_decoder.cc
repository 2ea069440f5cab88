#include "tests/support/reference_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <string>
#include <utility>

#include "tests/support/plain_weights.h"

namespace ac::test {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

class Reference {
 public:
  Reference(const Checkpoint& file, int32_t n_context) : file_(file) {
    family_ = *file.get_string("general.architecture");
    d_model_ = integer("embedding_length", 0);
    n_layers_ = integer("block_count", 0);
    const size_t heads = per_layer("attention.head_count", 0, 0);
    d_head_ = integer("attention.key_length", heads == 0 ? 0 : d_model_ / heads);
    d_rot_ = integer("rope.dimension_count", d_head_);
    epsilon_ = number("attention.layer_norm_rms_epsilon", 0);
    gemma_ = family_ == "gemma2" || family_ == "gemma3";
    trained_ = static_cast<double>(integer("context_length", 0));
    run_context_ = n_context > 0 ? n_context : trained_;
  }

  std::vector<double> run(std::span<const int32_t> tokens) {
    const Rows embedding = matrix("token_embd.weight");
    Rows x;
    for (int32_t token : tokens) {
      Row row = embedding[static_cast<size_t>(token)];
      if (gemma_) {
        for (double& value : row) value *= std::sqrt(static_cast<double>(d_model_));
      }
      x.push_back(std::move(row));
    }
    for (size_t layer = 0; layer < n_layers_; ++layer) {
      if (per_layer("attention.head_count", layer, 0) > 0) attention(layer, x);
      if (per_layer("feed_forward_length", layer, 0) > 0) feed_forward(layer, x);
    }
    std::vector<double> logits;
    const double cap = number("final_logit_softcapping", family_ == "gemma2" ? 30 : 0);
    for (const Row& row : x) {
      const Row n = norm(row, "output_norm.weight");
      Row y = has("output.weight") || has("output.lowrank_out.weight") ? apply("output", n)
                                                                       : product(embedding, n);
      for (double value : y) logits.push_back(cap > 0 ? cap * std::tanh(value / cap) : value);
    }
    return logits;
  }

 private:
  // --- reading
  std::string key(std::string_view rest) const { return fmt::format("{}.{}", family_, rest); }
  size_t integer(std::string_view rest, size_t missing) const {
    return static_cast<size_t>(*file_.get_uint_or(key(rest), 0, 1u << 30, missing));
  }
  double number(std::string_view rest, double missing) const {
    return *file_.get_number_or(key(rest), missing);
  }
  size_t per_layer(std::string_view rest, size_t layer, size_t missing) const {
    if (auto list = file_.get_integers(key(rest))) return static_cast<size_t>((*list)[layer]);
    return integer(rest, missing);
  }
  bool has(const std::string& name) const { return file_.tensors.count(name) > 0; }
  Row vector(const std::string& name) const { return plain_weights(*file_.tensor(name)); }
  const Rows& matrix(const std::string& name) {
    auto [it, is_new] = matrices_.try_emplace(name);
    if (!is_new) return it->second;
    const TensorView view = *file_.tensor(name);
    const std::vector<double> all = plain_weights(view);
    const auto n_in = static_cast<size_t>(view.n_cols());
    for (size_t begin = 0; begin < all.size(); begin += n_in) {
      it->second.emplace_back(all.begin() + static_cast<ptrdiff_t>(begin),
                              all.begin() + static_cast<ptrdiff_t>(begin + n_in));
    }
    return it->second;
  }

  // --- pieces
  static double dot(const double* a, const double* b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  }
  static Row product(const Rows& w, const Row& x) {
    Row y;
    for (const Row& row : w) y.push_back(dot(row.data(), x.data(), x.size()));
    return y;
  }
  Row apply(const std::string& name, const Row& x) {
    Row y = has(name + ".weight") ? product(matrix(name + ".weight"), x)
                                  : product(matrix(name + ".lowrank_out.weight"),
                                            product(matrix(name + ".lowrank_in.weight"), x));
    if (has(name + ".bias")) {
      const Row bias = vector(name + ".bias");
      for (size_t i = 0; i < y.size(); ++i) y[i] += bias[i];
    }
    return y;
  }
  Row norm_with(const double* x, const Row& weight) const {
    const size_t n = weight.size();
    const double scale = 1 / std::sqrt(dot(x, x, n) / static_cast<double>(n) + epsilon_);
    Row y(n);
    for (size_t i = 0; i < n; ++i) y[i] = x[i] * scale * weight[i];
    return y;
  }
  Row norm(const Row& x, const std::string& name) const {
    return norm_with(x.data(), vector(name));
  }

  bool is_windowed(size_t layer) const {
    if (window() == 0) return false;
    if (family_ == "gemma2") return layer % 2 == 0;
    if (family_ == "gemma3") return layer % 6 != 5;
    return true;
  }
  size_t window() const {
    return integer("attention.sliding_window", family_ == "gemma2" ? 4096 : 0);
  }

  double attention_scale() const {
    double width = static_cast<double>(d_head_);
    const bool largest =
        (family_ == "gemma2" && n_layers_ == 46) || (family_ == "gemma3" && n_layers_ == 62);
    if (largest) {
      width = static_cast<double>(d_model_ / per_layer("attention.head_count", 0, 0));
    }
    return number("attention.scale", 1 / std::sqrt(width));
  }

  // The angle by which pair i turns from one position to the next, and the length it gets.
  std::pair<Row, double> turns(size_t layer) const {
    const size_t pairs = d_rot_ / 2;
    const double base = family_ == "gemma3" && is_windowed(layer)
                            ? number("rope.freq_base_swa", 10000)
                            : number("rope.freq_base", 10000);
    Row w(pairs);
    for (size_t i = 0; i < pairs; ++i) {
      w[i] = 1 / std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(d_rot_));
    }
    if (family_ == "gemma3" && is_windowed(layer)) return {w, 1};

    const double factor = number("rope.scaling.factor", 1);
    const double original = number("rope.scaling.original_context_length", trained_);
    const double tau = 2 * std::numbers::pi;
    std::string type;
    if (auto stated = file_.get_string(key("rope.scaling.type"))) type = *stated;
    if (has("rope_factors_long.weight")) {
      const Row by = vector(run_context_ > original ? "rope_factors_long.weight"
                                                    : "rope_factors_short.weight");
      for (size_t i = 0; i < pairs; ++i) w[i] /= by[i];
      const double own = std::sqrt(1 + std::log(trained_ / original) / std::log(original));
      return {w, number("rope.scaling.attn_factor", own)};
    }
    double length = 1;
    if (type == "linear") {
      for (double& value : w) value /= factor;
    } else if (type == "yarn") {
      const double d = static_cast<double>(d_rot_);
      const auto pair_of = [&](double rotations) {
        return d / 2 * std::log(original / (rotations * tau)) / std::log(base);
      };
      const double low = std::max(std::floor(pair_of(32)), 0.0);
      const double high = std::min(std::ceil(pair_of(1)), d - 1);
      for (size_t i = 0; i < pairs; ++i) {
        double t = (static_cast<double>(i) - low) / std::max(high - low, 0.001);
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        w[i] = w[i] / factor * t + w[i] * (1 - t);
      }
      length = 0.1 * std::log(factor) + 1;
    } else if (type == "llama3") {
      const double low = number("rope.scaling.low_freq_factor", 1);
      const double high = number("rope.scaling.high_freq_factor", 4);
      for (double& value : w) {
        const double wavelength = tau / value;
        if (wavelength > original / low) {
          value /= factor;
        } else if (wavelength > original / high) {
          const double smooth = (original / wavelength - low) / (high - low);
          value = (1 - smooth) * value / factor + smooth * value;
        }
      }
    }
    if (has("rope_freqs.weight")) {
      const Row by = vector("rope_freqs.weight");
      for (size_t i = 0; i < pairs; ++i) w[i] /= by[i];
    }
    return {w, length};
  }

  void rotate(double* head, size_t position, const Row& w, double length) const {
    const size_t pairs = w.size();
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * w[i];
      const size_t a = family_ == "llama" ? 2 * i : i;
      const size_t b = family_ == "llama" ? 2 * i + 1 : i + pairs;
      const double first = head[a];
      const double second = head[b];
      head[a] = length * (first * std::cos(angle) - second * std::sin(angle));
      head[b] = length * (first * std::sin(angle) + second * std::cos(angle));
    }
  }

  // --- blocks
  void attention(size_t layer, Rows& x) {
    const std::string blk = fmt::format("blk.{}.", layer);
    const size_t n_heads = per_layer("attention.head_count", layer, 0);
    const size_t n_kv = per_layer("attention.head_count_kv", layer, n_heads);
    const size_t q_size = n_heads * d_head_;
    const size_t kv_size = n_kv * d_head_;
    const auto [w, length] = turns(layer);
    Rows q;
    Rows k;
    Rows v;
    for (size_t t = 0; t < x.size(); ++t) {
      const Row n = norm(x[t], blk + "attn_norm.weight");
      if (family_ == "phi3") {
        const Row all = apply(blk + "attn_qkv", n);
        const auto at = [&](size_t i) { return all.begin() + static_cast<ptrdiff_t>(i); };
        q.emplace_back(at(0), at(q_size));
        k.emplace_back(at(q_size), at(q_size + kv_size));
        v.emplace_back(at(q_size + kv_size), all.end());
      } else {
        q.push_back(apply(blk + "attn_q", n));
        k.push_back(apply(blk + "attn_k", n));
        v.push_back(apply(blk + "attn_v", n));
      }
      each_head(q[t], n_heads, blk + "attn_q_norm.weight", t, w, length);
      each_head(k[t], n_kv, blk + "attn_k_norm.weight", t, w, length);
    }
    const double cap = number("attn_logit_softcapping", family_ == "gemma2" ? 50 : 0);
    for (size_t t = 0; t < x.size(); ++t) {
      Row mixed(q_size, 0.0);
      const size_t first = is_windowed(layer) && t + 1 > window() ? t + 1 - window() : 0;
      for (size_t h = 0; h < n_heads; ++h) {
        const size_t kv = h * n_kv / n_heads * d_head_;
        Row weight;
        for (size_t s = first; s <= t; ++s) {
          double score = attention_scale() * dot(&q[t][h * d_head_], &k[s][kv], d_head_);
          if (cap > 0) score = cap * std::tanh(score / cap);
          weight.push_back(score);
        }
        const double top = *std::max_element(weight.begin(), weight.end());
        double sum = 0;
        for (double& value : weight) sum += value = std::exp(value - top);
        for (size_t s = first; s <= t; ++s) {
          for (size_t i = 0; i < d_head_; ++i) {
            mixed[h * d_head_ + i] += weight[s - first] / sum * v[s][kv + i];
          }
        }
      }
      Row y = apply(blk + "attn_output", mixed);
      if (gemma_) y = norm(y, blk + "post_attention_norm.weight");
      for (size_t i = 0; i < d_model_; ++i) x[t][i] += y[i];
    }
  }

  void each_head(Row& row, size_t n_heads, const std::string& norm_name, size_t position,
                 const Row& w, double length) const {
    for (size_t h = 0; h < n_heads; ++h) {
      double* head = &row[h * d_head_];
      if (has(norm_name)) {
        const Row normed = norm_with(head, vector(norm_name));
        std::copy(normed.begin(), normed.end(), head);
      }
      rotate(head, position, w, length);
    }
  }

  void feed_forward(size_t layer, Rows& x) {
    const std::string blk = fmt::format("blk.{}.", layer);
    const size_t d_ff = per_layer("feed_forward_length", layer, 0);
    for (Row& row : x) {
      const Row n = norm(row, blk + "ffn_norm.weight");
      Row gate;
      Row up;
      if (family_ == "phi3") {
        const Row both = apply(blk + "ffn_up", n);
        gate.assign(both.begin(), both.begin() + static_cast<ptrdiff_t>(d_ff));
        up.assign(both.begin() + static_cast<ptrdiff_t>(d_ff), both.end());
      } else {
        gate = apply(blk + "ffn_gate", n);
        up = apply(blk + "ffn_up", n);
      }
      for (size_t i = 0; i < d_ff; ++i) {
        const double g = gate[i];
        const double bent =
            gemma_
                ? 0.5 * g *
                      (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (g + 0.044715 * g * g * g)))
                : g / (1 + std::exp(-g));
        gate[i] = bent * up[i];
      }
      Row y = apply(blk + "ffn_down", gate);
      if (gemma_) y = norm(y, blk + "post_ffw_norm.weight");
      for (size_t i = 0; i < d_model_; ++i) row[i] += y[i];
    }
  }

  const Checkpoint& file_;
  std::string family_;
  size_t d_model_ = 0;
  size_t n_layers_ = 0;
  size_t d_head_ = 0;
  size_t d_rot_ = 0;
  double epsilon_ = 0;
  bool gemma_ = false;
  double trained_ = 0;
  double run_context_ = 0;
  std::map<std::string, Rows> matrices_;
};

}  // namespace

std::vector<double> reference_logits(const Checkpoint& checkpoint, std::span<const int32_t> tokens,
                                     int32_t n_context) {
  return Reference(checkpoint, n_context).run(tokens);
}

}  // namespace ac::test
