#include "runtime/core/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace ac {
namespace {

MetaValue number_array(MetaType element, uint64_t count, std::vector<std::byte> bytes) {
  MetaArray array;
  array.element = element;
  array.count = count;
  array.numbers = std::move(bytes);
  return {MetaType::kArray, std::move(array)};
}

template <class T>
MetaValue array_of(MetaType element, std::vector<T> values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return number_array(element, values.size(), std::move(bytes));
}

TEST(Checkpoint, NamesEveryMetaType) {
  EXPECT_EQ(meta_type_name(MetaType::kU8), "uint8");
  EXPECT_EQ(meta_type_name(MetaType::kF64), "float64");
  EXPECT_EQ(meta_type_name(static_cast<MetaType>(13)), "unknown type");
  EXPECT_EQ(meta_type_bytes(MetaType::kI16), 2u);
  EXPECT_EQ(meta_type_bytes(MetaType::kU64), 8u);
  EXPECT_EQ(meta_type_bytes(MetaType::kString), 0u);
  EXPECT_EQ(meta_type_bytes(static_cast<MetaType>(99)), 0u);
}

TEST(Checkpoint, ReadsIntegersWithinRange) {
  Checkpoint c;
  c.origin = "m.gguf";
  c.set_uint("a", 7);
  c.metadata["negative"] = {MetaType::kI32, int64_t{-1}};
  c.metadata["signed"] = {MetaType::kI64, int64_t{9}};
  c.set_string("text", "x");
  EXPECT_EQ(*c.get_uint("a", 1, 7), 7u);
  EXPECT_EQ(*c.get_uint("signed", 0, 9), 9u);
  EXPECT_EQ(c.get_uint("a", 8, 9).error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(c.get_uint("a", 8, 9).error().message, "m.gguf: key 'a' is 7, expected 8 to 9");
  EXPECT_EQ(c.get_uint("negative", 0, 9).error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(c.get_uint("missing", 0, 9).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(c.get_uint("text", 0, 9).error().message,
            "m.gguf: key 'text' is string, expected an integer");
}

TEST(Checkpoint, DefaultsReplaceMissingKeysOnly) {
  Checkpoint c;
  c.set_bool("flag", true);
  c.set_float("x", 0.5f);
  EXPECT_EQ(*c.get_uint_or("missing", 0, 9, 3), 3u);
  EXPECT_EQ(*c.get_number_or("missing", 2.5), 2.5);
  EXPECT_EQ(*c.get_number_or("x", 2.5), 0.5);
  EXPECT_TRUE(*c.get_bool_or("flag", false));
  EXPECT_EQ(*c.get_string_or("missing", "d"), "d");
  EXPECT_EQ(c.get_uint_or("flag", 0, 9, 3).error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(c.get_string_or("flag", "d").error().code, ErrorCode::kCorruptFile);
}

TEST(Checkpoint, NumbersMustBeFinite) {
  Checkpoint c;
  c.set_float("nan", std::numeric_limits<float>::quiet_NaN());
  c.set_uint("u", 3);
  c.metadata["i"] = {MetaType::kI8, int64_t{-3}};
  EXPECT_FALSE(c.get_number("nan").has_value());
  EXPECT_EQ(*c.get_number("u"), 3.0);
  EXPECT_EQ(*c.get_number("i"), -3.0);
}

TEST(Checkpoint, ReadsArraysOfEveryIntegerType) {
  Checkpoint c;
  c.metadata["u8"] = array_of<uint8_t>(MetaType::kU8, {0, 255});
  c.metadata["i8"] = array_of<int8_t>(MetaType::kI8, {-128, 127});
  c.metadata["u16"] = array_of<uint16_t>(MetaType::kU16, {65535});
  c.metadata["i16"] = array_of<int16_t>(MetaType::kI16, {-32768});
  c.metadata["u32"] = array_of<uint32_t>(MetaType::kU32, {4294967295u});
  c.metadata["i64"] = array_of<int64_t>(MetaType::kI64, {INT64_MIN});
  c.metadata["u64"] = array_of<uint64_t>(MetaType::kU64, {uint64_t{INT64_MAX}});
  c.metadata["u64_big"] = array_of<uint64_t>(MetaType::kU64, {UINT64_MAX});
  const std::vector<int32_t> values = {-1, 5};
  c.set_integers("i32", values);
  EXPECT_EQ(*c.get_integers("u8"), (std::vector<int64_t>{0, 255}));
  EXPECT_EQ(*c.get_integers("i8"), (std::vector<int64_t>{-128, 127}));
  EXPECT_EQ(*c.get_integers("u16"), (std::vector<int64_t>{65535}));
  EXPECT_EQ(*c.get_integers("i16"), (std::vector<int64_t>{-32768}));
  EXPECT_EQ(*c.get_integers("u32"), (std::vector<int64_t>{4294967295}));
  EXPECT_EQ(*c.get_integers("i32"), (std::vector<int64_t>{-1, 5}));
  EXPECT_EQ(*c.get_integers("i64"), (std::vector<int64_t>{INT64_MIN}));
  EXPECT_EQ(*c.get_integers("u64"), (std::vector<int64_t>{INT64_MAX}));
  EXPECT_EQ(c.get_integers("u64_big").error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(c.get_floats("i32").error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(c.get_strings("i32").error().code, ErrorCode::kCorruptFile);
}

TEST(Checkpoint, ReadsFloatsOfBothWidths) {
  Checkpoint c;
  const std::vector<float> values = {1.5f, -2.0f};
  c.set_floats("f32", values);
  c.metadata["f64"] = array_of<double>(MetaType::kF64, {1.5, -2.0});
  EXPECT_EQ(*c.get_floats("f32"), values);
  EXPECT_EQ(*c.get_floats("f64"), values);
  EXPECT_EQ(c.get_integers("f32").error().code, ErrorCode::kCorruptFile);
}

TEST(Checkpoint, RefusesAnArrayWhoseCountLies) {
  Checkpoint c;
  c.metadata["lies"] = number_array(MetaType::kF32, 1000, std::vector<std::byte>(8));
  EXPECT_EQ(c.get_floats("lies").error().code, ErrorCode::kCorruptFile);
  c.metadata["huge"] = number_array(MetaType::kU64, UINT64_MAX / 4, {});
  EXPECT_EQ(c.get_integers("huge").error().code, ErrorCode::kCorruptFile);
}

TEST(Checkpoint, OwnsItsStringsAcrossMoves) {
  Checkpoint c;
  {
    const std::vector<std::string> words = {"a", std::string(100, 'b')};
    c.set_strings("words", words);
  }
  const Checkpoint moved = std::move(c);
  const auto words = *moved.get_strings("words");
  ASSERT_EQ(words.size(), 2u);
  EXPECT_EQ(words[0], "a");
  EXPECT_EQ(words[1], std::string(100, 'b'));
}

TEST(Checkpoint, AddsAndReplacesTensors) {
  Checkpoint c;
  const int64_t shape[] = {3, 32};
  auto memory = c.add_tensor("w", WeightFormat::kQ8_0, shape);
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->size(), 3u * 34u);
  (*memory)[101] = std::byte{42};
  ASSERT_TRUE(c.add_tensor("v", WeightFormat::kF32, std::span(shape).last(1)).has_value());
  Checkpoint moved = std::move(c);
  const TensorView view = *moved.tensor("w");
  EXPECT_EQ(view.data[101], std::byte{42});
  EXPECT_EQ(view.n_rows(), 3);
  EXPECT_EQ(view.n_cols(), 32);
  moved.set_tensor("w", *moved.tensor("v"));
  EXPECT_EQ(moved.tensor_order, (std::vector<std::string>{"w", "v"}));
  EXPECT_EQ(moved.tensor("w")->format, WeightFormat::kF32);
  EXPECT_EQ(moved.tensor("x").error().code, ErrorCode::kNotFound);
  const int64_t ragged[] = {3, 31};
  EXPECT_EQ(moved.add_tensor("r", WeightFormat::kQ8_0, ragged).error().code,
            ErrorCode::kCorruptFile);
}

}  // namespace
}  // namespace ac
