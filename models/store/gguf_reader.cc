// GGUF reader: header, metadata, table of tensors, ranges. Nothing is allocated before the bytes
// that justify it are known to exist; a file's own counts are only ever compared with what is left
// of it.
#include <algorithm>
#include <bit>
#include <cstring>

#include "models/store/byte_reader.h"
#include "models/store/gguf.h"
#include "models/store/gguf_layout.h"

namespace ac {
namespace {

// Far above any file seen (hundreds of keys, a few thousand tensors); they bound the memory that
// tiny records can claim.
constexpr uint64_t kMaxKeys = 4096;
constexpr uint64_t kMaxTensors = 16384;
constexpr size_t kMaxNameBytes = 512;
constexpr uint64_t kMaxStringBytes = 1u << 20;
constexpr uint64_t kMaxElementStringBytes = 64u << 10;  // a token or a merge
constexpr uint64_t kMinAlignment = 8;                   // the widest number in a weight block
constexpr uint64_t kMaxAlignment = 64u << 10;

class GgufParser {
 public:
  explicit GgufParser(std::span<const std::byte> bytes) : bytes_(bytes), in_(bytes) {}

  Status parse(Checkpoint& out) {
    AC_TRY_STATUS(read_header());
    for (uint64_t i = 0; i < n_keys_; ++i) AC_TRY_STATUS(read_pair(out));
    out.tensor_order.reserve(n_tensors_);
    ranges_.reserve(n_tensors_);
    for (uint64_t i = 0; i < n_tensors_; ++i) AC_TRY_STATUS(read_tensor(out));
    return place_tensors(out);
  }

 private:
  struct Range {
    uint64_t begin;  // relative to the data section
    uint64_t end;
    const std::string* name;  // in out.tensors, whose nodes do not move
    TensorView* view;
  };

  // Counts and lengths: 32 bits in version 1, 64 bits since.
  Result<uint64_t> count(std::string_view what) {
    if (version_ == 1) {
      AC_TRY(const uint32_t narrow, in_.number<uint32_t>(what));
      return uint64_t{narrow};
    }
    return in_.number<uint64_t>(what);
  }
  uint64_t count_bytes() const { return version_ == 1 ? 4 : 8; }

  Result<std::string_view> string(std::string_view what, uint64_t max_bytes) {
    AC_TRY(const uint64_t length, count(what));
    if (length > max_bytes) {
      return fail(ErrorCode::kCorruptFile, "offset {}: {} is {} bytes long, at most {} expected",
                  in_.offset(), what, length, max_bytes);
    }
    AC_TRY(const std::span<const std::byte> raw, in_.take(length, what));
    return std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size());
  }

  Status read_header() {
    AC_TRY(const std::span<const std::byte> magic, in_.take(4, "the magic number"));
    if (std::memcmp(magic.data(), "GGUF", 4) != 0) {
      const std::string_view text(reinterpret_cast<const char*>(magic.data()), 4);
      return fail(ErrorCode::kCorruptFile, "begins with '{}', expected 'GGUF'", printable(text));
    }
    AC_TRY(version_, in_.number<uint32_t>("the version"));
    if (version_ < 1 || version_ > 3) {
      const uint32_t swapped = __builtin_bswap32(version_);
      if (swapped >= 1 && swapped <= 3) {
        return fail(ErrorCode::kUnsupported, "is a big-endian GGUF, only little-endian is read");
      }
      return fail(ErrorCode::kUnsupported, "is GGUF version {}, versions 1 to 3 are read",
                  version_);
    }
    AC_TRY(n_tensors_, count("the number of tensors"));
    AC_TRY(n_keys_, count("the number of keys"));
    // The smallest pair: a one-byte key, a type, a one-byte value. The smallest tensor record: a
    // one-byte name, one axis, type, offset.
    const uint64_t min_pair = count_bytes() + 1 + 4 + 1;
    const uint64_t min_tensor = count_bytes() + 1 + 4 + count_bytes() + 4 + 8;
    AC_TRY_STATUS(check_count("keys", n_keys_, kMaxKeys, min_pair));
    return check_count("tensors", n_tensors_, kMaxTensors, min_tensor);
  }

  Status check_count(std::string_view what, uint64_t n, uint64_t max, uint64_t min_bytes) const {
    if (n > max) {
      return fail(ErrorCode::kCorruptFile, "declares {} {}, at most {} expected", n, what, max);
    }
    if (n > in_.left() / min_bytes) {
      return fail(ErrorCode::kCorruptFile, "declares {} {}, but only {} bytes follow", n, what,
                  in_.left());
    }
    return {};
  }

