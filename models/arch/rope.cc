// Rotary position embedding (Su et al. 2021, arXiv:2104.09864): pair i turns by position * w_i with
// w_i = base^(-2i / d_rot), then whatever was done to w to reach longer contexts:
//   linear    Chen et al. 2023, arXiv:2306.15595: w / factor
//   yarn      Peng et al. 2023, arXiv:2309.00071: slow pairs divided, fast ones kept, a ramp
//   between llama3    the same idea with a ramp over wavelengths; files carry it as a tensor of
//   factors or as
//             the four numbers that Hugging Face's config.json has
//   longrope  Ding et al. 2024, arXiv:2402.13753: a searched factor for each pair, one set for
//   short
//             and one for long contexts
// Everything is computed in double and rounded once.
#include "models/arch/rope.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <utility>

namespace ac {
namespace {

constexpr double kMaxBase = 1e12;

Result<double> number_in(const Checkpoint& checkpoint, const std::string& key, double missing,
                         double min, double max) {
  AC_TRY(const double value, checkpoint.get_number_or(key, missing));
  if (!(value >= min && value <= max)) {
    return fail(ErrorCode::kCorruptFile, "{}: key '{}' is {}, expected {} to {}", checkpoint.origin,
                key, value, min, max);
  }
  return value;
}

std::vector<double> plain_frequencies(double base, int32_t d_rot) {
  std::vector<double> w(static_cast<size_t>(d_rot) / 2);
  for (size_t i = 0; i < w.size(); ++i) {
    w[i] = std::pow(base, -2.0 * static_cast<double>(i) / d_rot);
  }
  return w;
}

// Divides each frequency by its factor, when there is a tensor of factors.
Status apply_factor_tensor(const Checkpoint& checkpoint, std::string_view name,
                           std::vector<double>* w) {
  if (checkpoint.tensors.find(name) == checkpoint.tensors.end()) return {};
  AC_TRY(const TensorView factors, checkpoint.tensor(name));
  if (factors.empty() || factors.format != WeightFormat::kF32 || factors.n_axes != 1 ||
      factors.shape[0] != static_cast<int64_t>(w->size()) ||
      factors.size_bytes != w->size() * sizeof(float)) {
    return fail(ErrorCode::kCorruptFile, "{}: tensor {}: {} of {} values, expected f32 of [{}]",
                checkpoint.origin, name, weight_format_info(factors.format).name, factors.shape[0],
                w->size());
  }
  for (size_t i = 0; i < w->size(); ++i) {
    float factor = 0;
    std::memcpy(&factor, factors.data + i * sizeof factor, sizeof factor);
    if (!(factor >= 1e-6f && factor <= 1e6f)) {
      return fail(ErrorCode::kCorruptFile, "{}: tensor {}: factor {} is {}, expected 1e-6 to 1e6",
                  checkpoint.origin, name, i, factor);
    }
    (*w)[i] /= static_cast<double>(factor);
  }
  return {};
}

// The pair that turns `turns` times within `context` positions.
double pair_with_turns(double turns, double base, double context, int32_t d_rot) {
  return d_rot * std::log(context / (turns * 2 * std::numbers::pi)) / (2 * std::log(base));
}

struct Scaling {
  double factor = 1;
  double original_context = 0;  // that of the training before the context was stretched
};

Result<double> apply_yarn(const Checkpoint& checkpoint, const Family& family,
                          const Scaling& scaling, double base, int32_t d_rot,
                          std::vector<double>* w) {
  AC_TRY(const double fast,
         number_in(checkpoint, family_key(family, "rope.scaling.yarn_beta_fast"), 32, 1e-3, 1e6));
  AC_TRY(const double slow,
         number_in(checkpoint, family_key(family, "rope.scaling.yarn_beta_slow"), 1, 1e-3, 1e6));
  const double last = d_rot - 1;
  const double low = std::clamp(
      std::floor(pair_with_turns(fast, base, scaling.original_context, d_rot)), 0.0, last);
  const double high = std::clamp(
      std::ceil(pair_with_turns(slow, base, scaling.original_context, d_rot)), 0.0, last);
  for (size_t i = 0; i < w->size(); ++i) {
    const double ramp =
        std::clamp((static_cast<double>(i) - low) / std::max(high - low, 0.001), 0.0, 1.0);
    (*w)[i] *= (1 - ramp) + ramp / scaling.factor;
  }
  return scaling.factor > 1 ? 0.1 * std::log(scaling.factor) + 1 : 1.0;
}

Status apply_llama3(const Checkpoint& checkpoint, const Family& family, const Scaling& scaling,
                    std::vector<double>* w) {
  AC_TRY(const double low,
         number_in(checkpoint, family_key(family, "rope.scaling.low_freq_factor"), 1, 1e-3, 1e6));
  AC_TRY(const double high,
         number_in(checkpoint, family_key(family, "rope.scaling.high_freq_factor"), 4, 1e-3, 1e6));
  for (double& frequency : *w) {
    const double turns = scaling.original_context * frequency / (2 * std::numbers::pi);
    // 0 where the pair turns less than `low` times in the original context, 1 above `high`.
    const double keep = high > low ? std::clamp((turns - low) / (high - low), 0.0, 1.0)
                                   : (turns >= high ? 1.0 : 0.0);
    frequency *= keep + (1 - keep) / scaling.factor;
  }
  return {};
}

RopeFrequencies rounded(const std::vector<double>& w, double magnitude) {
  RopeFrequencies rope;
  for (double frequency : w) rope.inverse_frequencies.push_back(static_cast<float>(frequency));
  rope.magnitude = static_cast<float>(magnitude);
  return rope;
}

}  // namespace

Result<RopeFrequencies> read_rope(const Checkpoint& checkpoint, const Family& family,
                                  const ModelConfig& config, int32_t n_context) {
  AC_TRY(const double base,
         number_in(checkpoint, family_key(family, "rope.freq_base"), 10000, 1.0001, kMaxBase));
  std::vector<double> w = plain_frequencies(base, config.d_rot);

  const std::string type_key = family_key(family, "rope.scaling.type");
  AC_TRY(const std::string_view type, checkpoint.get_string_or(type_key, ""));
  // Files from before the scaling had a type call the factor scale_linear.
  AC_TRY(const double old_factor,
         number_in(checkpoint, family_key(family, "rope.scale_linear"), 1, 1e-6, 1e6));
  Scaling scaling;
  AC_TRY(scaling.factor,
         number_in(checkpoint, family_key(family, "rope.scaling.factor"), old_factor, 1e-6, 1e6));
  AC_TRY(const uint64_t original,
         checkpoint.get_uint_or(family_key(family, "rope.scaling.original_context_length"), 1,
                                UINT32_MAX, static_cast<uint64_t>(config.n_context)));
  scaling.original_context = static_cast<double>(original);
  const bool two_sets =
      checkpoint.tensors.find("rope_factors_long.weight") != checkpoint.tensors.end();

  double magnitude = 1;
  if (two_sets) {
    // Both sets are read, so that a file is good or bad whatever context it is opened for.
    std::vector<double> long_w = w;
    AC_TRY_STATUS(apply_factor_tensor(checkpoint, "rope_factors_long.weight", &long_w));
    AC_TRY_STATUS(apply_factor_tensor(checkpoint, "rope_factors_short.weight", &w));
    if (static_cast<uint64_t>(n_context) > original) w = std::move(long_w);
    const double stretch = config.n_context / scaling.original_context;
    if (stretch > 1 && original > 1) {
      magnitude = std::sqrt(1 + std::log(stretch) / std::log(scaling.original_context));
    }
  } else if (type == "" || type == "linear" || type == "none") {
    if (type != "none") {
      for (double& frequency : w) frequency /= scaling.factor;
    }
  } else if (type == "yarn") {
    AC_TRY(magnitude, apply_yarn(checkpoint, family, scaling, base, config.d_rot, &w));
  } else if (type == "llama3") {
    AC_TRY_STATUS(apply_llama3(checkpoint, family, scaling, &w));
  } else {
    return fail(
        ErrorCode::kUnsupported,
        "{}: key '{}' is '{}', expected none, linear, yarn, llama3 or longrope with its factors",
        checkpoint.origin, type_key, type.substr(0, 32));
  }
  AC_TRY_STATUS(apply_factor_tensor(checkpoint, "rope_freqs.weight", &w));

  // A stated attention factor replaces LongRoPE's own and multiplies YaRN's.
  const std::string factor_key = family_key(family, "rope.scaling.attn_factor");
  if (checkpoint.has(factor_key)) {
    AC_TRY(const double factor, number_in(checkpoint, factor_key, 1, 1e-3, 1e3));
    magnitude = two_sets ? factor : magnitude * factor;
  }
  return rounded(w, magnitude);
}

Result<RopeFrequencies> read_local_rope(const Checkpoint& checkpoint, const Family& family,
                                        const ModelConfig& config) {
  AC_TRY(const double base, number_in(checkpoint, family_key(family, "rope.freq_base_swa"),
                                      family.local_rope_base, 1.0001, kMaxBase));
  return rounded(plain_frequencies(base, config.d_rot), 1);
}

}  // namespace ac
