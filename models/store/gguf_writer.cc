// GGUF version 3 writer.
//
//   "GGUF" u32:3 u64:n_tensors u64:n_keys
//   n_keys    x { string key, u32 type, value }                      keys in ascending order
//   n_tensors x { string name, u32 n_axes, u64 axis (innermost first) x n_axes, u32 type, u64
//   offset } zeros up to the alignment, then each tensor followed by zeros up to the alignment
//   string = u64 length, bytes
#include <concepts>
#include <cstring>

#include "models/store/gguf.h"
#include "models/store/gguf_layout.h"

namespace ac {
namespace {

class HeaderWriter {
 public:
  template <class T>
  requires std::integral<T> || std::floating_point<T>
  void number(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out_.append(raw, sizeof(T));
  }
  void string(std::string_view text) {
    number(uint64_t{text.size()});
    out_.append(text);
  }
  void bytes(std::span<const std::byte> raw) {
    out_.append(reinterpret_cast<const char*>(raw.data()), raw.size());
  }
  void value(const MetaValue& value) {
    number(static_cast<uint32_t>(value.type));
    switch (value.type) {
      case MetaType::kU8:
        return number(static_cast<uint8_t>(get<uint64_t>(value)));
      case MetaType::kU16:
        return number(static_cast<uint16_t>(get<uint64_t>(value)));
      case MetaType::kU32:
        return number(static_cast<uint32_t>(get<uint64_t>(value)));
      case MetaType::kU64:
        return number(get<uint64_t>(value));
      case MetaType::kI8:
        return number(static_cast<int8_t>(get<int64_t>(value)));
      case MetaType::kI16:
        return number(static_cast<int16_t>(get<int64_t>(value)));
      case MetaType::kI32:
        return number(static_cast<int32_t>(get<int64_t>(value)));
      case MetaType::kI64:
        return number(get<int64_t>(value));
      case MetaType::kF32:
        return number(static_cast<float>(get<double>(value)));
      case MetaType::kF64:
        return number(get<double>(value));
      case MetaType::kBool:
        return number(static_cast<uint8_t>(get<bool>(value) ? 1 : 0));
      case MetaType::kString:
        return string(get<std::string>(value));
      case MetaType::kArray: {
        const auto& array = get<MetaArray>(value);
        number(static_cast<uint32_t>(array.element));
        number(array.count);
        bytes(array.numbers);
        for (const std::string_view text : array.strings) string(text);
        return;
      }
    }
  }
  void pad(uint64_t alignment) {
    out_.append((alignment - out_.size() % alignment) % alignment, '\0');
  }
  const std::string& text() const { return out_; }

 private:
  // A checkpoint's type and its value are set together; that they agree is our own doing.
  template <class T>
  static const T& get(const MetaValue& value) {
    const T* held = std::get_if<T>(&value.value);
    AC_CHECK(held != nullptr);
    return *held;
  }
  std::string out_;
};

struct Layout {
  std::string header;  // padded to the alignment
  uint64_t alignment = kDefaultAlignment;
  uint64_t size_bytes = 0;
};

uint64_t padding(uint64_t size, uint64_t alignment) {
  return (alignment - size % alignment) % alignment;
}

Result<Layout> plan(const Checkpoint& checkpoint) {
  Layout layout;
  if (checkpoint.tensor_order.size() != checkpoint.tensors.size()) {
    return fail(ErrorCode::kInvalidArgument, "{}: {} tensors in order, {} in all",
                checkpoint.origin, checkpoint.tensor_order.size(), checkpoint.tensors.size());
  }
  for (const auto& [name, view] : checkpoint.tensors) {
    if (weight_format_info(view.format).group_rows > 1) layout.alignment = kPackedAlignment;
  }
  const bool own_alignment = layout.alignment != kDefaultAlignment;

  HeaderWriter out;
  out.bytes(std::as_bytes(std::span("GGUF", 4)));
  out.number(uint32_t{3});
  out.number(uint64_t{checkpoint.tensors.size()});
  const bool replaced = checkpoint.has(kAlignmentKey);
  out.number(uint64_t{checkpoint.metadata.size() - (replaced ? 1 : 0) + (own_alignment ? 1 : 0)});
  if (own_alignment) {
    out.string(kAlignmentKey);
    out.value(MetaValue{MetaType::kU32, layout.alignment});
  }
  for (const auto& [key, value] : checkpoint.metadata) {
    if (key == kAlignmentKey) continue;
    out.string(key);
    out.value(value);
  }
  uint64_t offset = 0;
  for (const std::string& name : checkpoint.tensor_order) {
    AC_TRY(const TensorView view, checkpoint.tensor(name));
    AC_TRY(const uint64_t size_bytes, tensor_bytes(view.format, view.axes()));
    AC_CHECK(size_bytes == view.size_bytes);
    out.string(name);
    out.number(static_cast<uint32_t>(view.n_axes));
    for (int i = view.n_axes; i-- > 0;) out.number(static_cast<uint64_t>(view.shape[i]));
    out.number(static_cast<uint32_t>(view.format));
    out.number(offset);
    offset += size_bytes;
    offset += padding(offset, layout.alignment);
  }
  if (!checkpoint.tensors.empty()) out.pad(layout.alignment);
  layout.header = out.text();
  layout.size_bytes = layout.header.size() + offset;
  return layout;
}

}  // namespace

Status write_gguf(const Checkpoint& checkpoint, FileWriter& out) {
  static constexpr std::byte kZeros[kPackedAlignment] = {};
  AC_TRY(const Layout layout, plan(checkpoint));
  AC_TRY_STATUS(out.write(std::string_view(layout.header)));
  for (const std::string& name : checkpoint.tensor_order) {
    AC_TRY(const TensorView view, checkpoint.tensor(name));
    AC_TRY_STATUS(out.write(std::span(view.data, view.size_bytes)));
    AC_TRY_STATUS(out.write(std::span(kZeros, padding(view.size_bytes, layout.alignment))));
  }
  return {};
}

Result<uint64_t> gguf_bytes(const Checkpoint& checkpoint) {
  AC_TRY(const Layout layout, plan(checkpoint));
  return layout.size_bytes;
}

}  // namespace ac
