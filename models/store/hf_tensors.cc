#include "models/store/hf_tensors.h"

#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "cpu/formats/codecs.h"

namespace ac {
namespace {

struct Name {
  std::string_view theirs;
  std::string_view ours;
};

// Inside "model.layers.<i>." and "blk.<i>."; ".weight" or ".bias" follows.
constexpr std::array<Name, 13> kBlockNames = {{
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"post_attention_layernorm", "ffn_norm"},
}};
// Gemma: the norm after attention is one, and there are two more.
constexpr std::array<Name, 3> kFourNormNames = {{
    {"post_attention_layernorm", "post_attention_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
}};

template <size_t N>
std::optional<std::string_view> look_up(const std::array<Name, N>& names, std::string_view theirs) {
  for (const Name& name : names) {
    if (name.theirs == theirs) return name.ours;
  }
  return std::nullopt;
}

// GGUF's name of a tensor; nullopt when it has none.
std::optional<std::string> translated(std::string_view name, const HfModel& model) {
  if (name == "model.embed_tokens.weight") return "token_embd.weight";
  if (name == "model.norm.weight") return "output_norm.weight";
  if (name == "lm_head.weight") return "output.weight";
  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  int64_t layer = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc() || layer < 0 || layer >= model.n_layers) return std::nullopt;
  const auto digits = static_cast<size_t>(end - name.data());
  if ((digits > 1 && name[0] == '0') || digits >= name.size() || name[digits] != '.')
    return std::nullopt;
  name.remove_prefix(digits + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view kind = name.substr(dot);
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  std::optional<std::string_view> ours;
  if (model.four_norms) ours = look_up(kFourNormNames, name.substr(0, dot));
  if (!ours) ours = look_up(kBlockNames, name.substr(0, dot));
  if (!ours) return std::nullopt;
  return fmt::format("blk.{}.{}{}", layer, *ours, kind);
}

bool is_norm(std::string_view ours) { return ours.ends_with("norm.weight"); }

// A vector as f32, plus `offset`.
Status add_vector(Checkpoint& out, const std::string& name, const TensorView& view, float offset) {
  if (view.format == WeightFormat::kF32 && offset == 0) {
    out.set_tensor(name, view);
    return {};
  }
  AC_TRY(const std::span<std::byte> memory, out.add_tensor(name, WeightFormat::kF32, view.axes()));
  auto* values = reinterpret_cast<float*>(memory.data());
  const auto n = static_cast<size_t>(view.shape[0]);
  cpu::codec(view.format).decode_row(view.data, values, n);
  for (size_t i = 0; i < n; ++i) values[i] += offset;
  return {};
}

// Row j of the first half of a head and row j of its second half become neighbours.
Status add_interleaved(Checkpoint& out, const std::string& name, const TensorView& view,
                       int64_t n_heads) {
  const int64_t n_rows = view.n_axes == 1 ? view.shape[0] : view.n_rows();
  if (n_rows % (2 * n_heads) != 0) {
    return fail(ErrorCode::kCorruptFile,
                "has {} rows, which are not {} heads of an even number of rows", n_rows, n_heads);
  }
  const uint64_t row_bytes = view.size_bytes / static_cast<uint64_t>(n_rows);
  AC_TRY(const std::span<std::byte> memory, out.add_tensor(name, view.format, view.axes()));
  const int64_t d_head = n_rows / n_heads;
  for (int64_t row = 0; row < n_rows; ++row) {
    const int64_t in_head = row % d_head;
    const int64_t from = row - in_head + (in_head % 2) * (d_head / 2) + in_head / 2;
    std::memcpy(memory.data() + static_cast<uint64_t>(row) * row_bytes,
                view.data + static_cast<uint64_t>(from) * row_bytes, row_bytes);
  }
  return {};
}

Status add_factors(Checkpoint& out, const std::string& name, const std::vector<float>& factors) {
  if (factors.empty()) return {};
  const int64_t shape[] = {static_cast<int64_t>(factors.size())};
  AC_TRY(const std::span<std::byte> memory, out.add_tensor(name, WeightFormat::kF32, shape));
  std::memcpy(memory.data(), factors.data(), memory.size());
  return {};
}

Status add_translated(Checkpoint& out, const std::string& ours, const TensorView& view,
                      const HfModel& model) {
  const bool q = ours.ends_with(".attn_q.weight") || ours.ends_with(".attn_q.bias");
  const bool k = ours.ends_with(".attn_k.weight") || ours.ends_with(".attn_k.bias");
  if (model.interleaved_rope && (q || k)) {
    return add_interleaved(out, ours, view, q ? model.n_heads : model.n_kv_heads);
  }
  if (view.n_axes == 1) {
    return add_vector(out, ours, view, model.norm_plus_one && is_norm(ours) ? 1.0f : 0.0f);
  }
  out.set_tensor(ours, view);
  return {};
}

}  // namespace

Status translate_tensors(const Checkpoint& source, const HfModel& model, Checkpoint& out) {
  for (const auto& [name, view] : source.tensors) {
    if (name.ends_with(".rotary_emb.inv_freq")) continue;  // follows from the configuration
    if (name == "lm_head.weight" && model.tied) continue;  // a copy of the embedding
    const std::optional<std::string> ours = translated(name, model);
    if (!ours) {
      return fail(ErrorCode::kUnsupported, "tensor '{}' has no place in architecture {}", name,
                  model.architecture);
    }
    if (out.tensors.find(*ours) != out.tensors.end()) {
      return fail(ErrorCode::kCorruptFile, "tensors for '{}' occur twice", *ours);
    }
    if (Status status = add_translated(out, *ours, view, model); !status) {
      return with_context(status.error(), fmt::format("tensor '{}'", name));
    }
  }
  if (out.tensors.find("token_embd.weight") == out.tensors.end()) {
    return fail(ErrorCode::kNotFound, "no tensor 'model.embed_tokens.weight'");
  }
  if (!model.tied && model.tied_is_stated &&
      out.tensors.find("output.weight") == out.tensors.end()) {
    return fail(ErrorCode::kNotFound,
                "no tensor 'lm_head.weight', and config.json says it is not the embedding");
  }
  AC_TRY_STATUS(add_factors(out, "rope_freqs.weight", model.rope_factors));
  AC_TRY_STATUS(add_factors(out, "rope_factors_short.weight", model.rope_factors_short));
  return add_factors(out, "rope_factors_long.weight", model.rope_factors_long);
}

}  // namespace ac
