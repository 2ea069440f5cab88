// GGUF reader and writer: right files of every version, and every way we could think of being lied
// to.
#include "models/store/gguf.h"

#include <cmath>
#include <limits>

#include "tests/store/gguf_builder.h"
#include "tests/store/store_test_util.h"

namespace ac {
namespace {

using testing::difference;
using testing::expect_sound;
using testing::gguf_text;
using testing::GgufBuilder;
using testing::parse_gguf_text;
using testing::shared_data;
using testing::TemporaryFolder;

// Three small tensors and one key of each type: every branch of the reader, in under a kilobyte.
GgufBuilder small_builder(uint32_t version = 3) {
  GgufBuilder b(version);
  b.number("n.u8", 0, uint8_t{200})
      .number("n.i8", 1, int8_t{-3})
      .number("n.u16", 2, uint16_t{60000});
  b.number("n.i16", 3, int16_t{-30000}).u32("n.u32", 4000000000u).number("n.i32", 5, int32_t{-7});
  b.f32("n.f32", 0.1f).number("n.bool", 7, uint8_t{1}).string("general.architecture", "llama");
  b.number("n.u64", 10, uint64_t{1} << 60).number("n.i64", 11, -(int64_t{1} << 60));
  b.number("n.f64", 12, 0.1).strings("a.strings", {"one", "", "three"});
  b.array<float>("a.f32", 6, {1.5f, -2.0f}).array<int32_t>("a.i32", 5, {-1, 2, 3});
  b.array<uint8_t>("a.bool", 7, {0, 1, 1});
  b.tensor("a.weight", {4, 3}, 0, 0)
      .tensor("b.weight", {32, 2}, 8, 64)
      .tensor("c.weight", {5}, 1, 160);
  std::string data(170, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i);
  return b.data(data);
}

ErrorCode code_of(const std::string& text) {
  const auto result = parse_gguf_text(text);
  EXPECT_FALSE(result.has_value());
  return result ? ErrorCode::kCancelled : result.error().code;
}

std::string message_of(const std::string& text) {
  const auto result = parse_gguf_text(text);
  EXPECT_FALSE(result.has_value());
  return result ? "" : result.error().message;
}

TEST(Gguf, ReadsEveryTypeInEveryVersion) {
  for (const uint32_t version : {1u, 2u, 3u}) {
    SCOPED_TRACE(version);
    const auto read = parse_gguf_text(small_builder(version).build());
    ASSERT_TRUE(read) << read.error().message;
    const Checkpoint& c = *read;
    expect_sound(c);
    EXPECT_EQ(c.get_uint("n.u8", 0, 255).value(), 200u);
    EXPECT_EQ(std::get<int64_t>(c.metadata.find("n.i8")->second.value), -3);
    EXPECT_EQ(c.get_uint("n.u16", 0, 65535).value(), 60000u);
    EXPECT_EQ(std::get<int64_t>(c.metadata.find("n.i16")->second.value), -30000);
    EXPECT_EQ(c.get_uint("n.u32", 0, UINT32_MAX).value(), 4000000000u);
    EXPECT_EQ(c.get_number("n.i32").value(), -7);
    EXPECT_EQ(c.get_number("n.f32").value(), double{0.1f});
    EXPECT_TRUE(c.get_bool("n.bool").value());
    EXPECT_EQ(c.get_string("general.architecture").value(), "llama");
    EXPECT_EQ(c.get_uint("n.u64", 0, UINT64_MAX).value(), uint64_t{1} << 60);
    EXPECT_EQ(c.get_number("n.f64").value(), 0.1);
    const auto strings = c.get_strings("a.strings").value();
    ASSERT_EQ(strings.size(), 3u);
    EXPECT_EQ(strings[2], "three");
    EXPECT_EQ(c.get_floats("a.f32").value(), (std::vector<float>{1.5f, -2.0f}));
    EXPECT_EQ(c.get_integers("a.i32").value(), (std::vector<int64_t>{-1, 2, 3}));
    const TensorView a = c.tensor("a.weight").value();  // [3, 4]: the outermost axis first
    EXPECT_EQ(a.n_axes, 2);
    EXPECT_EQ(a.shape[0], 3);
    EXPECT_EQ(a.shape[1], 4);
    EXPECT_EQ(a.data[5], std::byte{5});
    EXPECT_EQ(c.tensor("b.weight").value().size_bytes, 68u);
    EXPECT_EQ(c.tensor_order, (std::vector<std::string>{"a.weight", "b.weight", "c.weight"}));
  }
}

TEST(Gguf, WritingAndReadingGivesTheSame) {
  for (const uint32_t version : {1u, 2u, 3u}) {
    const auto first = parse_gguf_text(small_builder(version).build());
    ASSERT_TRUE(first);
    const std::string text = gguf_text(*first);
    EXPECT_EQ(gguf_bytes(*first).value(), text.size());
    const auto second = parse_gguf_text(text);
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(difference(*first, *second), "");
    EXPECT_EQ(gguf_text(*second), text);
  }
}

TEST(Gguf, BothVersionsOfTheRealModelHoldTheSameTensors) {
  const std::string v3 = shared_data("models/stories260K.gguf");
  if (v3.empty()) GTEST_SKIP() << "no shared test data";
  const auto a = open_gguf(v3);
  const auto b = open_gguf(shared_data("models/stories260K-gguf-v1.gguf"));
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  ASSERT_EQ(a->tensors.size(), 48u);
  ASSERT_EQ(b->tensors.size(), 48u);
  for (const auto& [name, view] : a->tensors) {
    const auto twin = b->tensor(name);
    ASSERT_TRUE(twin) << name;
    EXPECT_TRUE(testing::same_tensor(view, *twin)) << name;
  }
  EXPECT_EQ(a->get_strings("tokenizer.ggml.tokens")->size(), 512u);
  // Through a file, once more.
  TemporaryFolder folder;
  auto out = create_file(folder / "copy.gguf");
  ASSERT_TRUE(out);
  ASSERT_TRUE(write_gguf(*b, **out));
  ASSERT_TRUE((*out)->commit());
  const auto copy = open_gguf(folder / "copy.gguf");
  ASSERT_TRUE(copy);
  EXPECT_EQ(difference(*b, *copy), "");
}

TEST(Gguf, ReadsTheVocabulariesOfRealModels) {
  const std::string folder = shared_data("tokenizers");
  if (folder.empty()) GTEST_SKIP() << "no shared test data";
  int n_read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto c = open_gguf(entry.path());
    ASSERT_TRUE(c) << c.error().message;
    EXPECT_GT(c->get_strings("tokenizer.ggml.tokens")->size(), 30000u) << entry.path();
    const auto copy = parse_gguf_text(gguf_text(*c));
    ASSERT_TRUE(copy);
    EXPECT_EQ(difference(*c, *copy), "");
    ++n_read;
  }
  EXPECT_EQ(n_read, 6);
}

TEST(Gguf, PackedFormatsAreAlignedToCacheLines) {
  Checkpoint c;
  c.origin = "packed";
  c.set_uint("a.key", 1);
  const int64_t odd[] = {5};
  const int64_t packed[] = {16, 64};
  ASSERT_TRUE(c.add_tensor("norm", WeightFormat::kF32, odd));
  ASSERT_TRUE(c.add_tensor("w", WeightFormat::kQ8_0_R16, packed));
  const std::string text = gguf_text(c);
  auto read = parse_gguf_text(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(difference(c, *read), "");
  const auto base = read->tensor("norm")->data;
  EXPECT_EQ((read->tensor("w")->data - base) % 64, 0);
  // The same tensor 32 bytes off a cache line is refused.
  std::string body(16 * 68, 'x');
  int refused = 0;
  for (const uint64_t offset : {0u, 32u}) {
    GgufBuilder b;
    b.tensor("w", {64, 16}, 0x41430008, offset).data(std::string(offset, ' ') + body);
    refused += parse_gguf_text(b.build()).has_value() ? 0 : 1;
  }
  EXPECT_EQ(refused, 1);
}

TEST(Gguf, CutAtEveryLength) {
  for (const uint32_t version : {1u, 3u}) {
    const std::string whole = small_builder(version).build();
    for (size_t n = 0; n < whole.size(); ++n) {
      const auto result = parse_gguf_text(whole.substr(0, n));
      ASSERT_FALSE(result.has_value()) << n << " of " << whole.size() << " bytes were accepted";
      EXPECT_EQ(result.error().code, ErrorCode::kCorruptFile) << n << ' ' << result.error().message;
    }
  }
}

// The last tensor of a builder's file ends where the file ends, so that each flip is judged under
// ASan.
TEST(Gguf, FlippedBitsNeverBreakTheRules) {
  const std::string whole = small_builder().build();
  int accepted = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const auto result = parse_gguf_text(flipped);
      if (!result) continue;
      ++accepted;
      expect_sound(*result);
      const auto again = parse_gguf_text(gguf_text(*result));
      ASSERT_TRUE(again) << again.error().message;
      ASSERT_EQ(difference(*result, *again), "") << i;
    }
  }
  EXPECT_GT(accepted, 0);  // values and weights carry no redundancy of their own
}

