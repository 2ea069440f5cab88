#include "models/store/hf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "models/store/byte_reader.h"

namespace ac {
namespace {

constexpr int64_t kMaxDimension = int64_t{1} << 24;
constexpr int64_t kMaxHead = 4096;

struct HfFamily {
  std::string_view class_name;  // config.json's "architectures"
  std::string_view architecture;
  std::string_view activation;
  bool interleaved_rope = false;
  bool is_gemma = false;     // norms of 1 + w, four of them, tied unless stated otherwise
  int64_t default_head = 0;  // 0: hidden_size / num_attention_heads
};

constexpr std::array<HfFamily, 7> kFamilies = {{
    {"LlamaForCausalLM", "llama", "silu", true},
    {"MistralForCausalLM", "llama", "silu", true},
    {"Qwen2ForCausalLM", "qwen2", "silu"},
    {"Qwen3ForCausalLM", "qwen3", "silu", false, false, 128},
    {"Gemma2ForCausalLM", "gemma2", "gelu_pytorch_tanh", false, true, 256},
    {"Gemma3ForCausalLM", "gemma3", "gelu_pytorch_tanh", false, true, 256},
    {"Phi3ForCausalLM", "phi3", "silu"},
}};

Result<const HfFamily*> find_family(const Json& config) {
  const Json* names = json_find(config, "architectures");
  if (names == nullptr || !names->is_array() || names->empty() || !names->front().is_string()) {
    return fail(ErrorCode::kCorruptFile, "key 'architectures' does not name one");
  }
  const auto& name = names->front().get_ref<const std::string&>();
  std::string known;
  for (const HfFamily& family : kFamilies) {
    if (family.class_name == name) return &family;
    known += (known.empty() ? "" : ", ") + std::string(family.class_name);
  }
  return fail(ErrorCode::kUnsupported, "architecture '{}' is not one of {}", printable(name),
              known);
}

// Reads config.json and writes keys below "<architecture>.".
class Translator {
 public:
  Translator(const Json& config, const HfFamily& family, Checkpoint& out)
      : config_(config), family_(family), out_(out) {}

  Result<HfModel> run() {
    out_.set_string("general.architecture", std::string(family_.architecture));
    model_.architecture = family_.architecture;
    model_.interleaved_rope = family_.interleaved_rope;
    model_.norm_plus_one = family_.is_gemma;
    model_.four_norms = family_.is_gemma;
    AC_TRY_STATUS(check_activation());
    AC_TRY_STATUS(dimensions());
    AC_TRY_STATUS(scales());
    AC_TRY_STATUS(windows());
    AC_TRY_STATUS(rope());
    const Json* tied = json_find(config_, "tie_word_embeddings");
    model_.tied_is_stated = tied != nullptr && tied->is_boolean();
    model_.tied = model_.tied_is_stated ? tied->get<bool>() : family_.is_gemma;
    return std::move(model_);
  }

 private:
  std::string key(std::string_view rest) const {
    return fmt::format("{}.{}", family_.architecture, rest);
  }

  Result<int64_t> dimension(std::string_view name, int64_t max = kMaxDimension) const {
    return json_integer(config_, name, 1, max);
  }
  Result<int64_t> dimension_or(std::string_view name, int64_t missing,
                               int64_t max = kMaxDimension) const {
    if (json_find(config_, name) == nullptr) return missing;
    return dimension(name, max);
  }
  Result<double> number_or(const Json& object, std::string_view name, double missing) const {
    if (json_find(object, name) == nullptr) return missing;
    return json_number(object, name);
  }
  void set(std::string_view rest, int64_t value) {
    out_.set_uint(key(rest), static_cast<uint32_t>(value));
  }
  void set(std::string_view rest, double value) {
    out_.set_float(key(rest), static_cast<float>(value));
  }

