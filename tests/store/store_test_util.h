// Shared by the tests of models/store.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "models/store/gguf.h"

namespace ac::testing {

// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = ::testing::TempDir() + "ac_store_XXXXXX";
    const char* made = mkdtemp(pattern.data());
    AC_CHECK(made != nullptr);
    path_ = made;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline void spill(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}
inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

// A path below the shared test data, or "" where it is absent.
inline std::string shared_data(const std::string& below) {
  const std::string path = std::string(AC_SHARED_DATA) + "/" + below;
  return std::filesystem::exists(path) ? path : "";
}

// Parses a copy that ends exactly where the text ends, so that ASan sees one byte too many.
inline Result<Checkpoint> parse_gguf_text(std::string_view text, std::string origin = "test.gguf") {
  std::shared_ptr<std::byte[]> copy(new std::byte[text.size()]);
  std::memcpy(copy.get(), text.data(), text.size());
  const std::span<const std::byte> bytes(copy.get(), text.size());
  return parse_gguf(bytes, std::move(copy), std::move(origin));
}

// Collects what is written.
class StringWriter final : public FileWriter {
 public:
  using FileWriter::write;
  Status write(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  Status commit() override { return {}; }
  uint64_t offset_bytes() const override { return text.size(); }
  std::string text;
};

inline std::string gguf_text(const Checkpoint& checkpoint) {
  StringWriter out;
  const Status status = write_gguf(checkpoint, out);
  EXPECT_TRUE(status) << status.error().message;
  return std::move(out.text);
}

inline bool same_value(const MetaValue& a, const MetaValue& b) {
  if (a.type != b.type || a.value.index() != b.value.index()) return false;
  if (const auto* x = std::get_if<MetaArray>(&a.value)) {
    const auto& y = std::get<MetaArray>(b.value);
    return x->element == y.element && x->count == y.count && x->numbers == y.numbers &&
           x->strings == y.strings;
  }
  if (const auto* x = std::get_if<double>(&a.value)) {
    return std::memcmp(x, &std::get<double>(b.value), sizeof(double)) == 0;
  }
  if (const auto* x = std::get_if<std::string>(&a.value))
    return *x == std::get<std::string>(b.value);
  if (const auto* x = std::get_if<bool>(&a.value)) return *x == std::get<bool>(b.value);
  if (const auto* x = std::get_if<int64_t>(&a.value)) return *x == std::get<int64_t>(b.value);
  return std::get<uint64_t>(a.value) == std::get<uint64_t>(b.value);
}

inline bool same_tensor(const TensorView& a, const TensorView& b) {
  return a.format == b.format && a.n_axes == b.n_axes &&
         std::equal(a.shape, a.shape + 4, b.shape) && a.size_bytes == b.size_bytes &&
         std::memcmp(a.data, b.data, a.size_bytes) == 0;
}

// Empty when equal, otherwise what differs.
inline std::string difference(const Checkpoint& a, const Checkpoint& b) {
  if (a.metadata.size() != b.metadata.size()) return "another number of keys";
  for (const auto& [key, value] : a.metadata) {
    const auto other = b.metadata.find(key);
    if (other == b.metadata.end() || !same_value(value, other->second)) return key;
  }
  if (a.tensor_order != b.tensor_order) return "another order of tensors";
  for (const auto& [name, view] : a.tensors) {
    const auto other = b.tensors.find(name);
    if (other == b.tensors.end() || !same_tensor(view, other->second)) return name;
  }
  return "";
}

// What holds for every accepted file: ranges inside, aligned, disjoint.
inline void expect_sound(const Checkpoint& checkpoint, uintptr_t alignment = 8) {
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  for (const auto& [name, view] : checkpoint.tensors) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data) % alignment, 0u) << name;
    EXPECT_EQ(tensor_bytes(view.format, view.axes()).value(), view.size_bytes) << name;
    ranges.emplace_back(view.data, view.data + view.size_bytes);
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) EXPECT_LE(ranges[i - 1].second, ranges[i].first);
  EXPECT_EQ(checkpoint.tensor_order.size(), checkpoint.tensors.size());
  // Reading every byte lets ASan judge the ranges.
  unsigned sum = 0;
  for (const auto& [begin, end] : ranges) {
    for (const std::byte* p = begin; p != end; ++p) sum += static_cast<unsigned>(*p);
  }
  EXPECT_GE(sum, 0u);
}

}  // namespace ac::testing
