#include "models/compress/stage.h"

#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "models/store/gguf.h"
#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr std::string_view kMarker = "agentcompress-build.txt";
constexpr std::string_view kMarkerText =
    "Parts of an unfinished zoo; `agentcompress zoo build` goes on from here and then removes "
    "them.\n";
constexpr std::string_view kRemovedKey = "agentcompress.part.removed";
constexpr std::string_view kNotesKey = "agentcompress.part.notes";

Error io_error(std::string_view what, const std::string& path, const std::error_code& code) {
  return fail(ErrorCode::kIo, "cannot {} {}: {}", what, path, code.message());
}

std::vector<std::string> strings_or_none(const Checkpoint& checkpoint, std::string_view key) {
  std::vector<std::string> texts;
  if (const auto found = checkpoint.get_strings(key)) texts.assign(found->begin(), found->end());
  return texts;
}

}  // namespace

std::string derived_key(std::string_view key, std::string_view text) {
  const std::string both = fmt::format("{}\n{}", key, text);
  return fmt::format("{:016x}", XXH3_64bits(both.data(), both.size()));
}

Result<BuildFolder> BuildFolder::open(const std::string& path) {
  BuildFolder folder;
  folder.path_ = path;
  std::error_code code;
  const std::filesystem::path marker = std::filesystem::path(path) / kMarker;
  if (std::filesystem::exists(path, code)) {
    const bool empty =
        std::filesystem::is_directory(path, code) && std::filesystem::is_empty(path, code);
    if (!empty && !std::filesystem::exists(marker, code)) {
      return fail(ErrorCode::kInvalidArgument,
                  "{} is there and is not the folder of an unfinished build", path);
    }
  } else if (!std::filesystem::create_directory(path, code)) {
    return io_error("make the folder", path, code);
  }
  if (!std::filesystem::exists(marker, code)) {
    AC_TRY_STATUS(write_file(marker.string(), kMarkerText));
  }
  return folder;
}

bool BuildFolder::has(const std::string& name) const {
  std::error_code code;
  return std::filesystem::exists(path_ + "/" + name, code);
}

Result<Checkpoint> BuildFolder::load(const std::string& name) const {
  return open_gguf(path_ + "/" + name);
}

Result<Checkpoint> BuildFolder::store(const std::string& name, const Checkpoint& checkpoint) const {
  const std::string path = path_ + "/" + name;
  AC_TRY(const std::unique_ptr<FileWriter> out, create_file(path));
  if (Status status = write_gguf(checkpoint, *out); !status) {
    return with_context(status.error(), path);
  }
  AC_TRY_STATUS(out->commit());
  return load(name);
}

Status BuildFolder::remove() const {
  // Only files that were made here, never a folder inside.
  std::error_code code;
  std::vector<std::filesystem::path> made;
  for (const auto& entry : std::filesystem::directory_iterator(path_, code)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".gguf") || name.ends_with(".json") || name == kMarker) {
      made.push_back(entry.path());
    }
  }
  if (code) return io_error("list", path_, code);
  for (const auto& path : made) {
    if (!std::filesystem::remove(path, code)) return io_error("remove", path.string(), code);
  }
  if (!std::filesystem::remove(path_, code)) return io_error("remove", path_, code);
  return {};
}

Result<Part> Stage::keyed_part(const std::string& key, const std::string& name,
                               const std::function<Result<Part>()>& make) const {
  const std::string file = fmt::format("{}-{}.gguf", key, name);
  Part part;
  if (parts_.folder->has(file)) {
    AC_TRY(part.tensors, parts_.folder->load(file));
    part.removed = strings_or_none(part.tensors, kRemovedKey);
    part.notes = strings_or_none(part.tensors, kNotesKey);
    return part;
  }
  AC_TRY(part, make());
  part.tensors.set_string("general.architecture", "agentcompress.part");
  if (!part.removed.empty()) part.tensors.set_strings(std::string(kRemovedKey), part.removed);
  if (!part.notes.empty()) part.tensors.set_strings(std::string(kNotesKey), part.notes);
  AC_TRY(part.tensors, parts_.folder->store(file, part.tensors));
  return part;
}

Checkpoint assemble(std::shared_ptr<const Checkpoint> from, std::vector<Part> parts) {
  Checkpoint made;
  made.origin = from->origin;
  made.metadata = from->metadata;
  std::set<std::string, std::less<>> removed;
  for (const Part& part : parts) removed.insert(part.removed.begin(), part.removed.end());
  for (const std::string& name : from->tensor_order) {
    if (!removed.contains(name)) made.set_tensor(name, from->tensors.at(name));
  }
  for (Part& part : parts) {
    for (const std::string& name : part.tensors.tensor_order) {
      made.set_tensor(name, part.tensors.tensors.at(name));
    }
    made.keep_alive(std::make_shared<Checkpoint>(std::move(part.tensors)));
  }
  made.keep_alive(std::move(from));
  return made;
}

}  // namespace ac
