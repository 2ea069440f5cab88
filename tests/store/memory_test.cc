// No file makes a reader take much more memory than the file has bytes: a lying count costs
// nothing.
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "models/store/gguf.h"
#include "models/store/zoo.h"
#include "tests/store/gguf_builder.h"
#include "tests/store/store_test_util.h"

namespace {

std::atomic<size_t> live_bytes{0}, peak_bytes{0};

void* counted_new(size_t size) {
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  const size_t live = live_bytes += malloc_usable_size(p);
  for (size_t peak = peak_bytes; live > peak && !peak_bytes.compare_exchange_weak(peak, live);) {
  }
  return p;
}

void counted_delete(void* p) noexcept {
  if (p == nullptr) return;
  live_bytes -= malloc_usable_size(p);
  std::free(p);
}

}  // namespace

void* operator new(size_t size) { return counted_new(size); }
void* operator new[](size_t size) { return counted_new(size); }
void operator delete(void* p) noexcept { counted_delete(p); }
void operator delete[](void* p) noexcept { counted_delete(p); }
void operator delete(void* p, size_t) noexcept { counted_delete(p); }
void operator delete[](void* p, size_t) noexcept { counted_delete(p); }

namespace ac {
namespace {

using testing::GgufBuilder;

// Bytes taken at most while `text` is read.
size_t peak_of(const std::string& text) {
  const std::unique_ptr<std::byte[]> copy(new std::byte[text.size()]);
  std::memcpy(copy.get(), text.data(), text.size());
  const size_t before = live_bytes;
  peak_bytes = before;
  { const auto read = parse_gguf({copy.get(), text.size()}, nullptr, "test"); }
  return peak_bytes - before;
}

void expect_modest(const std::string& text, const std::string& what) {
  const size_t peak = peak_of(text);
  EXPECT_LE(peak, 4 * text.size() + (1u << 20)) << what << ": " << text.size() << " bytes";
}

TEST(Memory, LyingCountsTakeNothing) {
  for (uint32_t version = 1; version <= 3; ++version) {
    for (const uint64_t lie :
         {uint64_t{1000}, uint64_t{1} << 20, uint64_t{1} << 31, uint64_t{1} << 40, UINT64_MAX}) {
      expect_modest(GgufBuilder(version).build(32, lie, 0), "tensors");
      expect_modest(GgufBuilder(version).build(32, 0, lie), "keys");
      for (uint32_t element = 0; element <= 12; ++element) {
        std::string raw;
        GgufBuilder::put(raw, element);
        GgufBuilder(version).put_count(raw, lie);
        expect_modest(GgufBuilder(version).pair("k", 9, raw).build(), "array");
      }
    }
  }
}

// Files of the smallest records there are, as many as are allowed.
TEST(Memory, ManySmallRecords) {
  for (const uint64_t n : {1000u, 4096u, 5000u}) {
    GgufBuilder b;
    for (uint64_t i = 0; i < n; ++i) {
      b.number("k" + std::to_string(i), 0, uint8_t{1});
    }
    expect_modest(b.build(), "keys");
  }
  for (const uint64_t n : {1000u, 16384u, 20000u}) {
    GgufBuilder b;
    b.u32("general.alignment", 8);
    for (uint64_t i = 0; i < n; ++i) b.tensor("t" + std::to_string(i), {1}, 0, 8 * i);
    b.data(std::string(8 * n, 'w'));
    expect_modest(b.build(8), "tensors");
  }
  for (const uint32_t version : {1u, 3u}) {
    GgufBuilder b(version);
    b.strings("s", std::vector<std::string>(300000));
    expect_modest(b.build(), "strings");
    GgufBuilder c(version);
    c.array("a", 0, std::vector<uint8_t>(3000000, 1));
    expect_modest(c.build(), "bytes");
  }
}

TEST(Memory, RealFiles) {
  for (const char* name : {"models/stories260K.gguf", "tokenizers/ggml-vocab-deepseek-llm.gguf"}) {
    const std::string path = testing::shared_data(name);
    if (path.empty()) GTEST_SKIP() << "no shared test data";
    expect_modest(testing::slurp(path), name);
  }
}

}  // namespace
}  // namespace ac
