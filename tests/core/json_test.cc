#include "runtime/core/json.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/core/rng.h"

namespace ac {
namespace {

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  const auto result = parse_json(text, limits);
  if (result) return "";
  EXPECT_EQ(result.error().code, ErrorCode::kCorruptFile);
  return result.error().message;
}

TEST(Json, ParsesWhatTheLibraryParses) {
  const std::string_view text =
      R"( {"a": [1, -2, 3.5, true, false, null, "x\u00e9\n"], "b": {"c": {}}, "": 18446744073709551615} )";
  EXPECT_EQ(*parse_json(text), Json::parse(text));
  for (const std::string_view scalar : {"1", "-0", "\"s\"", "null", "true", "1e3", "[]", "{}"}) {
    EXPECT_EQ(*parse_json(scalar), Json::parse(scalar)) << scalar;
  }
}

TEST(Json, SaysWhereItBreaks) {
  EXPECT_EQ(error_of("{\"a\": 1,\n \"b\" 2}").substr(0, 19), "line 2, column 6: s");
  EXPECT_EQ(error_of("{\"a\":1,\"b\":2,\"a\":3}"),
            "line 1, column 16: key \"a\" occurs twice in one object");
  EXPECT_NE(error_of(""), "");
  EXPECT_NE(error_of("[1] x").find("column 5"), std::string::npos);
  EXPECT_NE(error_of("{} {}"), "");
  EXPECT_NE(error_of("nan"), "");
  EXPECT_NE(error_of("1e999"), "");
  EXPECT_NE(error_of("'a'"), "");
  EXPECT_NE(error_of("[1,]"), "");
  EXPECT_NE(error_of("// c\n1"), "");
  EXPECT_NE(error_of(std::string_view("\"a\0b\"", 5)), "");
}

TEST(Json, RefusesTextThatIsNotUtf8) {
  for (const std::string_view bad : {"\"\xff\"", "\"\xc3\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
                                     "\"\xf4\x90\x80\x80\"", "\"\\ud800\"", "\xff"}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
  EXPECT_EQ(parse_json("\"\xf0\x9f\x98\x80\"")->get<std::string>(), "\xf0\x9f\x98\x80");
  EXPECT_EQ(parse_json("\"\\ud83d\\ude00\"")->get<std::string>(), "\xf0\x9f\x98\x80");
}

TEST(Json, BoundsNestingWithoutRecursion) {
  const auto nested = [](int depth, char open, char close) {
    return std::string(static_cast<size_t>(depth), open) +
           std::string(static_cast<size_t>(depth), close);
  };
  EXPECT_EQ(error_of(nested(32, '[', ']')), "");
  EXPECT_EQ(error_of(nested(33, '[', ']')), "line 1, column 33: nested deeper than 32 levels");
  EXPECT_NE(error_of(nested(1000000, '[', ']')), "");
  EXPECT_NE(error_of(std::string(1000000, '[')), "");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_NE(error_of(objects), "");
  EXPECT_EQ(error_of("[[]]", {.max_depth = 1}), "line 1, column 2: nested deeper than 1 levels");
  // Depth, not the number of containers.
  std::string flat = "[";
  for (int i = 0; i < 1000; ++i) flat += "[],";
  EXPECT_EQ(error_of(flat + "[]]"), "");
}

TEST(Json, BoundsBytes) {
  EXPECT_EQ(error_of("[1]", {.max_bytes = 3}), "");
  EXPECT_EQ(error_of("[1] ", {.max_bytes = 3}), "JSON of 4 bytes, expected at most 3");
}

TEST(Json, EveryCutIsAnErrorOrAPrefixThatIsJson) {
  const std::string text = R"({"a":[1,{"b":"\u00e9\"x"},-2.5e3],"c":null})";
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_NE(error_of(std::string_view(text).substr(0, n)), "") << n;
  }
  // Flipped bytes: an error or a value, never a crash; the value is written and read back alike.
  for (size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      if (const auto value = parse_json(flipped)) {
        EXPECT_EQ(*parse_json(json_line(*value)), *value);
      }
    }
  }
}

TEST(Json, TypedGettersNameKeyAndTypes) {
  const Json object = *parse_json(
      R"({"s":"x","i":5,"neg":-5,"big":18446744073709551615,"d":1.5,"b":true,"n":null,"o":{},"a":[]})");
  EXPECT_EQ(*json_string(object, "s"), "x");
  EXPECT_EQ(*json_integer(object, "i", 0, 5), 5);
  EXPECT_EQ(*json_integer(object, "neg", -5, 5), -5);
  EXPECT_EQ(*json_number(object, "d"), 1.5);
  EXPECT_EQ(*json_number(object, "i"), 5.0);
  EXPECT_TRUE(*json_bool(object, "b"));
  EXPECT_EQ(json_integer(object, "i", 6, 9).error().message, "key 'i' is 5, expected 6 to 9");
  EXPECT_EQ(json_integer(object, "big", INT64_MIN, INT64_MAX).error().message,
            "key 'big' is 18446744073709551615, expected -9223372036854775808 to "
            "9223372036854775807");
  EXPECT_EQ(json_integer(object, "d", 0, 9).error().message,
            "key 'd' is a number, expected an integer");
  EXPECT_EQ(json_integer(object, "missing", 0, 9).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(json_string(object, "o").error().message, "key 'o' is an object, expected a string");
  EXPECT_EQ(json_string(object, "n").error().message, "key 'n' is null, expected a string");
  EXPECT_EQ(json_bool(object, "a").error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(json_number(Json::array(), "x").error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(json_find(object, "n"), nullptr);
  EXPECT_EQ(json_find(object, "missing"), nullptr);
  EXPECT_EQ(json_find(Json(5), "x"), nullptr);
  ASSERT_NE(json_find(object, "s"), nullptr);
}

TEST(Json, WritesAnythingWithoutThrowing) {
  EXPECT_EQ(json_quote("a\"b\n\x01"), R"("a\"b\n\u0001")");
  EXPECT_EQ(json_quote("\xff"), "\"\xef\xbf\xbd\"");
  EXPECT_EQ(json_line(Json{{"k", "\xc3"}}), "{\"k\":\"\xef\xbf\xbd\"}");
  OrderedJson ordered;
  ordered["z"] = 1;
  ordered["a"] = 2;
  EXPECT_EQ(json_line(ordered), R"({"z":1,"a":2})");
  EXPECT_EQ(json_quote("a\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaf"), "\"a\\u2028\\u2029\xe2\x80\xaf\"");
}

// As many streams of any bytes as AC_JSON_STREAMS says: what is written can always be read again.
TEST(Json, WhateverIsWrittenCanBeRead) {
  const char* const given = std::getenv("AC_JSON_STREAMS");
  Rng rng(8);
  for (int i = given == nullptr ? 20000 : std::atoi(given); i > 0; --i) {
    std::string bytes;
    for (uint64_t n = rng.below(24); n > 0; --n) bytes += static_cast<char>(rng.next());
    const std::string line = json_quote(bytes);
    const auto read = parse_json(line);
    ASSERT_TRUE(read) << line;
    ASSERT_EQ(json_quote(read->get<std::string>()), line);
  }
}

}  // namespace
}  // namespace ac
