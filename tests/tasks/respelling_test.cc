// Made-up words: the same word everywhere in an instance, other ones in the next; what is no word
// stays; answers stay right.
#include "models/tasks/respelling.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "models/tasks/task.h"
#include "models/tasks/text.h"
#include "models/tasks/workflow.h"

namespace ac::tasks {
namespace {

TEST(Respelling, GivesAWordOneSpellingWhateverItsCase) {
  const Respelling one(7, 1.0);
  EXPECT_EQ(lower(one.word("Sediment", false)), one.word("sediment", false));
  EXPECT_NE(one.word("sediment", false), "sediment");
  EXPECT_NE(one.word("sediment", false), Respelling(8, 1.0).word("sediment", false));
}

// Whoever is asked for initials has to write the letters that names begin with, marks and all.
TEST(Respelling, NamesBeginWithLettersThatHaveMarks) {
  int n_marked = 0, n_made = 0;
  std::set<std::string> firsts;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const std::string made = Respelling(seed, 1.0).word(seed % 2 == 0 ? "Lindqvist" : "Okafor", true);
    ++n_made;
    if (is_ascii_letter(made[0])) continue;
    ++n_marked;
    firsts.insert(made.substr(0, 2));
  }
  EXPECT_GT(n_marked, n_made / 14);
  EXPECT_LT(n_marked, n_made / 6);
  EXPECT_GT(firsts.size(), 30u);
  for (uint64_t seed = 0; seed < 500; ++seed) {
    EXPECT_TRUE(is_ascii_letter(Respelling(seed, 1.0).word("Sediment", false)[0])) << "no name";
  }
}

TEST(Respelling, KeepsBeginnings) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Respelling one(seed, 1.0);
    const std::string text = one.entry("journal.topic.biology", "Plant Physiology|Plant Physiol.");
    const auto parts = split(text, '|');
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_TRUE(parts[1].ends_with('.'));
    EXPECT_TRUE(parts[0].starts_with(parts[1].substr(0, parts[1].size() - 1))) << text;
  }
}

TEST(Respelling, LeavesWhatIsNoWord) {
  const Respelling one(3, 1.0);
  const std::string variable = one.entry("table.variable.biology", "leaf area|cm²|1|4|96");
  EXPECT_TRUE(variable.ends_with("|cm²|1|4|96")) << variable;
  EXPECT_FALSE(variable.starts_with("leaf")) << variable;
  const std::string rows = one.entry("table.named.biology", "island: Skye; Mull; Arran");
  EXPECT_TRUE(rows.starts_with("island: ")) << rows;
  EXPECT_EQ(split(rows, ';').size(), 3u) << rows;
  EXPECT_EQ(one.word("with", false), "with");
  EXPECT_EQ(one.word("Rye", false), "Rye");
}

TEST(Respelling, MakesNoWordOfTheLists) {
  std::set<std::string> listed;
  for (const Split split : {Split::kTrain, Split::kCalibration, Split::kEvaluation}) {
    for (const std::string& name : lexicon().list("name.family", split)) listed.insert(lower(name));
  }
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Respelling one(seed, 1.0);
    for (const std::string& name : lexicon().list("name.family", Split::kTrain)) {
      const std::string made = lower(one.entry("name.family", name));
      if (made != lower(name)) {
        EXPECT_FALSE(listed.contains(made)) << made;
      }
    }
  }
}

// Whatever the vocabulary, its tokens occur, and not as words that mean something.
TEST(Respelling, IsMadeOfTheTokensOfAVocabulary) {
  const std::vector<std::string> tokens = {"\n", "a",      " width", " Mono", " trans",
                                           "42",  "mission", "ation", "Which", "é"};
  const WordPieces pieces(tokens);
  std::map<std::string, int> seen;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const std::string made = Respelling(seed, 1.0, pieces).word("sediment", false);
    EXPECT_FALSE(is_training_word(made)) << made;
    for (const char* first : {"width", "mono", "trans"}) seen[first] += made.starts_with(first);
    for (const char* next : {"mission", "ation", "which"}) seen[next] += made.ends_with(next);
  }
  EXPECT_EQ(seen.size(), 6u);
  for (const auto& [piece, n] : seen) EXPECT_GE(n, 80) << piece;
}

// A vocabulary of bytes has none.
TEST(Respelling, HasPiecesOfItsOwn) {
  const std::vector<std::string> tokens = {"a", "b", " "};
  const WordPieces bytes(tokens);
  EXPECT_EQ(Respelling(5, 1.0, bytes).word("Sediment", true), Respelling(5, 1.0).word("Sediment", true));
}

TEST(Respelling, NoShareRespellsNothing) {
  EXPECT_EQ(Respelling(1, 0.0).word("sediment", false), "sediment");
}

// Whatever the words: the canonical answer is right, and the instance is not the listed one.
TEST(Respelling, TasksStaySolvable) {
  for (int kind = 0; kind < kTaskKinds; ++kind) {
    for (uint64_t seed = 0; seed < 400; ++seed) {
      const auto field = static_cast<Field>(seed % kFields);
      const Task task = make_task(static_cast<TaskKind>(kind), field, Split::kTrain, seed,
                                  Wording::kRespelled);
      const Verdict verdict = check(task, task.answer);
      EXPECT_TRUE(verdict.success) << verdict.reason << "\n" << task.prompt << "\n" << task.answer;
      EXPECT_EQ(make_task(task.kind, field, Split::kTrain, seed, Wording::kRespelled).prompt,
                task.prompt);
    }
    const Workflow flow = make_workflow(static_cast<TaskKind>(kind), Field::kPhysics, Split::kTrain,
                                        1, Wording::kRespelled);
    for (size_t i = 0; i < flow.steps.size(); ++i) {
      EXPECT_TRUE(check_step(flow, i, flow.steps[i].task.answer).success);
    }
  }
}

}  // namespace
}  // namespace ac::tasks
