// The safetensors container: exact cover of the buffer, nothing else in the file.
#include "models/store/safetensors.h"

#include "models/store/safetensors_reader.h"
#include "tests/store/safetensors_builder.h"
#include "tests/store/store_test_util.h"

namespace ac {
namespace {

using nlohmann::json;
using testing::reference_accepts;
using testing::safetensors_file;
using testing::SafetensorsBuilder;

Result<Checkpoint> parse(std::string_view text) {
  std::shared_ptr<std::byte[]> copy(new std::byte[text.size()]);
  std::memcpy(copy.get(), text.data(), text.size());
  const std::span<const std::byte> bytes(copy.get(), text.size());
  Checkpoint out;
  if (Status status = parse_safetensors(bytes, std::move(copy), out); !status)
    return status.error();
  return out;
}

SafetensorsBuilder small() {
  SafetensorsBuilder b;
  b.add("model.w", "F32", {2, 3}, std::string(24, 'w'));
  b.add("model.n", "BF16", {5}, std::string(10, 'n'));
  b.add("model.h", "F16", {3, 1}, std::string(6, 'h'));
  b.header()["__metadata__"] = {{"format", "pt"}};
  return b;
}

// Both readers agree, whatever they say.
void expect_agreement(std::string_view text, const std::string& what = "") {
  const auto read = parse(text);
  EXPECT_EQ(read.has_value(), reference_accepts(text))
      << what << ' ' << (read ? "accepted" : read.error().message);
  if (read) testing::expect_sound(*read, 2);
}

ErrorCode refused(std::string_view text) {
  const auto read = parse(text);
  EXPECT_FALSE(read) << text.substr(8);
  EXPECT_FALSE(reference_accepts(text));
  return read ? ErrorCode::kCancelled : read.error().code;
}

TEST(Safetensors, ReadsTheThreeTypes) {
  const std::string text = small().build();
  ASSERT_TRUE(reference_accepts(text));
  const auto read = parse(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tensors.size(), 3u);
  const TensorView w = read->tensor("model.w").value();
  EXPECT_EQ(w.format, WeightFormat::kF32);
  EXPECT_EQ(w.shape[0], 2);
  EXPECT_EQ(w.shape[1], 3);
  EXPECT_EQ(w.data[23], std::byte{'w'});
  EXPECT_EQ(read->tensor("model.n")->format, WeightFormat::kBF16);
  EXPECT_EQ(read->tensor("model.h")->format, WeightFormat::kF16);
  EXPECT_TRUE(parse(safetensors_file("{}", "")));
}

TEST(Safetensors, NumbersAtOddAddressesAreCopied) {
  SafetensorsBuilder b = small();
  for (size_t shift = 0; shift < 8; ++shift) {
    const auto read =
        parse(safetensors_file(b.header().dump() + std::string(shift, ' '), b.buffer()));
    ASSERT_TRUE(read) << read.error().message;
    for (const auto& [name, view] : read->tensors) {
      const uint64_t width = view.format == WeightFormat::kF32 ? 4 : 2;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data) % width, 0u);
      EXPECT_EQ(view.data[0], std::byte{static_cast<unsigned char>(name.back())});
    }
  }
}

TEST(Safetensors, CutAtEveryLengthAndExtended) {
  const std::string text = small().build();
  for (size_t n = 0; n < text.size(); ++n) refused(text.substr(0, n));
  for (const size_t more : {1u, 2u, 4u, 100u}) refused(text + std::string(more, '\0'));
  refused("PK\3\4" + text);
  refused("%PDF-1.7" + text);
}

TEST(Safetensors, FlippedBitsAreJudgedLikeTheReference) {
  const std::string text = small().build();
  for (size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      expect_agreement(flipped, std::to_string(i));
    }
  }
}

TEST(Safetensors, HeaderSizesThatLie) {
  for (const uint64_t size :
       {uint64_t{0}, uint64_t{1}, uint64_t{100'000'000}, uint64_t{100'000'001}, uint64_t{1} << 31,
        uint64_t{1} << 32, uint64_t{1} << 63, UINT64_MAX - 7, UINT64_MAX}) {
    std::string text = small().build();
    std::memcpy(text.data(), &size, 8);
    EXPECT_EQ(refused(text), ErrorCode::kCorruptFile) << size;
  }
}

TEST(Safetensors, WrongHeadersAreRefused) {
  const std::string four(4, 'x');
  const auto with = [&](const std::string& header) { return safetensors_file(header, four); };
  const std::string right = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  ASSERT_TRUE(parse(with(right)));
  for (
      const std::string header :
      {R"(["a"])",
       R"( {"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       R"({"a":1})",
       R"({"a":{}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}})",
       R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,0]}})",
       R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})",  // a hole at the end
       R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}})",  // at the beginning
       R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}})",
       R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       R"({"a\n":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       R"({"__metadata__":{"a":1},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       R"({"__metadata__":"a","a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}x)",
       R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})"}) {
    refused(with(header));
  }
  EXPECT_EQ(refused(with("{" + std::string(100000, '['))), ErrorCode::kCorruptFile);
  for (const char* dtype :
       {"F64", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "f32", ""}) {
    SafetensorsBuilder b;
    b.add("weird.weight", dtype, {1}, four);
    const auto read = parse(b.build());
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(read.error().message.find("weird.weight"), std::string::npos);
    EXPECT_NE(read.error().message.find(dtype), std::string::npos);
  }
  for (const char* shape : {"[]", "[1,1,1,1,1]", "[0]", "[1,0]"}) {
    refused(with(std::string(R"({"a":{"dtype":"F32","shape":)") + shape +
                 R"(,"data_offsets":[0,4]}})"));
  }
}

TEST(Safetensors, OpensAFile) {
  const testing::TemporaryFolder folder;
  testing::spill(folder / "a.safetensors", small().build());
  EXPECT_TRUE(open_safetensors(folder / "a.safetensors"));
  testing::spill(folder / "b.safetensors", "not one");
  const auto wrong = open_safetensors(folder / "b.safetensors");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("b.safetensors"), std::string::npos);
  EXPECT_EQ(open_safetensors(folder / "none").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace ac
