// The data files: they parse, every phrasing fills, and slips are refused with file and line.
#include "models/tasks/lexicon.h"

#include <gtest/gtest.h>

#include "models/tasks/alternation.h"
#include "models/tasks/text.h"
#include "runtime/core/rng.h"

namespace ac::tasks {
namespace {

std::string refused(std::string_view text) {
  const Lexicon::File file{"f.txt", text};
  const auto parsed = Lexicon::parse({&file, 1});
  return parsed ? "" : parsed.error().message;
}

TEST(Lexicon, EmbeddedDataParse) {
  const auto parsed = Lexicon::parse(embedded_files());
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_GE(embedded_files().size(), 8u);
  EXPECT_GE(parsed->sections().size(), 140u);
}

TEST(Lexicon, ReadsSectionsAndBreaks) {
  const Lexicon::File file{"f.txt",
                           "# note\n[a all]\none\\ntwo\n  three \n\n[b train]\nx\n"
                           "[b calibration]\ny\n[b evaluation]\nz"};
  const auto parsed = Lexicon::parse({&file, 1});
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->list("a", Split::kEvaluation), (std::vector<std::string>{"one\ntwo", "three"}));
  EXPECT_EQ(parsed->list("b", Split::kTrain), std::vector<std::string>{"x"});
  EXPECT_EQ(parsed->list("b", Split::kEvaluation), std::vector<std::string>{"z"});
}

TEST(Lexicon, SlipsAreRefused) {
  EXPECT_NE(refused("x\n").find("f.txt:1: 'x' stands before any section"), std::string::npos);
  EXPECT_NE(refused("[a all\nx").find("f.txt:1"), std::string::npos);
  EXPECT_NE(refused("[a]\nx").find("expected [key split]"), std::string::npos);
  EXPECT_NE(refused("[a test]\nx").find("split 'test'"), std::string::npos);
  EXPECT_NE(refused("[a all]\nx\n[a all]\ny").find("f.txt:3: section [a all] is there twice"),
            std::string::npos);
  EXPECT_NE(refused("[a all]\n").find("key 'a'"), std::string::npos);
  EXPECT_NE(refused("[a train]\nx\n[a calibration]\ny").find("key 'a'"), std::string::npos);
  EXPECT_NE(refused("[a train]\nx\n[a calibration]\nx\n[a evaluation]\nz").find("'x' twice"),
            std::string::npos);
  EXPECT_NE(refused("[a all]\nx\\ty").find("f.txt:2"), std::string::npos);
  EXPECT_NE(refused("[a all]\nx\\").find("f.txt:2"), std::string::npos);
  EXPECT_NE(refused("[a all]\nx <a|b").find("f.txt:2: '<' without its '>'"), std::string::npos);
}

// Cut anywhere, the data still parse or are refused; nothing else.
TEST(Lexicon, CutAnywhere) {
  const std::string_view text = embedded_files()[0].text;
  for (size_t n = 0; n < text.size(); n += 7) {
    const Lexicon::File file{"f.txt", text.substr(0, n)};
    const auto parsed = Lexicon::parse({&file, 1});
    EXPECT_TRUE(parsed.has_value() || !parsed.error().message.empty());
  }
}

TEST(Lexicon, ThirtyPhrasingsOfEveryKind) {
  for (const char* key :
       {"citation.format", "table.request", "review.full", "hypothesis.predict"}) {
    EXPECT_GE(lexicon().list(key, Split::kTrain).size(), 30u) << key;
    EXPECT_GE(lexicon().list(key, Split::kCalibration).size(), 10u) << key;
    EXPECT_GE(lexicon().list(key, Split::kEvaluation).size(), 10u) << key;
  }
}

// What a phrasing must name for its task to follow from the prompt.
TEST(Lexicon, PhrasingsNameWhatTheTaskNeeds) {
  struct Need {
    const char* key;
    std::vector<std::vector<std::string>> slots;  // of each group at least one
  };
  const std::vector<Need> needs = {
      {"citation.format", {{"{style}"}, {"{material}"}}},
      {"citation.sort", {{"{style}"}, {"{material}"}}},
      {"citation.number", {{"{style}"}, {"{material}"}, {"{order}"}}},
      {"citation.in_text", {{"{style}"}, {"{material}"}, {"{who}"}, {"{page}"}}},
      {"table.request", {{"{task}"}, {"{material}"}}},
      {"table.compare", {{"{task}"}, {"{material}"}}},
      {"table.layout.sentences", {{"{header}"}}},
      {"table.only", {{"{variables}"}}},
      {"table.ask.highest", {{"{variable}"}}},
      {"table.ask.lowest", {{"{variable}"}}},
      {"table.ask.difference", {{"{variable}"}, {"{a}"}, {"{b}"}}},
      {"table.ask.change", {{"{variable}"}, {"{a}"}, {"{b}"}}},
      {"review.full", {{"{cause}"}, {"{outcome}"}, {"{material}"}}},
      {"review.extract", {{"{cause}"}, {"{outcome}"}, {"{material}"}}},
      {"review.synthesise", {{"{cause}"}, {"{outcome}"}, {"{material}"}}},
      {"hypothesis.predict",
       {{"{x}"}, {"{z}"}, {"{material}"}, {"{raise}", "{raised}", "{raising}"}}},
      {"hypothesis.continue", {{"{z}"}, {"{material}"}, {"{earlier}"}}},
      {"hypothesis.from_review",
       {{"{x}"},
        {"{y}"},
        {"{z}"},
        {"{material}"},
        {"{earlier}"},
        {"{raise}", "{raised}", "{raising}"}}},
      {"hypothesis.experiment", {{"{earlier}"}}},
      {"relation.up", {{"{a}"}, {"{b}"}}},
      {"relation.down", {{"{a}"}, {"{b}"}}},
      {"relation.frame", {{"{r}"}}},
      {"relation.untested", {{"{r}"}}},
      {"abstract.sample", {{"{n}"}, {"{subjects}"}, {"{method}"}}},
  };
  for (const Need& need : needs) {
    for (int split = 0; split < kSplits; ++split) {
      for (const std::string& phrasing : lexicon().list(need.key, static_cast<Split>(split))) {
        // Every text that it stands for, as far as chance finds them.
        Rng rng(1);
        for (int i = 0; i < (has_alternations(phrasing) ? 50 : 1); ++i) {
          const std::string text =
              chosen(phrasing, [&](size_t n) { return static_cast<size_t>(rng.below(n)); });
          EXPECT_EQ(text.find("  "), std::string::npos) << need.key << ": '" << text << "'";
          for (const auto& group : need.slots) {
            const auto in_text = [&](const std::string& slot) {
              return text.find(slot) != std::string::npos;
            };
            EXPECT_TRUE(std::any_of(group.begin(), group.end(), in_text))
                << need.key << ": '" << text << "' lacks " << group[0];
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ac::tasks
