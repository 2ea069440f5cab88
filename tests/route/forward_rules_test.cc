#include "runtime/route/forward_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const ForwardRules> rules_of(std::string_view text) {
  return ForwardRules::parse(text, "never.txt").value();
}

std::string broken(const ForwardRules& rules, std::string_view text) {
  return rules.broken_by(std::vector<std::string_view>{text});
}

TEST(ForwardRules, PhrasesAreFoundHoweverTheyAreWritten) {
  const auto rules = rules_of("# of the clinic\n\nproject aurora\nMüller & Söhne\n");
  EXPECT_EQ(rules->n_rules(), 2u);
  EXPECT_EQ(broken(*rules, "What is Project Aurora?"), "the rule in line 3 of never.txt keeps it here");
  for (const char* text : {
           "PROJECT AURORA", "project\n   aurora", "project\xC2\xA0" "aurora",
           "project\xE2\x80\xA8" "aurora", "project\xC2\x85" "aurora",  // line ends of Unicode
           "pro\xC2\xADject aurora",                      // a soft hyphen
           "pro\xE2\x80\x8Bject aurora",                  // a blank of no width
           "\xEF\xBD\x90roject aurora",                   // a fullwidth p
           "Mu\xCC\x88ller & SO\xCC\x88HNE",              // decomposed
       }) {
    EXPECT_NE(broken(*rules, text), "") << text;
  }
  for (const char* text : {"", "project", "aurora project", "projectaurora"}) {
    EXPECT_EQ(broken(*rules, text), "") << text;
  }
}

TEST(ForwardRules, ExpressionsAreFound) {
  const auto rules = rules_of(R"(/\bpatient-\d{4,}\b/)");
  EXPECT_NE(broken(*rules, "see Patient-00123."), "");
  EXPECT_EQ(broken(*rules, "see patient-12"), "");
  const auto foreign = rules_of("/Stra\xC3\x9F" "e/\n/\\b\xC3\x84rzte\\b/");
  EXPECT_NE(broken(*foreign, "Lange Stra\xC3\x9F" "e 7"), "");
  EXPECT_NE(broken(*foreign, "die \xC3\x84rzte"), "");
  EXPECT_EQ(broken(*foreign, "die Strasse"), "") << "it is written otherwise";
}

TEST(ForwardRules, AllTextsAreLookedAt) {
  const auto rules = rules_of("secret");
  const std::vector<std::string_view> texts = {"a", "", "b secret c"};
  EXPECT_NE(rules->broken_by(texts), "");
}

// What cannot be read stays.
TEST(ForwardRules, DoubtKeepsItHere) {
  EXPECT_THAT(broken(*rules_of("secret"), "\xff\xfe"), HasSubstr("not UTF-8"));
  const auto slow = rules_of("/(a+)+$/");
  EXPECT_NE(broken(*slow, std::string(40, 'a') + "b"), "");
}

TEST(ForwardRules, MistakesAreNamed) {
  const auto error = [](std::string_view text) {
    return ForwardRules::parse(text, "never.txt").error().message;
  };
  EXPECT_THAT(error("a\n/(/"), HasSubstr("never.txt:2: /(/: missing closing parenthesis"));
  EXPECT_THAT(error("\xff"), HasSubstr("never.txt:1: not UTF-8"));
  EXPECT_THAT(error("\xC2\xAD"), HasSubstr("nothing that can be seen"));
  EXPECT_EQ(ForwardRules::load("/nowhere/never.txt").error().code, ErrorCode::kNotFound);
}

// A trigger anywhere in anything is found; where there is none nothing is.
TEST(ForwardRules, ManyTexts) {
  const auto rules = rules_of("project aurora\n/grant \\d+/\nzebrafish");
  const std::vector<std::string> words = {"a",  "project", "grant", "7",  "fish\n", "zebra",
                                          "ä", "aurora",  "(",     "\t", "beta",   "42x"};
  Rng rng(7);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint64_t n = rng.below(30); n > 0; --n) text += words[rng.below(words.size())] + ".";
    EXPECT_EQ(broken(*rules, text), "") << text;
    text.insert(rng.below(2) == 0 ? 0 : text.size(), rng.below(2) == 0 ? " Grant  9 " : "ZebraFish");
    EXPECT_NE(broken(*rules, text), "") << text;
  }
}

}  // namespace
}  // namespace ac