TEST(Gguf, FlippedBytesOfARealHeader) {
  const std::string path = shared_data("models/stories260K.gguf");
  if (path.empty()) GTEST_SKIP() << "no shared test data";
  std::string text = testing::slurp(path);
  const std::unique_ptr<std::byte[]> buffer(new std::byte[text.size()]);
  std::memcpy(buffer.get(), text.data(), text.size());
  for (size_t i = 0; i < 14176; ++i) {
    for (const std::byte mask : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
      buffer[i] ^= mask;
      const auto result = parse_gguf({buffer.get(), text.size()}, nullptr, "flipped");
      if (result) {
        for (const auto& [name, view] : result->tensors) {
          ASSERT_GE(view.data, buffer.get());
          ASSERT_LE(view.data + view.size_bytes, buffer.get() + text.size());
        }
      }
      buffer[i] ^= mask;
    }
  }
}

TEST(Gguf, SaysWhatAFileIsInstead) {
  EXPECT_EQ(code_of("ggjt\3\0\0\0"), ErrorCode::kCorruptFile);
  EXPECT_NE(message_of("PK\3\4 a zip").find("expected 'GGUF'"), std::string::npos);
  std::string big = "GGUF";
  big += std::string("\0\0\0\3", 4) + std::string(16, '\0');
  EXPECT_EQ(code_of(big), ErrorCode::kUnsupported);
  EXPECT_NE(message_of(big).find("big-endian"), std::string::npos);
  for (const uint32_t version : {0u, 4u, 77u, 0xffffffffu}) {
    EXPECT_EQ(code_of(GgufBuilder(version).build()), ErrorCode::kUnsupported) << version;
  }
}