  Status check_activation() {
    const char* name =
        json_find(config_, "hidden_activation") != nullptr ? "hidden_activation" : "hidden_act";
    if (json_find(config_, name) == nullptr) return {};
    AC_TRY(const std::string activation, json_string(config_, name));
    // Gemma's first files say "gelu" and mean its tanh form.
    if (activation == family_.activation || (family_.is_gemma && activation == "gelu")) return {};
    return fail(ErrorCode::kUnsupported, "key '{}' is '{}', expected '{}'", name,
                printable(activation), family_.activation);
  }

  Status dimensions() {
    AC_TRY(const int64_t n_context, dimension("max_position_embeddings"));
    AC_TRY(const int64_t d_model, dimension("hidden_size"));
    AC_TRY(model_.n_layers, dimension("num_hidden_layers", 4096));
    AC_TRY(const int64_t d_ff, dimension("intermediate_size"));
    AC_TRY(model_.n_heads, dimension("num_attention_heads", kMaxHead));
    AC_TRY(model_.n_kv_heads, dimension_or("num_key_value_heads", model_.n_heads, kMaxHead));
    const int64_t by_width =
        family_.default_head > 0 ? family_.default_head : d_model / model_.n_heads;
    AC_TRY(model_.d_head, dimension_or("head_dim", by_width, kMaxHead));
    AC_TRY(const double rotated, number_or(config_, "partial_rotary_factor", 1));
    if (!(rotated > 0 && rotated <= 1)) {
      return fail(ErrorCode::kCorruptFile,
                  "key 'partial_rotary_factor' is {}, expected more than 0, at most 1", rotated);
    }
    model_.d_rot = static_cast<int64_t>(rotated * static_cast<double>(model_.d_head));
    if (model_.d_head < 2 || model_.d_rot < 2 || model_.d_rot % 2 != 0) {
      return fail(ErrorCode::kCorruptFile,
                  "heads of {} numbers, {} of them rotated, expected even numbers", model_.d_head,
                  model_.d_rot);
    }
    set("context_length", n_context);
    set("embedding_length", d_model);
    set("block_count", model_.n_layers);
    set("feed_forward_length", d_ff);
    set("attention.head_count", model_.n_heads);
    set("attention.head_count_kv", model_.n_kv_heads);
    if (json_find(config_, "head_dim") != nullptr || family_.default_head > 0) {
      set("attention.key_length", model_.d_head);
      set("attention.value_length", model_.d_head);
    }
    set("rope.dimension_count", model_.d_rot);
    n_context_ = n_context;
    return {};
  }

  Status scales() {
    AC_TRY(const double epsilon, json_number(config_, "rms_norm_eps"));
    set("attention.layer_norm_rms_epsilon", epsilon);
    if (!family_.is_gemma) return {};
    for (const auto& [theirs, ours] :
         {std::pair{"attn_logit_softcapping", "attn_logit_softcapping"},
          std::pair{"final_logit_softcapping", "final_logit_softcapping"}}) {
      // Gemma 2 always states them; null means none.
      AC_TRY(const double cap, number_or(config_, theirs, 0));
      if (cap != 0 || family_.architecture == "gemma2") set(ours, cap);
    }
    AC_TRY(const double scalar,
           number_or(config_, "query_pre_attn_scalar", static_cast<double>(model_.d_head)));
    if (!(scalar > 0)) {
      return fail(ErrorCode::kCorruptFile,
                  "key 'query_pre_attn_scalar' is {}, expected more than 0", scalar);
    }
    if (scalar != static_cast<double>(model_.d_head)) set("attention.scale", 1 / std::sqrt(scalar));
    return {};
  }

