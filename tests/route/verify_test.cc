// Checks of drafts: on right answers to the research tasks, on the same answers with a fact
// changed, and on small cases.
#include "runtime/route/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/tasks/task.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Verify, FactsMustBeInThePrompt) {
  const std::string prompt = "Cite: Hopfield, John (1982) Neural networks, PNAS 79, pp. 2554-2558";
  EXPECT_TRUE(
      check_draft(prompt, "Hopfield, J. (1982). Neural networks. PNAS, 79, 2554-58.").passes());
  EXPECT_THAT(
      check_draft(prompt, "Hopfield, J. (1983). Neural networks. PNAS, 79, 2554-58.").ungrounded,
      ElementsAre("1983"));
  EXPECT_TRUE(check_draft(prompt, "Hopfieldian (1982). Neural networks. PNAS, 79.").passes())
      << "the same beginning counts as another form of a word";
  EXPECT_THAT(check_draft(prompt, "Marlow, J. (1982). Neural networks. PNAS, 79.").ungrounded,
              ElementsAre("Marlow"));
  EXPECT_EQ(check_draft(prompt, "Neural networks 7.").summary(), "not in the prompt: 7");
  // Only the beginning of a word without end, and no half of a character.
  std::string endless = "Networks N";
  for (int i = 0; i < 200; ++i) endless += "é";
  EXPECT_EQ(check_draft(prompt, endless).summary(), "not in the prompt: Nééééééééééééééééééé…");  // 39 of 40 bytes
}

TEST(Verify, NumbersAreComparedAsNumbers) {
  const std::string prompt = "The yield was 1,250.50 g at 300 K and 1100 g at 310 K";
  EXPECT_TRUE(check_draft(prompt, "The yield was 1250.5 g at 300 K.").passes());
  EXPECT_TRUE(check_draft(prompt, "The yield was 150.5 g less at 310 K.").passes());
  EXPECT_FALSE(check_draft(prompt, "The yield was 151.5 g less at 310 K.").passes());
}

TEST(Verify, TablesAndCounts) {
  const std::string prompt = "run,hiss (dB)\nT7,61.4,23\nT8,1,250,9";
  EXPECT_TRUE(check_draft(prompt, "The hiss of T7 was 61.4 dB, of the run T8 1,250 dB.").passes());
  EXPECT_TRUE(check_draft("Two studies agree.", "Agree: 2 of 2 studies.").passes());
  const std::string cells = "run,hiss (dB),days\nT7,61.4,178\nT8,27.9,140";
  EXPECT_TRUE(check_draft(cells, "The hiss of run T7 was 61.4 dB in 178 days.").passes());
  EXPECT_FALSE(check_draft(cells, "The hiss of run T7 was 61.5 dB in 178 days.").passes());
}

TEST(Verify, TheDigitsOfACalculationAreNoFacts) {
  const std::string prompt = "The hiss of run T7 was 61.4 dB, the hiss of run T8 was 27.9 dB.";
  const auto check = [&](const std::string& digits) {
    return check_draft(prompt, "61.4 - 27.9 from the right: " + digits +
                                   ". The hiss of run T7 was 33.5 dB higher.");
  };
  EXPECT_TRUE(check("14-9=5, 10-7=3, 5-2=3").passes());
  EXPECT_THAT(check("14-9=5, 10-7=4, 5-2=3").wrong_sums, ElementsAre("10 - 7 = 4"));
  EXPECT_FALSE(check("14-9=5, 118").passes());
}

TEST(Verify, KnowledgeOfItsOwnIsNotHeldToThePrompt) {
  const DraftCheck check =
      check_draft("When was Darwin born?",
                  "Charles Darwin came into the world in Shrewsbury, England, in 1809.");
  EXPECT_FALSE(check.transforms);
  EXPECT_TRUE(check.passes());
}