TEST(Gguf, LyingCountsCostNothing) {
  for (const uint32_t version : {1u, 2u, 3u}) {
    for (const uint64_t lie : {uint64_t{18}, uint64_t{5000}, uint64_t{1} << 31, uint64_t{1} << 40,
                               uint64_t{1} << 61, UINT64_MAX / 33, UINT64_MAX}) {
      if (version == 1 && lie > UINT32_MAX) continue;  // its counts cannot say so much
      const GgufBuilder b = small_builder(version);
      EXPECT_EQ(code_of(b.build(32, lie, b.n_pairs())), ErrorCode::kCorruptFile) << lie;
      EXPECT_EQ(code_of(b.build(32, b.n_tensors(), lie)), ErrorCode::kCorruptFile) << lie;
    }
  }
  // Lengths of strings and arrays.
  for (const uint64_t lie : {uint64_t{100}, uint64_t{1} << 20, uint64_t{1} << 32, uint64_t{1} << 62,
                             uint64_t{1} << 63, UINT64_MAX}) {
    std::string length;
    GgufBuilder::put(length, lie);
    EXPECT_EQ(code_of(GgufBuilder().pair("s", 8, length).build()), ErrorCode::kCorruptFile) << lie;
    for (uint32_t element = 0; element <= 12; ++element) {
      if (element == 9) continue;
      std::string raw;
      GgufBuilder::put(raw, element);
      GgufBuilder::put(raw, lie);
      raw += std::string(64, '\0');
      EXPECT_EQ(code_of(GgufBuilder().pair("a", 9, raw).build()), ErrorCode::kCorruptFile)
          << element << ' ' << lie;
    }
  }
}

