// Builds GGUF files byte by byte, right or deliberately wrong: what the writer under test would
// never write. Shares no code with models/store.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace ac::testing {

class GgufBuilder {
 public:
  explicit GgufBuilder(uint32_t version = 3) : version_(version) {}

  template <class T>
  static void put(std::string& to, T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    to.append(raw, sizeof(T));
  }
  // A count or a length, as wide as the version has it.
  void put_count(std::string& to, uint64_t n) const {
    if (version_ == 1) {
      put(to, static_cast<uint32_t>(n));
    } else {
      put(to, n);
    }
  }
  void put_string(std::string& to, std::string_view text) const {
    put_count(to, text.size());
    to.append(text);
  }

  // A pair whose value is given as raw bytes.
  GgufBuilder& pair(std::string_view key, uint32_t type, std::string_view raw) {
    put_string(pairs_, key);
    put(pairs_, type);
    pairs_.append(raw);
    ++n_pairs_;
    return *this;
  }
  template <class T>
  GgufBuilder& number(std::string_view key, uint32_t type, T value) {
    std::string raw;
    put(raw, value);
    return pair(key, type, raw);
  }
  GgufBuilder& u32(std::string_view key, uint32_t value) { return number(key, 4, value); }
  GgufBuilder& f32(std::string_view key, float value) { return number(key, 6, value); }
  GgufBuilder& string(std::string_view key, std::string_view value) {
    std::string raw;
    put_string(raw, value);
    return pair(key, 8, raw);
  }
  GgufBuilder& strings(std::string_view key, const std::vector<std::string>& values) {
    std::string raw;
    put(raw, uint32_t{8});
    put_count(raw, values.size());
    for (const std::string& value : values) put_string(raw, value);
    return pair(key, 9, raw);
  }
  template <class T>
  GgufBuilder& array(std::string_view key, uint32_t element, const std::vector<T>& values) {
    std::string raw;
    put(raw, element);
    put_count(raw, values.size());
    for (const T value : values) put(raw, value);
    return pair(key, 9, raw);
  }

  // A tensor record; `axes` innermost first, as in the file.
  GgufBuilder& tensor(std::string_view name, const std::vector<uint64_t>& axes, uint32_t type,
                      uint64_t offset) {
    put_string(tensors_, name);
    put(tensors_, static_cast<uint32_t>(axes.size()));
    for (const uint64_t axis : axes) put_count(tensors_, axis);
    put(tensors_, type);
    put(tensors_, offset);
    ++n_tensors_;
    return *this;
  }
  // The tensor data, placed after padding to `alignment`.
  GgufBuilder& data(std::string bytes) {
    data_ = std::move(bytes);
    return *this;
  }

  uint64_t n_pairs() const { return n_pairs_; }
  uint64_t n_tensors() const { return n_tensors_; }
  std::string build(uint64_t alignment = 32) const {
    return build(alignment, n_tensors_, n_pairs_);
  }
  // With counts that may lie.
  std::string build(uint64_t alignment, uint64_t n_tensors, uint64_t n_pairs) const {
    std::string out = "GGUF";
    put(out, version_);
    put_count(out, n_tensors);
    put_count(out, n_pairs);
    out += pairs_ + tensors_;
    if (!data_.empty()) out.append((alignment - out.size() % alignment) % alignment, '\0');
    return out + data_;
  }

 private:
  uint32_t version_;
  std::string pairs_, tensors_, data_;
  uint64_t n_pairs_ = 0, n_tensors_ = 0;
};

}  // namespace ac::testing