TEST(Verify, Sums) {
  EXPECT_THAT(check_draft("", "So 12 + 7 = 20 apples").wrong_sums, ElementsAre("12 + 7 = 20"));
  EXPECT_THAT(check_draft("", "12 + 7 = 19, 8 / 3 = 2.67, 5 * 4 = 20, 9 - 10.5 = 1").wrong_sums,
              ElementsAre("9 - 10.5 = 1"));
  EXPECT_THAT(check_draft("", "1 + 2 + 3 = 6").wrong_sums, IsEmpty());
}

TEST(Verify, Loops) {
  EXPECT_TRUE(check_draft("", "It is so. It is so. It is so. It is so.").repeats);
  EXPECT_TRUE(check_draft("", "no no no no no no no no no no no no no").repeats);
  EXPECT_FALSE(check_draft("", "It is so, it is so, but it is not.").repeats);
  EXPECT_FALSE(check_draft("", "ha ha ha").repeats);
}

TEST(Verify, AnyBytes) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    std::string prompt, answer;
    for (uint64_t n = rng.below(200); n > 0; --n) prompt += static_cast<char>(rng.below(256));
    for (uint64_t n = rng.below(200); n > 0; --n) answer += static_cast<char>(rng.below(256));
    (void)check_draft(prompt, answer).summary();
    (void)check_draft(answer, "7" + answer + "..7,,0.0").summary();
  }
}

class OfTasks : public testing::TestWithParam<int> {};

constexpr uint64_t kTasks = 400;

TEST_P(OfTasks, RightAnswersPass) {
  const auto kind = static_cast<tasks::TaskKind>(GetParam());
  size_t n_passed = 0, n_looked_up = 0;
  std::string doubted;
  for (uint64_t seed = 0; seed < kTasks; ++seed) {
    const tasks::Task task = tasks::make_task(kind, static_cast<tasks::Field>(seed % 4),
                                              tasks::Split::kCalibration, seed);
    const DraftCheck check = check_draft(task.prompt, task.answer);
    if (check.transforms) ++n_looked_up;
    if (check.passes()) {
      ++n_passed;
    } else {
      doubted += check.summary() + "\n" + task.prompt + "\n--\n" + task.answer + "\n\n";
    }
  }
  RecordProperty("passed", std::to_string(n_passed));
  RecordProperty("looked_up", std::to_string(n_looked_up));
  EXPECT_GE(n_passed, kTasks * 97 / 100) << doubted;
  EXPECT_GE(n_looked_up, kTasks * 80 / 100);
}

TEST_P(OfTasks, AChangedNumberIsFound) {
  const auto kind = static_cast<tasks::TaskKind>(GetParam());
  size_t n_changed = 0, n_found = 0;
  Rng rng(2);
  for (uint64_t seed = 0; seed < kTasks; ++seed) {
    const tasks::Task task = tasks::make_task(kind, static_cast<tasks::Field>(seed % 4),
                                              tasks::Split::kCalibration, seed);
    // A digit within a number of three or more.
    std::vector<size_t> places;
    for (size_t i = 1; i + 1 < task.answer.size(); ++i) {
      const auto digit = [&](size_t at) {
        return task.answer[at] >= '0' && task.answer[at] <= '9';
      };
      if (digit(i - 1) && digit(i) && digit(i + 1)) places.push_back(i);
    }
    if (places.empty() || !check_draft(task.prompt, task.answer).transforms) continue;
    std::string answer = task.answer;
    char& digit = answer[places[rng.below(places.size())]];
    digit = static_cast<char>('0' + (digit - '0' + 1 + static_cast<char>(rng.below(9))) % 10);
    ++n_changed;
    if (!check_draft(task.prompt, answer).passes()) ++n_found;
  }
  RecordProperty("changed", std::to_string(n_changed));
  RecordProperty("found", std::to_string(n_found));
  EXPECT_GE(static_cast<double>(n_found), 0.85 * static_cast<double>(n_changed));
}

INSTANTIATE_TEST_SUITE_P(Kinds, OfTasks, testing::Range(0, tasks::kTaskKinds));

}  // namespace
}  // namespace ac