  // Which layers see only a window of the past.
  Status windows() {
    AC_TRY(const int64_t window, dimension_or("sliding_window", 0));
    const Json* use = json_find(config_, "use_sliding_window");
    const bool off = use != nullptr && use->is_boolean() && !use->get<bool>();
    // Qwen's default is not to use the window that its files name.
    const bool qwen = family_.architecture.starts_with("qwen");
    if (window == 0 || off || (qwen && use == nullptr)) return {};
    set("attention.sliding_window", window);
    std::vector<bool> windowed;
    if (const Json* types = json_find(config_, "layer_types"); types != nullptr) {
      if (!types->is_array() || types->size() != static_cast<size_t>(model_.n_layers)) {
        return fail(ErrorCode::kCorruptFile,
                    "key 'layer_types' has not one entry for each of {} layers", model_.n_layers);
      }
      for (const Json& type : *types)
        windowed.push_back(type.is_string() && type == "sliding_attention");
    } else if (qwen) {
      AC_TRY(const int64_t first, json_integer(config_, "max_window_layers", 0, kMaxDimension));
      for (int64_t i = 0; i < model_.n_layers; ++i) windowed.push_back(i >= first);
    } else if (family_.is_gemma) {
      const int64_t period = family_.architecture == "gemma2" ? 2 : 6;
      AC_TRY(const int64_t stated, dimension_or("sliding_window_pattern", period, 4096));
      for (int64_t i = 0; i < model_.n_layers; ++i) windowed.push_back((i + 1) % stated != 0);
    }
    if (windowed.empty() || is_usual(windowed)) return {};
    MetaArray array;
    array.element = MetaType::kBool;
    array.count = windowed.size();
    for (const bool w : windowed) array.numbers.push_back(w ? std::byte{1} : std::byte{0});
    out_.metadata[key("attention.sliding_window_pattern")] =
        MetaValue{MetaType::kArray, std::move(array)};
    return {};
  }

  // Whether a reader of GGUF that knows the family assumes these layers anyway.
  bool is_usual(const std::vector<bool>& windowed) const {
    const size_t period = !family_.is_gemma ? 0 : family_.architecture == "gemma2" ? 2 : 6;
    for (size_t i = 0; i < windowed.size(); ++i) {
      if (windowed[i] != (period == 0 || (i + 1) % period != 0)) return false;
    }
    return true;
  }

  Status rope() {
    // Newer files gather everything under rope_parameters; Gemma 3's have one set for each kind of
    // layer there.
    const Json* parameters = json_find(config_, "rope_parameters");
    const Json* local = nullptr;
    if (parameters != nullptr) {
      local = json_find(*parameters, "sliding_attention");
      if (const Json* full = json_find(*parameters, "full_attention")) parameters = full;
    }
    const Json* scaling = parameters != nullptr ? parameters : json_find(config_, "rope_scaling");
    const double usual = family_.architecture == "gemma3" ? 1e6 : 1e4;
    AC_TRY(const double stated, number_or(config_, "rope_theta", usual));
    AC_TRY(base_, parameters != nullptr ? number_or(*parameters, "rope_theta", stated) : stated);
    set("rope.freq_base", base_);
    if (family_.architecture == "gemma3") {
      AC_TRY(const double old_name, number_or(config_, "rope_local_base_freq", 1e4));
      AC_TRY(const double local_base,
             local != nullptr ? number_or(*local, "rope_theta", old_name) : old_name);
      if (local_base != 1e4) set("rope.freq_base_swa", local_base);
    }
    if (scaling == nullptr) return {};
    if (!scaling->is_object())
      return fail(ErrorCode::kCorruptFile, "key 'rope_scaling' is not an object");
    const char* type_key = json_find(*scaling, "rope_type") != nullptr ? "rope_type" : "type";
    if (json_find(*scaling, type_key) == nullptr) return {};
    AC_TRY(const std::string type, json_string(*scaling, type_key));
    if (type == "default") return {};
    if (type == "linear") return linear(*scaling);
    if (type == "yarn") return yarn(*scaling);
    if (type == "llama3") return llama3(*scaling);
    if (type == "longrope" || type == "su") return longrope(*scaling);
    return fail(ErrorCode::kUnsupported,
                "rope scaling '{}' is not one of default, linear, yarn, llama3, longrope",
                printable(type));
  }

  Result<double> factor_of(const Json& scaling, std::string_view name) const {
    AC_TRY(const double factor, json_number(scaling, name));
    if (!(factor >= 1e-6 && factor <= 1e6)) {
      return fail(ErrorCode::kCorruptFile, "key '{}' is {}, expected 1e-6 to 1e6", name, factor);
    }
    return factor;
  }
  Result<int64_t> original_context(const Json& scaling) const {
    const std::string_view name = "original_max_position_embeddings";
    if (json_find(scaling, name) != nullptr) return json_integer(scaling, name, 2, kMaxDimension);
    if (json_find(config_, name) != nullptr) return json_integer(config_, name, 2, kMaxDimension);
    return n_context_;
  }

