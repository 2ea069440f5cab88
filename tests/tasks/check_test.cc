// Checkers: canonical answers pass, other wordings that carry the facts pass, garbage is survived.
#include <gtest/gtest.h>

#include <array>

#include "models/tasks/task.h"
#include "models/tasks/text.h"
#include "runtime/core/rng.h"

namespace ac::tasks {
namespace {

template <class Visit>
void for_each(uint64_t n_seeds, const Visit& visit) {
  for (int split = 0; split < kSplits; ++split) {
    for (int kind = 0; kind < kTaskKinds; ++kind) {
      for (int field = 0; field < kFields; ++field) {
        for (uint64_t seed = 0; seed < n_seeds; ++seed) {
          visit(make_task(static_cast<TaskKind>(kind), static_cast<Field>(field),
                          static_cast<Split>(split), seed));
        }
      }
    }
  }
}

TEST(Check, CanonicalAnswersPass) {
  size_t n_tasks = 0;
  for_each(250, [&](const Task& task) {
    ++n_tasks;
    const Verdict verdict = check(task, task.answer);
    ASSERT_TRUE(verdict.success) << verdict.reason << "\n" << task.prompt << "\n" << task.answer;
    ASSERT_TRUE(check(task, "\n " + task.answer + " \n").success);
    ASSERT_GE(task.difficulty.level, 0.0);
    ASSERT_LE(task.difficulty.level, 1.0);
    // Neither a gap left open nor a stray brace from the data; BibTeX and JSON have their own.
    ASSERT_EQ(task.answer.find_first_of("{}"), std::string::npos) << task.answer;
  });
  EXPECT_EQ(n_tasks, 250u * 48u);
}

TEST(Check, AnotherTasksAnswerFails) {
  // A wrong answer of the right shape: what the next seed would be answered.
  size_t n_same = 0;
  for_each(30, [&](const Task& task) {
    const Task other = make_task(task.kind, task.field, task.split, 1000 + n_same);
    n_same += check(task, other.answer).success;
  });
  EXPECT_EQ(n_same, 0u);
}

TEST(Check, EmptyAndEchoFail) {
  for_each(20, [&](const Task& task) {
    EXPECT_FALSE(check(task, "").success);
    EXPECT_FALSE(check(task, task.prompt).success) << task.prompt;
  });
}

TEST(Check, GarbageIsSurvived) {
  Rng rng(7);
  for_each(2, [&](const Task& task) {
    // Cut at every length: the whole answer is the only prefix that passes, but for the last stop.
    for (size_t n = 0; n < task.answer.size(); ++n) {
      const Verdict verdict = check(task, std::string_view(task.answer).substr(0, n));
      EXPECT_EQ(verdict.success, verdict.reason.empty());
      if (n + 8 < task.answer.size()) {
        EXPECT_FALSE(verdict.success) << task.answer.substr(0, n);
      }
    }
    for (int i = 0; i < 20; ++i) {
      std::string noisy = task.answer;
      const size_t n_flips = 1 + rng.below(4);
      for (size_t k = 0; k < n_flips; ++k) {
        noisy[rng.below(noisy.size())] = static_cast<char>(rng.below(256));
      }
      const Verdict verdict = check(task, noisy);
      EXPECT_EQ(verdict.success, verdict.reason.empty());
    }
  });
  const Task task = make_task(TaskKind::kReview, Field::kSocial, Split::kEvaluation, 1);
  EXPECT_FALSE(check(task, std::string(1 << 20, '*')).success);
  EXPECT_FALSE(check(task, std::string(60000, ';')).success);
}

// Deterministic on every platform, and a reminder that a zoo was trained on other tasks once this
// changes: prompts and answers of the first seeds, hashed (FNV-1a, 64 bits).
uint64_t hash_of_first_seeds() {
  uint64_t hash = 0xcbf29ce484222325u;
  for_each(3, [&](const Task& task) {
    for (const std::string* text : {&task.prompt, &task.answer}) {
      for (const char c : *text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    }
  });
  return hash;
}
TEST(Task, IsTheSameEveryTime) {
  EXPECT_EQ(hash_of_first_seeds(), 1737920442975958635u);
  const Task a = make_task(TaskKind::kCitation, Field::kBiology, Split::kTrain, 1);
  const Task b = make_task(TaskKind::kCitation, Field::kBiology, Split::kTrain, 2);
  const Task c = make_task(TaskKind::kCitation, Field::kBiology, Split::kEvaluation, 1);
  EXPECT_NE(a.prompt, b.prompt);
  EXPECT_NE(a.prompt, c.prompt);
}

TEST(Task, NamesRoundTrip) {
  for (int i = 0; i < kTaskKinds; ++i) {
    EXPECT_EQ(kind_from_name(kind_name(static_cast<TaskKind>(i))), static_cast<TaskKind>(i));
  }
  EXPECT_EQ(field_from_name("social"), Field::kSocial);
  EXPECT_EQ(split_from_name("evaluation"), Split::kEvaluation);
  EXPECT_FALSE(kind_from_name("poetry").has_value());
}

// Harder instances must exist: each kind spreads over the levels and has its long tail.
TEST(Task, DifficultySpreads) {
  for (int kind = 0; kind < kTaskKinds; ++kind) {
    std::array<int, 4> quarters{};
    int most_items = 0;
    int most_hops = 0;
    for (uint64_t seed = 0; seed < 2000; ++seed) {
      const Task task = make_task(static_cast<TaskKind>(kind), static_cast<Field>(seed % kFields),
                                  Split::kEvaluation, seed);
      ++quarters[std::min<size_t>(3, static_cast<size_t>(task.difficulty.level * 4))];
      most_items = std::max(most_items, task.difficulty.items);
      most_hops = std::max(most_hops, task.difficulty.hops);
    }
    for (size_t i = 0; i < quarters.size(); ++i) {
      EXPECT_GE(quarters[i], 20) << kind_name(static_cast<TaskKind>(kind)) << " quarter " << i;
    }
    if (kind == static_cast<int>(TaskKind::kCitation)) {
      EXPECT_EQ(most_items, 25);
    }
    if (kind == static_cast<int>(TaskKind::kReview)) {
      EXPECT_EQ(most_items, 6);
    }
    if (kind == static_cast<int>(TaskKind::kHypothesis)) {
      EXPECT_EQ(most_hops, 5);
    }
  }
}

// Prompts stay near what a small model's context holds: bytes, since the tokenizer comes later.
TEST(Task, LengthsStayBounded) {
  std::vector<size_t> prompts;
  std::vector<size_t> answers;
  for_each(100, [&](const Task& task) {
    prompts.push_back(task.prompt.size());
    answers.push_back(task.answer.size());
  });
  std::sort(prompts.begin(), prompts.end());
  std::sort(answers.begin(), answers.end());
  const auto at = [](const std::vector<size_t>& sorted, double q) {
    return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))];
  };
  EXPECT_LE(at(prompts, 0.5), 600u);
  EXPECT_LE(at(prompts, 0.99), 1600u);
  EXPECT_LE(at(answers, 0.99), 1000u);
}

