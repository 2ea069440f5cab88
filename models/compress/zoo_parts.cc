#include "models/compress/zoo_parts.h"

#include <algorithm>
#include <set>

#include "cpu/formats/packed.h"

namespace ac {
namespace {

constexpr std::string_view kTokenizerPrefix = "tokenizer.";

// Bit-operations per token: MACs times the bits of a weight.
double bit_operations(const ZooVariant& variant) {
  if (variant.parameters == 0) return 0;
  return static_cast<double>(variant.macs_per_token) * 8 *
         static_cast<double>(variant.weight_bytes) / static_cast<double>(variant.parameters);
}

void sort_cheapest_first(std::vector<ZooVariant>& variants) {
  std::stable_sort(variants.begin(), variants.end(), [](const ZooVariant& a, const ZooVariant& b) {
    return bit_operations(a) < bit_operations(b);
  });
}

}  // namespace

std::string base_name(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  path.erase(0, path.rfind('/') + 1);  // npos + 1 is 0
  if (path.ends_with(".gguf")) path.resize(path.size() - 5);
  if (path.size() > 200) path.resize(200);
  for (char& c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '_';
  }
  return path;
}

bool may_pack(const ModelConfig& config, std::string_view name, const TensorView& view) {
  if (is_residual(name)) name.remove_suffix(kResidualSuffix.size());  // laid out like its base
  const bool fused_qkv = name.ends_with(".attn_qkv.weight");
  const bool ff_up = name.ends_with(".ffn_up.weight");
  if (!fused_qkv && !ff_up) return true;
  for (const LayerConfig& layer : config.layers) {
    const int64_t q_rows = int64_t{layer.n_heads} * config.d_head;
    const int64_t kv_rows = int64_t{layer.n_kv_heads} * config.d_head;
    if (fused_qkv && (q_rows % cpu::kPackedRows != 0 || kv_rows % cpu::kPackedRows != 0))
      return false;
    if (ff_up && view.n_rows() != layer.d_ff && layer.d_ff % cpu::kPackedRows != 0) return false;
  }
  return true;
}

Checkpoint tokenizer_of(const Checkpoint& base) {
  Checkpoint tokenizer;
  tokenizer.origin = base.origin;
  for (const auto& [key, value] : base.metadata) {
    if (key.starts_with(kTokenizerPrefix)) tokenizer.metadata.emplace(key, value);
  }
  if (!tokenizer.metadata.empty()) {
    tokenizer.metadata.emplace("general.architecture",
                               MetaValue{MetaType::kString, std::string("tokenizer")});
  }
  return tokenizer;
}

void remove_tokenizer(Checkpoint& checkpoint) {
  std::erase_if(checkpoint.metadata,
                [](const auto& pair) { return pair.first.starts_with(kTokenizerPrefix); });
}

Checkpoint with_tokenizer(const Checkpoint& weights, const Checkpoint& base) {
  Checkpoint whole;
  whole.origin = weights.origin;
  whole.metadata = weights.metadata;
  for (const auto& [key, value] : base.metadata) {
    if (key.starts_with(kTokenizerPrefix)) whole.metadata.insert_or_assign(key, value);
  }
  for (const std::string& name : weights.tensor_order) {
    whole.set_tensor(name, weights.tensors.at(name));
  }
  return whole;
}

Result<ZooVariant> describe_variant(const std::string& id, const Checkpoint& checkpoint) {
  AC_TRY(const ModelCost cost, model_cost(checkpoint));
  ZooVariant variant;
  variant.id = id;
  variant.member = fmt::format("variants/{}.gguf", id);
  variant.parameters = cost.parameters;
  variant.macs_per_token = cost.macs_per_token;
  variant.weight_bytes = cost.weight_bytes;
  variant.bytes_per_token = cost.bytes_per_token;
  AC_TRY(const NestedOrder order, read_nested_order(checkpoint));
  if (!order.matrices.empty()) variant.level = order.level;
  const std::set<std::string> unread = order.unread_residuals(order.level);
  for (const auto& [name, view] : checkpoint.tensors) {
    if (unread.contains(name)) continue;
    ++variant.formats[std::string(weight_format_info(view.format).name)];
  }
  return variant;
}

Status check_one_precision(const Checkpoint& base) {
  if (!is_nested(base)) return {};
  return fail(ErrorCode::kUnsupported,
              "{}: is nested, expected a model of one precision; `zoo extract` writes one",
              base.origin);
}

Result<PackReport> write_and_report(const std::string& path, ZooDraft& draft) {
  sort_cheapest_first(draft.manifest.variants);
  AC_TRY_STATUS(write_zoo(path, draft));
  AC_TRY(const std::shared_ptr<MappedFile const> file, MappedFile::open(path));
  AC_TRY(const std::shared_ptr<const Zoo> zoo, Zoo::parse(file->bytes(), file, path));
  return PackReport{zoo->manifest(), file->bytes().size()};
}

}  // namespace ac
