#include "models/compress/shape_edit.h"

#include <algorithm>
#include <cmath>

namespace ac {

void set_layer_shapes(Checkpoint& checkpoint, const ModelConfig& config,
                      std::span<const LayerConfig> layers) {
  const auto key = [&](std::string_view rest) {
    return fmt::format("{}.{}", config.architecture, rest);
  };
  const auto set = [&](std::string_view rest, auto member) {
    std::vector<int32_t> values;
    for (const LayerConfig& layer : layers) values.push_back(layer.*member);
    const bool uniform =
        std::all_of(values.begin(), values.end(), [&](int32_t v) { return v == values[0]; });
    if (uniform && values[0] > 0) {
      checkpoint.set_uint(key(rest), static_cast<uint32_t>(values[0]));
    } else {
      checkpoint.set_integers(key(rest), values);
    }
  };
  set("attention.head_count", &LayerConfig::n_heads);
  set("attention.head_count_kv", &LayerConfig::n_kv_heads);
  set("feed_forward_length", &LayerConfig::d_ff);
  // Readers take the width of a head from the number of heads where no key says it.
  checkpoint.set_uint(key("attention.key_length"), static_cast<uint32_t>(config.d_head));
  checkpoint.set_uint(key("attention.value_length"), static_cast<uint32_t>(config.d_head));
  checkpoint.set_uint(key("rope.dimension_count"), static_cast<uint32_t>(config.d_rot));
  const auto usual = static_cast<float>(1 / std::sqrt(static_cast<double>(config.d_head)));
  if (std::fabs(config.attention_scale - usual) > 1e-6f * usual) {
    checkpoint.set_float(key("attention.scale"), config.attention_scale);
  }
}

}  // namespace ac