  Status read_pair(Checkpoint& out) {
    const uint64_t at = in_.offset();
    AC_TRY(const std::string_view key, string("a key", kMaxNameBytes));
    if (!is_plain_name(key, kMaxNameBytes)) {
      return fail(ErrorCode::kCorruptFile, "offset {}: '{}' is not a key", at, printable(key));
    }
    AC_TRY(const uint32_t type, in_.number<uint32_t>("the type of a value"));
    if (key == kAlignmentKey) return read_alignment(type);
    Result<MetaValue> value = read_value(type);
    if (!value) return with_context(value.error(), fmt::format("key '{}'", key));
    if (!out.metadata.emplace(std::string(key), std::move(*value)).second) {
      return fail(ErrorCode::kCorruptFile, "key '{}' occurs twice", key);
    }
    return {};
  }

  // The alignment belongs to the file, not to the model: it is used here and not passed on.
  Status read_alignment(uint32_t type) {
    if (type != static_cast<uint32_t>(MetaType::kU32)) {
      return fail(ErrorCode::kCorruptFile, "key '{}' has type {}, expected u32", kAlignmentKey,
                  type);
    }
    if (has_alignment_) {
      return fail(ErrorCode::kCorruptFile, "key '{}' occurs twice", kAlignmentKey);
    }
    has_alignment_ = true;
    AC_TRY(const uint32_t value, in_.number<uint32_t>("the alignment"));
    if (!std::has_single_bit(value) || value < kMinAlignment || value > kMaxAlignment) {
      return fail(ErrorCode::kCorruptFile, "alignment {}, expected a power of two from {} to {}",
                  value, kMinAlignment, kMaxAlignment);
    }
    alignment_ = value;
    return {};
  }

  template <class T, class Wide>
  Result<MetaValue> number(MetaType type) {
    AC_TRY(const T value, in_.number<T>("a value"));
    return MetaValue{type, static_cast<Wide>(value)};
  }

  Result<MetaValue> read_value(uint32_t type_id) {
    const auto type = static_cast<MetaType>(type_id);
    switch (type) {
      case MetaType::kU8:
        return number<uint8_t, uint64_t>(type);
      case MetaType::kU16:
        return number<uint16_t, uint64_t>(type);
      case MetaType::kU32:
        return number<uint32_t, uint64_t>(type);
      case MetaType::kU64:
        return number<uint64_t, uint64_t>(type);
      case MetaType::kI8:
        return number<int8_t, int64_t>(type);
      case MetaType::kI16:
        return number<int16_t, int64_t>(type);
      case MetaType::kI32:
        return number<int32_t, int64_t>(type);
      case MetaType::kI64:
        return number<int64_t, int64_t>(type);
      case MetaType::kF32:
        return number<float, double>(type);
      case MetaType::kF64:
        return number<double, double>(type);
      case MetaType::kBool: {
        AC_TRY(const uint8_t value, in_.number<uint8_t>("a value"));
        if (value > 1) {
          return fail(ErrorCode::kCorruptFile, "a bool is {}, expected 0 or 1", value);
        }
        return MetaValue{type, value == 1};
      }
      case MetaType::kString: {
        AC_TRY(const std::string_view text, string("a string", kMaxStringBytes));
        return MetaValue{type, std::string(text)};
      }
      case MetaType::kArray:
        return read_array();
    }
    return fail(ErrorCode::kCorruptFile, "offset {}: unknown value type {}", in_.offset() - 4,
                type_id);
  }

  Result<MetaValue> read_array() {
    AC_TRY(const uint32_t element_id, in_.number<uint32_t>("the type of an array's elements"));
    MetaArray array;
    array.element = static_cast<MetaType>(element_id);
    AC_TRY(array.count, count("the length of an array"));
    if (array.element == MetaType::kArray) {
      return fail(ErrorCode::kUnsupported, "arrays of arrays are not read");
    }
    if (element_id > static_cast<uint32_t>(MetaType::kF64)) {
      return fail(ErrorCode::kCorruptFile, "offset {}: unknown element type {}", in_.offset(),
                  element_id);
    }
    const bool strings = array.element == MetaType::kString;
    const uint64_t min_bytes = strings ? count_bytes() : meta_type_bytes(array.element);
    if (array.count > in_.left() / min_bytes) {
      return fail(ErrorCode::kCorruptFile,
                  "offset {}: an array of {} elements, but only {} bytes follow", in_.offset(),
                  array.count, in_.left());
    }
    if (strings) {
      array.strings.reserve(array.count);
      for (uint64_t i = 0; i < array.count; ++i) {
        AC_TRY(const std::string_view text, string("a string of an array", kMaxElementStringBytes));
        array.strings.push_back(text);
      }
    } else {
      AC_TRY(const std::span<const std::byte> raw, in_.take(array.count * min_bytes, "an array"));
      array.numbers.assign(raw.begin(), raw.end());
      if (array.element == MetaType::kBool &&
          std::any_of(raw.begin(), raw.end(), [](std::byte b) { return b > std::byte{1}; })) {
        return fail(ErrorCode::kCorruptFile, "an array of bools holds other bytes than 0 and 1");
      }
    }
    return MetaValue{MetaType::kArray, std::move(array)};
  }

