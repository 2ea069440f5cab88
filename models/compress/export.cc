#include "models/compress/export.h"

#include "cpu/threads.h"
#include "models/arch/model.h"
#include "models/compress/nested.h"
#include "models/compress/requantize.h"
#include "models/compress/tensor_values.h"
#include "models/store/gguf.h"
#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr std::string_view kOut = ".lowrank_out.weight";
constexpr std::string_view kIn = ".lowrank_in.weight";
constexpr std::string_view kLlama = "llama";
constexpr std::string_view kLayered = "deci";

bool layers_differ(const ModelConfig& config) {
  for (const LayerConfig& layer : config.layers) {
    const LayerConfig& first = config.layers[0];
    if (layer.n_heads != first.n_heads || layer.n_kv_heads != first.n_kv_heads ||
        layer.d_ff != first.d_ff) {
      return true;
    }
  }
  return config.layers[0].n_heads == 0 || config.layers[0].d_ff == 0;
}

// Where the inner factor of a pair is: its own, or the one that q, k and v share.
std::string inner_of(const Checkpoint& source, const std::string& stem) {
  if (has_tensor(source, stem + std::string(kIn))) return stem + std::string(kIn);
  return stem.substr(0, stem.rfind('.') + 1) + "attn_qkv" + std::string(kIn);
}

Status multiply_back(const Checkpoint& source, Checkpoint& to, const std::string& stem,
                     cpu::ThreadTeam& team) {
  AC_TRY(const Matrix out, read_matrix(source, stem + std::string(kOut), team));
  AC_TRY(const Matrix in, read_matrix(source, inner_of(source, stem), team));
  AC_TRY(const Matrix dense, product(out, in, Transposed::kNo, team));
  return add_matrix(to, stem + ".weight", dense);
}

}  // namespace

Result<Exported> standard_checkpoint(const Checkpoint& source) {
  AC_TRY(const ModelConfig config, read_model_config(source));
  Exported exported;
  Checkpoint& to = exported.checkpoint;
  cpu::ThreadTeam team({});
  AC_TRY(Checkpoint plain, unpacked(source));
  AC_TRY(Flat flat, flattened(plain, team));
  if (flat.n_rounded > 0) exported.notes.push_back(rounded_note(flat));
  to = std::move(flat.checkpoint);
  to.keep_alive(std::make_shared<Checkpoint>(std::move(plain)));
  size_t n_pairs = 0;
  Checkpoint dense;
  dense.origin = to.origin;
  dense.metadata = to.metadata;
  for (const std::string& name : to.tensor_order) {
    if (name.ends_with(kIn)) continue;
    if (!name.ends_with(kOut)) {
      dense.set_tensor(name, to.tensors.at(name));
      continue;
    }
    AC_TRY_STATUS(multiply_back(to, dense, name.substr(0, name.size() - kOut.size()), team));
    ++n_pairs;
  }
  dense.keep_alive(std::make_shared<Checkpoint>(std::move(to)));
  to = std::move(dense);
  if (n_pairs > 0) {
    exported.notes.push_back(
        fmt::format("{} low-rank pairs were multiplied back into f32 matrices", n_pairs));
  }
  if (!layers_differ(config) || config.architecture == kLayered) return exported;
  if (config.architecture != kLlama) {
    return fail(
        ErrorCode::kUnsupported,
        "{}: its layers differ, and only a llama with such layers has a counterpart in other "
        "programs, not a {}",
        source.origin, config.architecture);
  }
  std::map<std::string, MetaValue, std::less<>> renamed;
  const std::string prefix = std::string(kLlama) + ".";
  for (auto& [key, value] : to.metadata) {
    const bool ours = key.starts_with(prefix);
    renamed.emplace(ours ? fmt::format("{}.{}", kLayered, key.substr(prefix.size())) : key,
                    std::move(value));
  }
  to.metadata = std::move(renamed);
  to.set_string("general.architecture", std::string(kLayered));
  exported.notes.push_back("layers differ: the architecture is deci");
  return exported;
}

Result<ExportReport> zoo_export(const Zoo& zoo, std::string_view variant, const std::string& path) {
  AC_TRY(const Checkpoint packed, zoo.open_variant(variant));
  AC_TRY(Exported exported, standard_checkpoint(packed));
  ExportReport report;
  AC_TRY(const std::string_view architecture,
         exported.checkpoint.get_string("general.architecture"));
  report.architecture = architecture;
  report.notes = std::move(exported.notes);
  AC_TRY(const std::unique_ptr<FileWriter> out, create_file(path));
  if (Status status = write_gguf(exported.checkpoint, *out); !status) {
    return with_context(status.error(), path);
  }
  AC_TRY_STATUS(out->commit());
  report.bytes = out->offset_bytes();
  return report;
}

}  // namespace ac