TEST(Gguf, RefusesWhatItDoesNotKnow) {
  for (const uint32_t type : {13u, 99u, 0xffffffffu}) {
    EXPECT_EQ(code_of(GgufBuilder().number("k", type, uint64_t{0}).build()),
              ErrorCode::kCorruptFile);
    std::string raw;
    GgufBuilder::put(raw, type);
    GgufBuilder::put(raw, uint64_t{1});
    raw += std::string(16, '\0');
    EXPECT_EQ(code_of(GgufBuilder().pair("k", 9, raw).build()), ErrorCode::kCorruptFile);
  }
  std::string nested;
  GgufBuilder::put(nested, uint32_t{9});
  GgufBuilder::put(nested, uint64_t{1});
  nested += std::string(32, '\0');
  EXPECT_EQ(code_of(GgufBuilder().pair("k", 9, nested).build()), ErrorCode::kUnsupported);
  // 4 and 5 were withdrawn, 16 and up are formats of others, 36 does not exist.
  for (const uint32_t type : {4u, 5u, 9u, 15u, 16u, 24u, 34u, 36u, 0x41430001u, 0xffffffffu}) {
    const std::string text =
        GgufBuilder().tensor("some.weight", {256}, type, 0).data(std::string(4096, 'x')).build();
    EXPECT_EQ(code_of(text), ErrorCode::kUnsupported) << type;
    EXPECT_NE(message_of(text).find("some.weight"), std::string::npos);
    EXPECT_NE(message_of(text).find(std::to_string(type)), std::string::npos);
  }
}

TEST(Gguf, RefusesBrokenNamesAndValues) {
  EXPECT_EQ(code_of(GgufBuilder().u32("", 1).build()), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(GgufBuilder().u32("a\nb", 1).build()), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(GgufBuilder().u32(std::string_view("a\0b", 3), 1).build()),
            ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(GgufBuilder().u32(std::string(513, 'k'), 1).build()), ErrorCode::kCorruptFile);
  EXPECT_TRUE(parse_gguf_text(GgufBuilder().u32(std::string(512, 'k'), 1).build()));
  EXPECT_EQ(code_of(GgufBuilder().u32("k", 1).f32("k", 1).build()), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(GgufBuilder().number("k", 7, uint8_t{2}).build()), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(GgufBuilder().array<uint8_t>("k", 7, {0, 1, 2}).build()),
            ErrorCode::kCorruptFile);
  EXPECT_TRUE(parse_gguf_text(GgufBuilder().string("k", std::string(1u << 20, 'x')).build()));
  EXPECT_EQ(code_of(GgufBuilder().string("k", std::string((1u << 20) + 1, 'x')).build()),
            ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(GgufBuilder().strings("k", {std::string((64u << 10) + 1, 'x')}).build()),
            ErrorCode::kCorruptFile);
  // No message carries a file's control bytes to the terminal.
  EXPECT_EQ(message_of(GgufBuilder().u32("\x1b[2J", 1).build()).find('\x1b'), std::string::npos);
}