  Status read_tensor(Checkpoint& out) {
    const uint64_t at = in_.offset();
    AC_TRY(const std::string_view name, string("a tensor's name", kMaxNameBytes));
    if (!is_plain_name(name, kMaxNameBytes)) {
      return fail(ErrorCode::kCorruptFile, "offset {}: '{}' is not a tensor's name", at,
                  printable(name));
    }
    Result<Range> range = read_tensor_body(name, out);
    if (!range) return with_context(range.error(), fmt::format("tensor '{}'", name));
    ranges_.push_back(*range);
    return {};
  }

  Result<Range> read_tensor_body(std::string_view name, Checkpoint& out) {
    AC_TRY(const uint32_t n_axes, in_.number<uint32_t>("the number of axes"));
    if (n_axes < 1 || n_axes > 4) {
      return fail(ErrorCode::kCorruptFile, "has {} axes, expected 1 to 4", n_axes);
    }
    TensorView view;
    view.n_axes = static_cast<int>(n_axes);
    for (uint32_t i = 0; i < n_axes; ++i) {  // the file lists the innermost axis first
      AC_TRY(const uint64_t length, count("an axis"));
      if (length > static_cast<uint64_t>(INT64_MAX)) {
        return fail(ErrorCode::kCorruptFile, "an axis has length {}", length);
      }
      view.shape[n_axes - 1 - i] = static_cast<int64_t>(length);
    }
    AC_TRY(const uint32_t type, in_.number<uint32_t>("the type of a tensor"));
    AC_TRY(const uint64_t begin, in_.number<uint64_t>("the offset of a tensor"));
    const std::optional<WeightFormat> format = weight_format_from_id(type);
    if (!format) return fail(ErrorCode::kUnsupported, "has the unknown weight type {}", type);
    view.format = *format;
    AC_TRY(view.size_bytes, tensor_bytes(view.format, view.axes()));
    uint64_t end = 0;
    if (__builtin_add_overflow(begin, view.size_bytes, &end)) {
      return fail(ErrorCode::kCorruptFile, "offset {} and size {} overflow", begin,
                  view.size_bytes);
    }
    const auto [at, inserted] = out.tensors.emplace(std::string(name), view);
    if (!inserted) return fail(ErrorCode::kCorruptFile, "occurs twice");
    out.tensor_order.emplace_back(name);
    return Range{begin, end, &at->first, &at->second};
  }

  Status place_tensors(Checkpoint& out) {
    if (out.tensors.empty()) return {};
    const uint64_t data_begin = (in_.offset() + alignment_ - 1) / alignment_ * alignment_;
    if (data_begin > bytes_.size()) {
      return fail(ErrorCode::kCorruptFile, "ends before its tensors begin, at offset {}",
                  data_begin);
    }
    const std::span<const std::byte> data = bytes_.subspan(data_begin);
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    const Range* before = nullptr;
    for (const Range& range : ranges_) {
      if (range.end > data.size()) {
        return fail(ErrorCode::kCorruptFile,
                    "tensor '{}' ends at offset {} of the tensor data, which has {} bytes",
                    *range.name, range.end, data.size());
      }
      const uint64_t wanted = std::max(
          alignment_, weight_format_info(range.view->format).group_rows > 1 ? kPackedAlignment : 1);
      // The data section itself is only aligned to the file's alignment.
      if (range.begin % alignment_ != 0 || (data_begin + range.begin) % wanted != 0) {
        return fail(ErrorCode::kCorruptFile,
                    "tensor '{}' is at offset {}, expected a multiple of {}", *range.name,
                    range.begin, wanted);
      }
      if (before != nullptr && range.begin < before->end) {
        return fail(ErrorCode::kCorruptFile, "tensors '{}' and '{}' overlap", *before->name,
                    *range.name);
      }
      range.view->data = data.data() + range.begin;
      before = &range;
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  ByteReader in_;
  uint32_t version_ = 0;
  uint64_t n_tensors_ = 0;
  uint64_t n_keys_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  bool has_alignment_ = false;
  std::vector<Range> ranges_;
};

}  // namespace

Result<Checkpoint> parse_gguf(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                              std::string origin) {
  // Tensors are used in place: the numbers in them need an aligned beginning.
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kMinAlignment != 0) {
    return fail(ErrorCode::kInvalidArgument, "{}: not at an address that is a multiple of {}",
                origin, kMinAlignment);
  }
  Checkpoint checkpoint;
  checkpoint.origin = std::move(origin);
  GgufParser parser(bytes);
  if (Status status = parser.parse(checkpoint); !status) {
    return with_context(status.error(), checkpoint.origin);
  }
  checkpoint.keep_alive(std::move(owner));
  return checkpoint;
}

Result<Checkpoint> open_gguf(const std::string& path) {
  AC_TRY(std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  AC_TRY(Checkpoint checkpoint, parse_gguf(file->bytes(), file, path));
  checkpoint.drop_pages = [file](std::span<const std::byte> range) { file->drop_pages(range); };
  return checkpoint;
}

}  // namespace ac
