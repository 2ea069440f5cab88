// A Hugging Face folder as one checkpoint.
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "models/store/byte_reader.h"
#include "models/store/hf_config.h"
#include "models/store/hf_tensors.h"
#include "models/store/hf_tokenizer.h"
#include "models/store/safetensors.h"
#include "models/store/safetensors_reader.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"

namespace ac {
namespace {

constexpr uint64_t kMaxConfigBytes = 8u << 20;
constexpr uint64_t kMaxIndexBytes = 64u << 20;
constexpr size_t kMaxShards = 1024;

Status add_file(const std::string& path, Checkpoint& out) {
  AC_TRY(std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  const std::span<const std::byte> bytes = file->bytes();
  const Status status = parse_safetensors(bytes, std::move(file), out);
  return status ? Status() : Status(with_context(status.error(), path));
}

// A shard's name comes from a file: it must stay inside the folder.
bool is_shard_name(std::string_view name) {
  return is_plain_name(name, 255) && name.ends_with(".safetensors") && name[0] != '.' &&
         name.find('/') == std::string_view::npos && name.find('\\') == std::string_view::npos;
}

// {"weight_map": {"tensor": "model-00001-of-00002.safetensors", ...}}
Status add_shards(const std::string& folder, std::string_view index, Checkpoint& out) {
  AC_TRY(const Json json, parse_json(index, {.max_bytes = kMaxIndexBytes, .max_depth = 4}));
  const Json* map = json_find(json, "weight_map");
  if (map == nullptr || !map->is_object()) {
    return fail(ErrorCode::kCorruptFile, "key 'weight_map' is not an object");
  }
  std::map<std::string, std::set<std::string>> shards;  // file -> the tensors that it should hold
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !is_shard_name(file.get_ref<const std::string&>())) {
      return fail(ErrorCode::kCorruptFile, "tensor '{}' is not in a file of this folder",
                  printable(tensor));
    }
    shards[file.get<std::string>()].insert(tensor);
    if (shards.size() > kMaxShards) {
      return fail(ErrorCode::kCorruptFile, "more than {} shards", kMaxShards);
    }
  }
  for (const auto& [file, promised] : shards) {
    const size_t before = out.tensors.size();
    AC_TRY_STATUS(add_file(folder + "/" + file, out));
    for (const std::string& tensor : promised) {
      if (out.tensors.find(tensor) == out.tensors.end()) {
        return fail(ErrorCode::kCorruptFile, "tensor '{}' is not in '{}'", printable(tensor), file);
      }
    }
    if (out.tensors.size() - before != promised.size()) {
      return fail(ErrorCode::kCorruptFile, "'{}' holds tensors that the index does not list", file);
    }
  }
  return {};
}

Status add_tensors(const std::string& folder, Checkpoint& out) {
  const std::string index_path = folder + "/model.safetensors.index.json";
  const auto index = read_file(index_path, kMaxIndexBytes);
  if (index) {
    const Status status = add_shards(folder, *index, out);
    return status ? Status() : Status(with_context(status.error(), index_path));
  }
  if (index.error().code != ErrorCode::kNotFound) return index.error();
  return add_file(folder + "/model.safetensors", out);
}

std::string folder_name(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder.substr(folder.rfind('/') + 1);  // npos + 1 is 0
}

}  // namespace

Result<Checkpoint> open_hugging_face(const std::string& folder) {
  const std::string config_path = folder + "/config.json";
  auto text = read_file(config_path, kMaxConfigBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, "{}: no config.json: not a Hugging Face folder", folder);
  }
  if (!text) return text.error();
  const auto config = parse_json(*text, {.max_bytes = kMaxConfigBytes});
  if (!config) return with_context(config.error(), config_path);

  Checkpoint out;
  out.origin = folder;
  out.set_string("general.name", folder_name(folder));
  const auto model = translate_config(*config, out);
  if (!model) return with_context(model.error(), config_path);

  auto source = std::make_shared<Checkpoint>();
  source->origin = folder;
  AC_TRY_STATUS(add_tensors(folder, *source));
  if (Status status = translate_tensors(*source, *model, out); !status) {
    return with_context(status.error(), folder);
  }
  out.keep_alive(std::move(source));

  AC_TRY(const TensorView embedding, out.tensor("token_embd.weight"));
  if (Status status = read_hf_tokenizer(folder, embedding.shape[0], out); !status) {
    return with_context(status.error(), folder);
  }
  return out;
}

}  // namespace ac