TEST(Gguf, RefusesBrokenTensors) {
  const std::string data(128, 'x');
  const auto one = [&](const std::vector<uint64_t>& axes, uint32_t type, uint64_t offset) {
    return GgufBuilder().tensor("t", axes, type, offset).data(data).build();
  };
  EXPECT_TRUE(parse_gguf_text(one({32}, 0, 0)));
  EXPECT_TRUE(parse_gguf_text(one({2, 2, 2, 4}, 0, 0)));
  EXPECT_EQ(code_of(one({}, 0, 0)), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(one({1, 1, 1, 1, 1}, 0, 0)), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(one({0}, 0, 0)), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(one({4, 0}, 0, 0)), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(one({33}, 0, 0)), ErrorCode::kCorruptFile);       // one weight too many
  EXPECT_EQ(code_of(one({31}, 8, 0)), ErrorCode::kCorruptFile);       // not whole blocks
  EXPECT_EQ(code_of(one({8}, 0, 4)), ErrorCode::kCorruptFile);        // not aligned
  EXPECT_EQ(code_of(one({8}, 0, 128)), ErrorCode::kCorruptFile);      // begins at the end
  EXPECT_EQ(code_of(one({8}, 0, 1 << 20)), ErrorCode::kCorruptFile);  // begins past the end
  EXPECT_EQ(code_of(one({8}, 0, UINT64_MAX - 31)), ErrorCode::kCorruptFile);
  // Sizes and sums that wrap round.
  for (const uint64_t big :
       {uint64_t{1} << 32, uint64_t{1} << 60, uint64_t{1} << 62, uint64_t{1} << 63,
        (uint64_t{1} << 63) - 1, UINT64_MAX, UINT64_MAX - 31}) {
    EXPECT_EQ(code_of(one({big}, 0, 0)), ErrorCode::kCorruptFile) << big;
    EXPECT_EQ(code_of(one({32, big}, 8, 0)), ErrorCode::kCorruptFile) << big;
    EXPECT_EQ(code_of(one({big, big, big, big}, 0, 0)), ErrorCode::kCorruptFile) << big;
    EXPECT_EQ(code_of(one({big / 32 * 32, 2}, 8, 32)), ErrorCode::kCorruptFile) << big;
  }
  const auto two = [&](const std::string& second, uint64_t a, uint64_t b) {
    GgufBuilder builder;
    return builder.tensor("t", {16}, 0, a).tensor(second, {16}, 0, b).data(data).build();
  };
  EXPECT_TRUE(parse_gguf_text(two("u", 0, 64)));
  EXPECT_TRUE(parse_gguf_text(two("u", 64, 0)));
  EXPECT_EQ(code_of(two("t", 0, 64)), ErrorCode::kCorruptFile);  // twice the same name
  EXPECT_EQ(code_of(two("u", 0, 32)), ErrorCode::kCorruptFile);  // overlapping
  EXPECT_EQ(code_of(two("u", 0, 0)), ErrorCode::kCorruptFile);
  EXPECT_EQ(code_of(two("", 0, 64)), ErrorCode::kCorruptFile);
  // A table of tensors with no data at all.
  EXPECT_EQ(code_of(GgufBuilder().tensor("t", {1}, 0, 0).build()), ErrorCode::kCorruptFile);
}

TEST(Gguf, AlignmentOfAnyTypeAndValue) {
  const auto with = [](uint32_t type, uint64_t value, uint64_t alignment) {
    GgufBuilder b;
    b.number("general.alignment", type, value);
    b.tensor("t", {8}, 0, 0).tensor("u", {8}, 0, alignment).data(std::string(alignment + 32, 'x'));
    return b.build(alignment);
  };
  const auto u32 = [](uint32_t value) {
    GgufBuilder b;
    b.u32("general.alignment", value).tensor("t", {8}, 0, 0).tensor("u", {8}, 0, 65536);
    return b.data(std::string(65536 + 32, 'x')).build(value);
  };
  for (uint32_t value = 8; value <= 65536; value *= 2) {
    const auto read = parse_gguf_text(u32(value));
    ASSERT_TRUE(read) << read.error().message;
    const auto again = parse_gguf_text(gguf_text(*read));
    ASSERT_TRUE(again);
    EXPECT_EQ(difference(*read, *again), "");
  }
  for (const uint32_t value : {0u, 1u, 2u, 4u, 24u, 33u, 48u, 65535u, 1u << 17, 1u << 31}) {
    EXPECT_EQ(code_of(GgufBuilder().u32("general.alignment", value).build()),
              ErrorCode::kCorruptFile)
        << value;
  }
  for (const uint32_t type : {0u, 1u, 2u, 3u, 5u, 6u, 7u, 8u, 9u, 10u, 11u, 12u}) {
    EXPECT_EQ(code_of(with(type, 32, 32)), ErrorCode::kCorruptFile) << type;
  }
  GgufBuilder twice;
  twice.u32("general.alignment", 32).u32("general.alignment", 32);
  EXPECT_EQ(code_of(twice.build()), ErrorCode::kCorruptFile);
}