TableTruth two_by_two() {
  TableTruth truth;
  truth.table.row_header = "strain";
  truth.table.rows = {"KL-4", "oak"};
  truth.table.columns = {{"leaf area", "cm²", 1}, {"survival", "%", 0}};
  truth.table.values = {{52, 40}, {381, 75}};
  truth.used = {0, 1};
  truth.asked = {{Operation::kHighest, 0, 0, 0}, {Operation::kDifference, 1, 0, 1}};
  return truth;
}

TEST(CheckTable, OtherWordingsPass) {
  const TableTruth truth = two_by_two();
  for (const char* answer :
       {"KL-4 had a leaf area of 5.2 cm² and a survival of 40 %. Oak had a leaf area of 38.1 cm² "
        "and a survival of 75 %. The greatest leaf area (38.1 cm²) was that of oak. Survival of "
        "oak was 35 percentage points higher than that of KL-4.",
        "* **KL-4**: leaf area 5.2 cm², survival 40%\n* **Oak**: leaf area 38.1 cm², survival "
        "75%\n\nOak had the largest leaf area, 38.1 cm².\nSurvival was 35 percentage points lower "
        "for KL-4 than for oak.",
        "Leaf area was 5.2 cm² for KL-4 and 38.1 cm² for oak; survival was 40% for KL-4 and 75% "
        "for oak. The highest leaf area was 38.1 cm² for oak. The survival for KL-4 was 35 "
        "percentage points lower than for oak."}) {
    const Verdict verdict = check_table(truth, answer);
    EXPECT_TRUE(verdict.success) << verdict.reason << "\n" << answer;
  }
  for (const char* answer :
       {"KL-4 had a leaf area of 38.1 cm² and a survival of 40 %. Oak had a leaf area of 5.2 cm² "
        "and a survival of 75 %. The greatest leaf area (38.1 cm²) was that of oak. Survival of "
        "oak was 35 percentage points higher than that of KL-4.",
        "Leaf area was 5.2 cm² for oak and 38.1 cm² for KL-4; survival was 40% for KL-4 and 75% "
        "for oak. The highest leaf area was 38.1 cm² for oak. The survival for KL-4 was 35 "
        "percentage points lower than for oak."}) {
    EXPECT_FALSE(check_table(truth, answer).success) << answer;
  }
}

