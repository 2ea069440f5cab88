// Grammars of JSON schemas: what is valid passes, what is not stops at its first wrong byte, and what
// cannot be honoured is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/text/json_grammar.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

enum class Fate { kWhole, kBeginning, kWrong };
Fate fate(const Grammar& grammar, std::string_view text) {
  GrammarMachine machine(grammar);
  int32_t state = machine.start();
  for (const char byte : text) {
    state = machine.next(state, static_cast<uint8_t>(byte));
    if (state == GrammarMachine::kDead) return Fate::kWrong;
  }
  return machine.may_end(state) ? Fate::kWhole : Fate::kBeginning;
}

std::shared_ptr<const Grammar> grammar_of(std::string_view schema) {
  auto grammar = json_schema_grammar(OrderedJson::parse(schema));
  EXPECT_TRUE(grammar) << grammar.error().message;
  return grammar ? *grammar : json_object_grammar();
}
bool passes(std::string_view schema, std::string_view text) {
  return fate(*grammar_of(schema), text) == Fate::kWhole;
}

TEST(Grammar, RulesMayNestAndRepeat) {
  Grammar grammar;
  // Balanced brackets around any number of a.
  const int32_t rule = grammar.add_rule();
  grammar.add_choice(rule, {});
  grammar.add_choice(rule, grammar.text("a") + Grammar::Sequence{grammar.rule(rule)});
  grammar.add_choice(rule, grammar.text("(") + Grammar::Sequence{grammar.rule(rule)} +
                               grammar.text(")") + Grammar::Sequence{grammar.rule(rule)});
  grammar.set_root(rule);
  for (const char* good : {"", "aaa", "(a)", "a((a)aa)(())a"}) {
    EXPECT_EQ(fate(grammar, good), Fate::kWhole) << good;
  }
  EXPECT_EQ(fate(grammar, "(a"), Fate::kBeginning);
  EXPECT_EQ(fate(grammar, "a)"), Fate::kWrong);
  // A long list leaves no trace.
  GrammarMachine machine(grammar);
  int32_t state = machine.start();
  for (int i = 0; i < 10'000; ++i) state = machine.next(state, 'a');
  EXPECT_LT(machine.n_states(), 5u);
}

TEST(JsonGrammar, AnyObject) {
  const auto grammar = json_object_grammar();
  for (const char* good :
       {"{}", R"({"a":1})", R"({"a": [1, -2.5e3, true, null, "x\n\u00e9\"é😀"], "b": {"c": {}}})",
        "{\n  \"a\": 0,\n  \"b\": []\n}"}) {
    EXPECT_EQ(fate(*grammar, good), Fate::kWhole) << good;
    EXPECT_TRUE(OrderedJson::accept(good));
  }
  for (const char* wrong : {"[]", "{a:1}", R"({"a":01})", R"({"a":1,})", R"({"a":.5})",
                            R"({"a":"\x"})", "{\"a\":\"\n\"}", R"({"a":tru})", "{\"a\":\"\xff\"}",
                            R"({"a":"\ud800"})", " {}"}) {
    EXPECT_NE(fate(*grammar, wrong), Fate::kWhole) << wrong;
  }
}

