// A cursor over bytes from outside. Every read is checked against what is left; nothing is
// allocated.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "runtime/core/result.h"

namespace ac {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t offset() const { return offset_; }
  uint64_t left() const { return bytes_.size() - offset_; }

  // `what` names the field in the error. Numbers are little-endian, as is every machine we run on.
  template <class T>
  requires std::integral<T> || std::floating_point<T> Result<T> number(std::string_view what) {
    AC_TRY(const std::span<const std::byte> raw, take(sizeof(T), what));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }

  Result<std::span<const std::byte>> take(uint64_t n_bytes, std::string_view what) {
    if (n_bytes > left()) {
      return fail(ErrorCode::kCorruptFile, "offset {}: {} needs {} bytes, but only {} are left",
                  offset_, what, n_bytes, left());
    }
    const auto taken = bytes_.subspan(offset_, n_bytes);
    offset_ += n_bytes;
    return taken;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t offset_ = 0;
};

// A file's text as it may be shown in a message: control bytes become '?', long text is cut.
inline std::string printable(std::string_view text) {
  std::string shown(text.substr(0, 80));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  if (text.size() > shown.size()) shown += "...";
  return shown;
}

// Whether a name from a file may be a key, a tensor's or a member's name: not empty, not longer
// than `max_bytes`, no control bytes.
inline bool is_plain_name(std::string_view name, size_t max_bytes) {
  if (name.empty() || name.size() > max_bytes) return false;
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

}  // namespace ac