TEST(CheckTable, TheWayToAResultIsChecked) {
  const TableTruth truth = two_by_two();
  const std::string described =
      "KL-4: leaf area 5.2 cm², survival 40%\noak: leaf area 38.1 cm², survival 75%\n";
  const std::string highest = "The highest leaf area was that of oak, 38.1 cm². ";
  const std::string difference = "The survival for KL-4 was lower than for oak by 35 percentage points.";
  const auto passes = [&](std::string_view rows, std::string_view digits) {
    return check_table(truth, described + std::string(rows) + highest + std::string(digits) +
                                  difference)
        .success;
  };
  const char* rows =
      "Highest leaf area, against that of KL-4, 5.2 cm²: oak at 38.1 cm² is higher, against that of "
      "oak, 38.1 cm²: no other. ";
  const char* digits = "75 - 40 from the right: 5-0=5, 7-4=3. ";
  EXPECT_TRUE(passes(rows, digits));
  EXPECT_TRUE(passes("", ""));
  EXPECT_FALSE(passes(replaced(rows, "higher", "lower"), digits));
  EXPECT_FALSE(passes(replaced(rows, " is higher", ""), digits));
  EXPECT_FALSE(passes(replaced(rows, "38.1 cm²", "38.2 cm²"), digits));
  EXPECT_FALSE(passes(replaced(rows, "Highest", "Lowest"), digits)) << "nobody asked for it";
  EXPECT_FALSE(passes(rows, replaced(digits, "7-4=3", "7-4=4")));
  EXPECT_FALSE(passes(rows, replaced(digits, "75 - 40", "75 - 41")));
  EXPECT_FALSE(passes(rows, replaced(digits, ", 7-4=3", ", 7-4=3, 8")));
  const std::string pair = "The survival for oak was 75% and for KL-4 it was 40%, which is lower. ";
  EXPECT_TRUE(passes(rows, pair + digits));
  EXPECT_FALSE(passes(rows, replaced(pair, "lower", "higher") + digits));
  EXPECT_FALSE(passes(rows, replaced(pair, "40%", "41%") + digits));
  // What leads to an answer is none.
  EXPECT_FALSE(check_table(truth, described + rows + digits + difference).success);
}

TEST(CheckHypothesis, OtherWordingsPass) {
  HypothesisTruth truth;
  truth.chain = {"leaf area", "gut uptake", "bone mass"};
  truth.directions = {kRises, kFalls, kRises};
  truth.untested = 1;
  truth.relations = {{"leaf area", "gut uptake", kFalls},
                     {"seed length", "gut uptake", kRises, true},
                     {"gut uptake", "bone mass", kFalls}};
  truth.others = {"seed length"};
  const char* right =
      "Higher leaf area means lower gut uptake and so higher bone mass.\nI predict that bone mass "
      "will increase.\nNobody has tested it: the assumption is that gut uptake acts on bone "
      "mass.\nManipulate gut uptake while you record bone mass.";
  const Verdict verdict = check_hypothesis(truth, right);
  EXPECT_TRUE(verdict.success) << verdict.reason;
  EXPECT_FALSE(
      check_hypothesis(truth, replaced(right, "lower gut uptake", "higher gut uptake")).success);
  EXPECT_FALSE(
      check_hypothesis(truth, replaced(right, "will increase", "will not increase")).success);
  EXPECT_FALSE(
      check_hypothesis(truth, std::string(right) + "\nSeed length rises as well.").success);
  EXPECT_TRUE(
      check_hypothesis(truth, std::string(right) + "\nSeed length raises gut uptake.").success);
  EXPECT_FALSE(
      check_hypothesis(truth, std::string(right) + "\nSeed length lowers gut uptake.").success);
  EXPECT_FALSE(
      check_hypothesis(truth, std::string(right) + "\nSeed length raises bone mass.").success);
  EXPECT_FALSE(check_hypothesis(truth, std::string(right) + "\nBone mass rises by 12.").success);
}