// Whatever the machine lets pass, the parser reads.
TEST(JsonGrammar, WalksEndInJson) {
  const auto grammar = grammar_of(
      R"({"type":"object","properties":{"n":{"type":"integer","minimum":-12,"maximum":340},
          "s":{"type":"string","maxLength":5},"l":{"type":"array","items":{"type":"number"},
          "minItems":1,"maxItems":3},"any":{}},"required":["n","l"]})");
  Rng rng(1);
  int n_whole = 0;
  for (int walk = 0; walk < 300; ++walk) {
    GrammarMachine machine(*grammar);
    int32_t state = machine.start();
    std::string text;
    while (text.size() < 400) {
      std::vector<uint8_t> may;
      for (int byte = 0; byte < 256; ++byte) {
        if (machine.next(state, static_cast<uint8_t>(byte)) != GrammarMachine::kDead) {
          may.push_back(static_cast<uint8_t>(byte));
        }
      }
      if (may.empty() || (machine.may_end(state) && rng.below(2) == 0)) break;
      const uint8_t byte = may[rng.below(may.size())];
      text += static_cast<char>(byte);
      state = machine.next(state, byte);
    }
    if (!machine.may_end(state)) continue;
    ++n_whole;
    const OrderedJson json = OrderedJson::parse(text, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << text;
    const int64_t n = json["n"].get<int64_t>();
    EXPECT_GE(n, -12) << text;
    EXPECT_LE(n, 340) << text;
    EXPECT_GE(json["l"].size(), 1u);
    EXPECT_LE(json["l"].size(), 3u);
  }
  EXPECT_GT(n_whole, 30);
}

TEST(JsonGrammar, PropertiesInTheirOrder) {
  const char* schema = R"({"$schema":"x","title":"t","type":"object","properties":
      {"why":{"type":"string","description":"d"},"answer":{"type":"boolean"},
       "more":{"type":["string","null"]}},
      "required":["why","answer"],"additionalProperties":false})";
  EXPECT_TRUE(passes(schema, R"({"why":"a","answer":true})"));
  EXPECT_TRUE(passes(schema, R"({"why": "a", "answer": false, "more": null})"));
  EXPECT_FALSE(passes(schema, R"({"answer":true,"why":"a"})"));
  EXPECT_FALSE(passes(schema, R"({"why":"a"})"));
  EXPECT_FALSE(passes(schema, R"({"why":"a","answer":true,"other":1})"));
  EXPECT_FALSE(passes(schema, R"({"why":"a","answer":true,})"));
  const char* optional = R"({"properties":{"a":{"type":"null"},"b":{"type":"null"}}})";
  for (const char* good : {"{}", R"({"a":null})", R"({"b":null})", R"({"a":null,"b":null})"}) {
    EXPECT_TRUE(passes(optional, good)) << good;
  }
  EXPECT_FALSE(passes(optional, R"({,"b":null})"));
  EXPECT_TRUE(passes(R"({"type":"object","additionalProperties":{"type":"integer"}})",
                     R"({"x":1,"y":-2})"));
  EXPECT_FALSE(passes(R"({"type":"object","additionalProperties":{"type":"integer"}})",
                      R"({"x":"1"})"));
  EXPECT_FALSE(passes(R"({"type":"object","additionalProperties":false})", R"({"x":1})"));
}

TEST(JsonGrammar, ChoicesAndReferences) {
  EXPECT_TRUE(passes(R"({"enum":["red",3,null]})", "null"));
  EXPECT_FALSE(passes(R"({"enum":["red",3,null]})", "\"blue\""));
  EXPECT_TRUE(passes(R"({"const":{"a":[1]}})", R"({"a":[1]})"));
  EXPECT_TRUE(passes(R"({"const":null})", "null"));
  EXPECT_TRUE(passes(R"({"anyOf":[{"type":"integer"},{"type":"string"}]})", "\"x\""));
  const char* tree = R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":
      {"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},
      "required":["v","next"]}}})";
  EXPECT_TRUE(passes(tree, R"({"v":1,"next":{"v":2,"next":null}})"));
  EXPECT_FALSE(passes(tree, R"({"v":1,"next":{"v":2}})"));
}

