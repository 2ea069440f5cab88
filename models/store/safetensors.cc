// safetensors: u64 header size, a JSON header, the buffer.
//
//   { "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
//     "__metadata__": {"key": "value"} }
//
// The tensors cover the buffer exactly: no holes, no overlaps, nothing after it, so that a file
// cannot be two things at once.
#include "models/store/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "models/store/byte_reader.h"
#include "models/store/safetensors_reader.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"

namespace ac {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kMaxNameBytes = 512;
constexpr size_t kMaxTensors = 65536;
constexpr int kHeaderDepth = 3;  // header, tensor, shape

struct Entry {
  std::string name;
  TensorView view;
  uint64_t begin = 0;
  uint64_t end = 0;
};

Result<WeightFormat> format_of(const std::string& dtype) {
  if (dtype == "F32") return WeightFormat::kF32;
  if (dtype == "F16") return WeightFormat::kF16;
  if (dtype == "BF16") return WeightFormat::kBF16;
  return fail(ErrorCode::kUnsupported, "has the dtype {}, expected F32, F16 or BF16",
              printable(dtype));
}

// A number of `array`, which an entry's shape or offsets are. Only whole, not negative ones.
Result<uint64_t> element(const Json& array, size_t i) {
  const Json& value = array[i];
  if (!value.is_number_unsigned() || value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    return fail(ErrorCode::kCorruptFile, "has a shape or an offset that is not a whole number");
  }
  return value.get<uint64_t>();
}

Result<Entry> read_entry(const std::string& name, const Json& json) {
  if (!json.is_object() || json.size() != 3) {
    return fail(ErrorCode::kCorruptFile, "has other keys than dtype, shape and data_offsets");
  }
  Entry entry;
  entry.name = name;
  AC_TRY(const std::string dtype, json_string(json, "dtype"));
  AC_TRY(entry.view.format, format_of(dtype));
  const Json* shape = json_find(json, "shape");
  const Json* offsets = json_find(json, "data_offsets");
  if (shape == nullptr || !shape->is_array() || offsets == nullptr || !offsets->is_array() ||
      offsets->size() != 2) {
    return fail(ErrorCode::kCorruptFile, "has no shape or no pair of data_offsets");
  }
  if (shape->empty() || shape->size() > 4) {
    return fail(ErrorCode::kUnsupported, "has {} axes, expected 1 to 4", shape->size());
  }
  entry.view.n_axes = static_cast<int>(shape->size());
  for (size_t i = 0; i < shape->size(); ++i) {
    AC_TRY(const uint64_t length, element(*shape, i));
    entry.view.shape[i] = static_cast<int64_t>(length);
  }
  AC_TRY(entry.begin, element(*offsets, 0));
  AC_TRY(entry.end, element(*offsets, 1));
  AC_TRY(entry.view.size_bytes, tensor_bytes(entry.view.format, entry.view.axes()));
  if (entry.end < entry.begin || entry.end - entry.begin != entry.view.size_bytes) {
    return fail(ErrorCode::kCorruptFile, "has data_offsets [{}, {}], but its shape takes {} bytes",
                entry.begin, entry.end, entry.view.size_bytes);
  }
  return entry;
}

Status check_metadata(const Json& json) {
  if (!json.is_object()) return fail(ErrorCode::kCorruptFile, "__metadata__ is not an object");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) {
      return fail(ErrorCode::kCorruptFile, "__metadata__ key '{}' is not a string", printable(key));
    }
  }
  return {};
}

Result<std::vector<Entry>> read_header(std::string_view text) {
  if (text.empty() || text[0] != '{') {
    return fail(ErrorCode::kCorruptFile, "the header does not begin with '{{'");
  }
  AC_TRY(const Json header,
         parse_json(text, {.max_bytes = kMaxHeaderBytes, .max_depth = kHeaderDepth}));
  if (header.size() > kMaxTensors) {
    return fail(ErrorCode::kCorruptFile, "has {} tensors, at most {} expected", header.size(),
                kMaxTensors);
  }
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") {
      AC_TRY_STATUS(check_metadata(json));
      continue;
    }
    if (!is_plain_name(name, kMaxNameBytes)) {
      return fail(ErrorCode::kCorruptFile, "'{}' is not a tensor's name", printable(name));
    }
    auto entry = read_entry(name, json);
    if (!entry) return with_context(entry.error(), fmt::format("tensor '{}'", name));
    entries.push_back(std::move(*entry));
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.begin < b.begin; });
  return entries;
}

Status check_cover(const std::vector<Entry>& entries, uint64_t buffer_bytes) {
  uint64_t covered = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != covered) {
      return fail(ErrorCode::kCorruptFile, "tensor '{}' begins at {} of the buffer, expected {}",
                  entry.name, entry.begin, covered);
    }
    covered = entry.end;
  }
  if (covered != buffer_bytes) {
    return fail(ErrorCode::kCorruptFile, "the tensors take {} bytes, the file has {}", covered,
                buffer_bytes);
  }
  return {};
}

}  // namespace

Status parse_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                         Checkpoint& out) {
  ByteReader in(bytes);
  AC_TRY(const uint64_t header_bytes, in.number<uint64_t>("the size of the header"));
  if (header_bytes > kMaxHeaderBytes) {
    return fail(ErrorCode::kCorruptFile, "declares a header of {} bytes, at most {} expected",
                header_bytes, kMaxHeaderBytes);
  }
  AC_TRY(const std::span<const std::byte> header, in.take(header_bytes, "the header"));
  AC_TRY(const std::vector<Entry> entries,
         read_header({reinterpret_cast<const char*>(header.data()), header.size()}));
  const std::span<const std::byte> buffer = bytes.subspan(in.offset());
  AC_TRY_STATUS(check_cover(entries, buffer.size()));
  for (const Entry& entry : entries) {
    if (out.tensors.find(entry.name) != out.tensors.end()) {
      return fail(ErrorCode::kCorruptFile, "tensor '{}' occurs twice", entry.name);
    }
    TensorView view = entry.view;
    view.data = buffer.data() + entry.begin;
    const uint64_t number_bytes = view.format == WeightFormat::kF32 ? 4 : 2;
    if (reinterpret_cast<uintptr_t>(view.data) % number_bytes == 0) {
      out.set_tensor(entry.name, view);
      continue;
    }
    // Files from before writers padded the header: numbers at odd addresses cannot be used in
    // place.
    AC_TRY(const std::span<std::byte> copy, out.add_tensor(entry.name, view.format, view.axes()));
    std::memcpy(copy.data(), view.data, view.size_bytes);
  }
  out.keep_alive(std::move(owner));
  return {};
}

Result<Checkpoint> open_safetensors(const std::string& path) {
  AC_TRY(std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  Checkpoint checkpoint;
  checkpoint.origin = path;
  const std::span<const std::byte> bytes = file->bytes();
  if (Status status = parse_safetensors(bytes, std::move(file), checkpoint); !status) {
    return with_context(status.error(), path);
  }
  return checkpoint;
}

}  // namespace ac