TEST(CheckReview, OtherWordingsPass) {
  ReviewTruth truth;
  truth.cause = "shade depth";
  truth.outcome = "leaf area";
  truth.studies = {{{"Lund"}, 2001, 48, "seedlings", "field trial", kRises},
                   {{"Okafor", "Chen"}, 2010, 120, "mice", "cohort study", kFalls},
                   {{"de la Cruz", "Rossi", "Kaya"}, 2015, 31, "plots", "field trial", kRises}};
  const char* right =
      "- Lund (2001) saw an increase in a field trial of 48 seedlings.\n"
      "- Okafor & Chen, 2010: cohort study with 120 mice, leaf area fell.\n"
      "- In a field trial of 31 plots, de la Cruz et al. (2015) found that shade depth raised leaf "
      "area.\n\nLund (2001) and de la Cruz et al. (2015) found an increase; Okafor and Chen (2010) "
      "a decrease. Overall, mostly an increase (2 of 3). The studies disagree.";
  const Verdict verdict = check_review(truth, right);
  EXPECT_TRUE(verdict.success) << verdict.reason;
  for (const auto& [from, to] :
       std::vector<std::pair<const char*, const char*>>{{"Okafor & Chen", "Okafor"},
                                                        {"leaf area fell", "leaf area rose"},
                                                        {"120 mice", "102 mice"},
                                                        {"a decrease", "an increase"},
                                                        {"(2 of 3)", "(3 of 3)"},
                                                        {"disagree", "agree"},
                                                        {"31 plots", "31 mice"}}) {
    EXPECT_FALSE(check_review(truth, replaced(right, from, to)).success) << to;
  }
}

TEST(CheckCitation, TheOrderInFrontOfAListIsChecked) {
  CitationTruth truth;
  truth.skill = CitationSkill::kBibliography;
  truth.lines = {"Lund, A. (2001). Soil.", "Zeller, B. (2002). Rain."};
  truth.references.resize(2);
  truth.references[0].authors = {{"Anna", "Lund", ""}};
  truth.references[1].authors = {{"Bo", "Zeller", ""}};
  const std::string list = truth.lines[0] + "\n" + truth.lines[1];
  EXPECT_TRUE(check_citation(truth, list).success);
  EXPECT_TRUE(check_citation(truth, "Order: Lund; Zeller\n" + list).success);
  EXPECT_FALSE(check_citation(truth, "Order: Zeller; Lund\n" + list).success);
  EXPECT_FALSE(check_citation(truth, "Order: Lund; Zeller").success);
  truth.skill = CitationSkill::kFormat;
  EXPECT_FALSE(check_citation(truth, "Order: Lund; Zeller\n" + list).success);
}

TEST(CheckCitation, EmphasisOnlyWhereTheStyleHasIt) {
  CitationTruth truth;
  truth.lines = {"Lund, A. (2001). Soil. *J. Soil*, *3*, 4–5."};
  EXPECT_TRUE(check_citation(truth, "Lund, A. (2001). Soil. J. Soil, 3, 4–5.").success);
  EXPECT_TRUE(check_citation(truth, "Lund, A. (2001). Soil. *J. Soil*, *3*, 4–5.").success);
  EXPECT_TRUE(check_citation(truth, "Lund, A. (2001). Soil. _J. Soil_, _3_, 4–5.\n").success);
  EXPECT_FALSE(check_citation(truth, "Lund, A. (2001). *Soil*. J. Soil, 3, 4–5.").success);
  EXPECT_FALSE(check_citation(truth, "Lund, A. (2001). Soil. J. Soil, 3, 4-5.").success);
  truth.markdown = true;
  EXPECT_FALSE(check_citation(truth, "Lund, A. (2001). Soil. J. Soil, 3, 4–5.").success);
  EXPECT_TRUE(check_citation(truth, "Lund, A. (2001). Soil. *J. Soil*, *3*, 4–5.").success);
}

}  // namespace
}  // namespace ac::tasks