TEST(JsonGrammar, BoundsOfIntegers) {
  Rng rng(5);
  for (int round = 0; round < 60; ++round) {
    const auto low = static_cast<int64_t>(rng.below(3000)) - 1500;
    const auto high = low + static_cast<int64_t>(rng.below(2500));
    const auto grammar = grammar_of(
        fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", low, high));
    for (int64_t n : {low - 1, low, low + 1, (low + high) / 2, high - 1, high, high + 1,
                      int64_t{0}, low * 10, high * 10}) {
      EXPECT_EQ(fate(*grammar, std::to_string(n)) == Fate::kWhole, n >= low && n <= high)
          << n << " in " << low << ".." << high;
    }
    EXPECT_NE(fate(*grammar, "-0"), Fate::kWhole);
    EXPECT_NE(fate(*grammar, "007"), Fate::kWhole);
  }
  EXPECT_TRUE(passes(R"({"type":"integer","exclusiveMinimum":0,"maximum":1.5})", "1"));
  EXPECT_FALSE(passes(R"({"type":"integer","exclusiveMinimum":0})", "0"));
  EXPECT_TRUE(passes(R"({"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991})",
                     "-42"));
  EXPECT_FALSE(passes(R"({"type":"number","minimum":0})", "-1"));
}

TEST(JsonGrammar, LengthsAndFormats) {
  EXPECT_TRUE(passes(R"({"type":"string","minLength":2,"maxLength":3})", "\"éx\""));
  EXPECT_FALSE(passes(R"({"type":"string","minLength":2,"maxLength":3})", "\"x\""));
  EXPECT_FALSE(passes(R"({"type":"string","minLength":2,"maxLength":3})", "\"xxxx\""));
  EXPECT_FALSE(passes(R"({"type":"array","items":{"type":"null"},"maxItems":0})", "[null]"));
  EXPECT_TRUE(passes(R"({"type":"array","items":{"type":"null"},"minItems":2})",
                     "[null, null,null]"));
  EXPECT_FALSE(passes(R"({"type":"array","items":{"type":"null"},"minItems":2})", "[null]"));
  EXPECT_TRUE(passes(R"({"type":"string","format":"date-time"})", "\"2026-11-28T23:59:01Z\""));
  EXPECT_FALSE(passes(R"({"type":"string","format":"date"})", "\"2026-13-01\""));
  EXPECT_TRUE(passes(R"({"type":"string","format":"uuid"})",
                     "\"123e4567-e89b-12d3-a456-426614174000\""));
}

TEST(JsonGrammar, WhatCannotBeHonouredIsSaid) {
  const auto refusal = [](std::string_view schema) {
    const auto grammar = json_schema_grammar(OrderedJson::parse(schema));
    return grammar ? std::string("accepted") : grammar.error().message;
  };
  EXPECT_THAT(refusal(R"({"type":"string","pattern":"^a"})"), HasSubstr("'pattern'"));
  EXPECT_THAT(refusal(R"({"type":"object","properties":{"a":{"type":"string","format":"email"}}})"),
              HasSubstr("schema.a.format"));
  EXPECT_THAT(refusal(R"({"type":"number","maximum":3})"), HasSubstr("'maximum'"));
  EXPECT_THAT(refusal(R"({"not":{}})"), HasSubstr("'not'"));
  EXPECT_THAT(refusal(R"({"allOf":[{},{}]})"), HasSubstr("allOf"));
  EXPECT_THAT(refusal(R"({"type":"thing"})"), HasSubstr("is no type"));
  EXPECT_THAT(refusal(R"({"$ref":"#/nowhere"})"), HasSubstr("nothing at"));
  EXPECT_THAT(refusal(R"({"$ref":"http://example.org/s"})"), HasSubstr("$ref"));
  EXPECT_THAT(refusal(R"({"$ref":"#"})"), HasSubstr("itself"));
  EXPECT_THAT(refusal(R"({"type":"integer","minimum":5,"maximum":4})"), HasSubstr("no whole number"));
  EXPECT_THAT(refusal(R"({"type":"object","required":["x"]})"), HasSubstr("'x'"));
  EXPECT_THAT(refusal("3"), HasSubstr("expected a schema"));
  std::string deep = "{}";
  for (int i = 0; i < 100; ++i) deep = R"({"type":"array","items":)" + deep + "}";
  EXPECT_THAT(refusal(deep), HasSubstr("too deep"));
}

}  // namespace
}  // namespace ac
