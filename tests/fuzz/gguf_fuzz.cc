// GGUF: whatever is accepted has its tensors inside the file, aligned and apart, and survives being
// written and read again.
#include <algorithm>
#include <cstring>

#include "models/store/gguf.h"
#include "tests/fuzz/fuzz_check.h"

namespace {

class StringWriter final : public ac::FileWriter {
 public:
  using FileWriter::write;
  ac::Status write(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  ac::Status commit() override { return {}; }
  uint64_t offset_bytes() const override { return text.size(); }
  std::string text;
};

std::string written(const ac::Checkpoint& checkpoint) {
  StringWriter out;
  FUZZ_CHECK(write_gguf(checkpoint, out));
  return std::move(out.text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ac::test::AlignedCopy input(data, size);
  const auto read = ac::parse_gguf(input.bytes(), nullptr, "fuzz");
  if (!read) return 0;
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  for (const auto& [name, view] : read->tensors) {
    const std::byte* end = view.data + view.size_bytes;
    FUZZ_CHECK(view.data >= input.bytes().data() && end <= input.bytes().data() + size);
    FUZZ_CHECK(reinterpret_cast<uintptr_t>(view.data) % 8 == 0);
    FUZZ_CHECK(*ac::tensor_bytes(view.format, view.axes()) == view.size_bytes);
    ranges.emplace_back(view.data, end);
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) FUZZ_CHECK(ranges[i - 1].second <= ranges[i].first);
  // The second writing has nothing left to normalise.
  const std::string once = written(*read);
  const ac::test::AlignedCopy copy(reinterpret_cast<const uint8_t*>(once.data()), once.size());
  const auto again = ac::parse_gguf(copy.bytes(), nullptr, "fuzz");
  FUZZ_CHECK(again.has_value());
  FUZZ_CHECK(again->tensors.size() == read->tensors.size());
  FUZZ_CHECK(written(*again) == once);
  return 0;
}