// Each of the 13 types against each typed getter: either it fits, or an error, never a crash.
TEST(Gguf, TypeConfusionMatrix) {
  std::vector<std::pair<std::string, std::string>> values;  // by type: name, raw
  const GgufBuilder v3;
  for (uint32_t type = 0; type <= 12; ++type) {
    std::string raw;
    if (type == 8) {
      v3.put_string(raw, "7");
    } else if (type == 9) {
      GgufBuilder::put(raw, uint32_t{0});
      v3.put_count(raw, 4);
      raw += std::string(4, '\1');
    } else if (type == 6) {
      GgufBuilder::put(raw, 7.0f);
    } else if (type == 12) {
      GgufBuilder::put(raw, 7.0);
    } else if (type == 7) {
      raw = "\1";
    } else {
      raw = "\7" + std::string(meta_type_bytes(static_cast<MetaType>(type)) - 1, '\0');
    }
    const auto c = parse_gguf_text(GgufBuilder().pair("key", type, raw).build());
    ASSERT_TRUE(c) << type << ' ' << c.error().message;
    const bool integer = type <= 5 || type == 10 || type == 11;
    const bool number = integer || type == 6 || type == 12;
    EXPECT_EQ(c->get_uint("key", 0, 10).has_value(), integer) << type;
    EXPECT_EQ(c->get_number("key").has_value(), number) << type;
    EXPECT_EQ(c->get_bool("key").has_value(), type == 7) << type;
    EXPECT_EQ(c->get_string("key").has_value(), type == 8) << type;
    EXPECT_FALSE(c->get_strings("key").has_value()) << type;
    EXPECT_FALSE(c->get_floats("key").has_value()) << type;
    EXPECT_EQ(c->get_integers("key").has_value(), type == 9) << type;
    EXPECT_FALSE(c->get_uint_or("key", 8, 10, 9).has_value()) << type;
    EXPECT_EQ(c->get_bool_or("key", false).has_value(), type == 7) << type;
    EXPECT_EQ(c->get_string_or("key", "").has_value(), type == 8) << type;
  }
  for (uint32_t element = 0; element <= 12; ++element) {
    if (element == 9) continue;
    std::string raw;
    GgufBuilder::put(raw, element);
    v3.put_count(raw, 2);
    if (element == 8) {
      v3.put_string(raw, "x");
      v3.put_string(raw, "y");
    } else {
      raw += std::string(2 * meta_type_bytes(static_cast<MetaType>(element)), '\0');
    }
    const auto c = parse_gguf_text(GgufBuilder().pair("key", 9, raw).build());
    ASSERT_TRUE(c) << element;
    EXPECT_EQ(c->get_strings("key").has_value(), element == 8) << element;
    EXPECT_EQ(c->get_floats("key").has_value(), element == 6 || element == 12) << element;
    EXPECT_EQ(c->get_integers("key").has_value(), element <= 5 || element == 10 || element == 11)
        << element;
    EXPECT_FALSE(c->get_string("key").has_value()) << element;
    EXPECT_FALSE(c->get_number("key").has_value()) << element;
  }
}

TEST(Gguf, WriterRefusesAHalfFilledCheckpoint) {
  Checkpoint c;
  c.tensor_order.emplace_back("missing");
  testing::StringWriter out;
  EXPECT_FALSE(write_gguf(c, out).has_value());
}

}  // namespace
}  // namespace ac
