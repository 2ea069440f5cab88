// Documents made of tasks: endless, the same for the same number, in the shares asked for.
#include "models/train/task_documents.h"

#include <gtest/gtest.h>

#include <set>

namespace ac {
namespace {

TEST(TaskDocuments, AreTheSameForTheSameNumberAndOthersForOthers) {
  const TaskDocuments documents(tasks::Split::kTrain, {});
  EXPECT_EQ(documents.size(), 0u);
  std::set<std::string> prompts;
  for (uint64_t i = 0; i < 300; ++i) {
    const Document document = documents.document(i);
    EXPECT_EQ(document.prompt, documents.document(i).prompt);
    EXPECT_FALSE(document.prompt.empty());
    EXPECT_FALSE(document.answer.empty());
    prompts.insert(document.prompt);
  }
  EXPECT_GT(prompts.size(), 295u);
}

TEST(TaskDocuments, SplitsShareNoPrompt) {
  std::set<std::string> training;
  const TaskDocuments first(tasks::Split::kTrain, {}), second(tasks::Split::kCalibration, {});
  for (uint64_t i = 0; i < 300; ++i) training.insert(first.document(i).prompt);
  for (uint64_t i = 0; i < 300; ++i) EXPECT_FALSE(training.contains(second.document(i).prompt));
}

TEST(TaskDocuments, KindsThatCountNothingAreLeftOut) {
  const TaskDocuments documents(tasks::Split::kTrain,
                                {.kinds = {0, 0, 0, 1}, .workflows = 0, .respelled = 0});
  for (uint64_t i = 0; i < 200; ++i) {
    const std::string answer = documents.document(i).answer;
    EXPECT_TRUE(answer.starts_with("Question: ") || answer.starts_with("Experiment: ")) << answer;
  }
}

TEST(TaskDocuments, SomeAreShortOrLong) {
  const auto mean_bytes = [](double shortest, double longest) {
    const TaskDocuments documents(
        tasks::Split::kTrain, {.workflows = 0, .shortest = shortest, .longest = longest});
    size_t n_bytes = 0;
    for (uint64_t i = 0; i < 200; ++i) {
      const Document document = documents.document(i);
      n_bytes += document.prompt.size() + document.answer.size();
    }
    return static_cast<double>(n_bytes) / 200;
  };
  const double natural = mean_bytes(0, 0);
  EXPECT_LT(mean_bytes(1, 0), 0.9 * natural);
  EXPECT_GT(mean_bytes(0, 1), 1.1 * natural);
}

// Lists of entries are long, so that it is not by being short that some are chosen.
TEST(TaskDocuments, SomeAreAboutLists) {
  const auto n_multiline = [](double lists, double shortest) {
    const TaskDocuments documents(
        tasks::Split::kTrain,
        {.kinds = {1, 0, 0, 0}, .workflows = 0, .lists = lists, .shortest = shortest});
    int n = 0;
    for (uint64_t i = 0; i < 300; ++i) {
      n += documents.document(i).answer.find('\n') != std::string::npos ? 1 : 0;
    }
    return n;
  };
  const int natural = n_multiline(0, 0);
  EXPECT_NEAR(natural, 30, 15);
  EXPECT_NEAR(n_multiline(0, 1), natural, 15);
  EXPECT_NEAR(n_multiline(1, 0), 150, 30);
}

}  // namespace
}  // namespace ac