  Status linear(const Json& scaling) {
    AC_TRY(const double factor, factor_of(scaling, "factor"));
    out_.set_string(key("rope.scaling.type"), "linear");
    set("rope.scaling.factor", factor);
    return {};
  }

  Status yarn(const Json& scaling) {
    AC_TRY(const double factor, factor_of(scaling, "factor"));
    AC_TRY(const int64_t original, original_context(scaling));
    out_.set_string(key("rope.scaling.type"), "yarn");
    set("rope.scaling.factor", factor);
    set("rope.scaling.original_context_length", original);
    return {};
  }

  // Frequencies whose wavelength is long against the original context are divided by `factor`,
  // short ones kept, and those between blended. GGUF carries the result as one divisor for each
  // frequency.
  Status llama3(const Json& scaling) {
    AC_TRY(const double factor, factor_of(scaling, "factor"));
    AC_TRY(const double low, factor_of(scaling, "low_freq_factor"));
    AC_TRY(const double high, factor_of(scaling, "high_freq_factor"));
    AC_TRY(const int64_t original, original_context(scaling));
    if (!(low < high)) {
      return fail(ErrorCode::kCorruptFile, "low_freq_factor {} is not below high_freq_factor {}",
                  low, high);
    }
    for (int64_t i = 0; i < model_.d_rot; i += 2) {
      const double frequency =
          std::pow(base_, -static_cast<double>(i) / static_cast<double>(model_.d_rot));
      const double turns = static_cast<double>(original) * frequency / (2 * std::numbers::pi);
      const double keep = std::clamp((turns - low) / (high - low), 0.0, 1.0);
      model_.rope_factors.push_back(static_cast<float>(1 / ((1 - keep) / factor + keep)));
    }
    return {};
  }

  Result<std::vector<float>> factors(const Json& scaling, std::string_view name) const {
    const Json* list = json_find(scaling, name);
    if (list == nullptr || !list->is_array() ||
        list->size() != static_cast<size_t>(model_.d_rot / 2)) {
      return fail(ErrorCode::kCorruptFile, "key '{}' has not {} numbers", name, model_.d_rot / 2);
    }
    std::vector<float> read;
    for (const Json& value : *list) {
      const double factor = value.is_number() ? value.get<double>() : 0;
      if (!(factor >= 1e-6 && factor <= 1e6)) {
        return fail(ErrorCode::kCorruptFile, "key '{}' holds a factor that is not 1e-6 to 1e6",
                    name);
      }
      read.push_back(static_cast<float>(factor));
    }
    return read;
  }

  Status longrope(const Json& scaling) {
    AC_TRY(model_.rope_factors_short, factors(scaling, "short_factor"));
    AC_TRY(model_.rope_factors_long, factors(scaling, "long_factor"));
    AC_TRY(const int64_t original, original_context(scaling));
    out_.set_string(key("rope.scaling.type"), "longrope");
    set("rope.scaling.original_context_length", original);
    const double stretch = static_cast<double>(n_context_) / static_cast<double>(original);
    const double usual =
        stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original)))
                    : 1;
    AC_TRY(const double attention, number_or(scaling, "attention_factor", usual));
    set("rope.scaling.attn_factor", attention);
    return {};
  }

  const Json& config_;
  const HfFamily& family_;
  Checkpoint& out_;
  HfModel model_;
  int64_t n_context_ = 0;
  double base_ = 0;
};

}  // namespace

Result<HfModel> translate_config(const Json& config, Checkpoint& out) {
  if (!config.is_object()) return fail(ErrorCode::kCorruptFile, "is not an object");
  AC_TRY(const HfFamily* family, find_family(config));
  return Translator(config, *family, out).run();
}

}  // namespace ac
