// What is remembered of workflows, in memory and on disk.
#include "runtime/route/workflow_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/core/file.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

TEST(WorkflowBook, MultipliesSuccesses) {
  WorkflowBook book;
  EXPECT_EQ(book.find("a").relative(), 1);
  book.add("a", {.success = 0.8, .full_success = 1.0, .local_cost = 4, .usd = 0.25});
  book.add("a", {.success = 0.5, .full_success = 0.8, .local_cost = 2});
  book.add("a", {.usd = 0.5});  // nothing was predicted
  const WorkflowState state = book.find("a");
  EXPECT_EQ(state.n_steps, 3);
  EXPECT_DOUBLE_EQ(state.relative(), 0.5);
  EXPECT_EQ(state.dearest_local, 4);
  EXPECT_EQ(state.usd, 0.75);
  EXPECT_EQ(book.find("b").n_steps, 0);
}

TEST(WorkflowBook, IsNeverWorthNothingOrMoreThanTheFullModel) {
  WorkflowBook book;
  for (int i = 0; i < 1000; ++i) book.add("hopeless", {.success = 0.0, .full_success = 1.0});
  EXPECT_GT(book.find("hopeless").relative(), 0);
  book.add("better", {.success = 0.9, .full_success = 0.5});
  EXPECT_EQ(book.find("better").relative(), 1);
}

TEST(WorkflowBook, ForgetsTheLongestSilent) {
  WorkflowBook book(2);
  book.add("a", {});
  book.add("b", {});
  book.add("a", {});
  book.add("c", {});
  EXPECT_EQ(book.find("a").n_steps, 2);
  EXPECT_EQ(book.find("b").n_steps, 0);
  EXPECT_EQ(book.entries().size(), 2u);
  EXPECT_EQ(book.entries().front().id, "c");
}

TEST(WorkflowBook, OutlivesItsProcess) {
  const std::string folder = testing::TempDir() + "workflow_book_test";
  std::filesystem::remove_all(folder);
  const std::string path = folder + "/deeper/workflows.json";
  ASSERT_TRUE(read_workflows(path));
  ASSERT_TRUE(add_to_workflows(path, "lab 7", {.success = 0.5, .full_success = 1.0, .usd = 0.1}));
  ASSERT_TRUE(add_to_workflows(path, "other", {}));
  ASSERT_TRUE(add_to_workflows(path, "lab 7", {.local_cost = 3, .usd = 0.2}));
  const auto book = read_workflows(path);
  ASSERT_TRUE(book) << book.error().message;
  const WorkflowState state = book->find("lab 7");
  EXPECT_EQ(state.n_steps, 2);
  EXPECT_EQ(state.relative(), 0.5);
  EXPECT_NEAR(state.usd, 0.3, 1e-12);
  EXPECT_EQ(state.dearest_local, 3);
  EXPECT_EQ(book->entries().front().id, "lab 7");
}

TEST(WorkflowBook, AStrangersFileIsLeftAlone) {
  const std::string path = testing::TempDir() + "workflows_of_a_stranger.json";
  for (const std::string& text :
       {std::string("not json"), std::string("[]"), std::string(R"({"workflows":[3]})"),
        std::string(R"({"workflows":[{"id":"","steps":1,"survival":1,"full_survival":1,"usd":0,"dearest_local":0}]})")}) {
    ASSERT_TRUE(write_file(path, text));
    const Status added = add_to_workflows(path, "a", {});
    ASSERT_FALSE(added) << text;
    EXPECT_EQ(added.error().code, ErrorCode::kCorruptFile);
    EXPECT_THAT(added.error().message, HasSubstr("workflows_of_a_stranger.json"));
    EXPECT_EQ(read_file(path, 1000).value(), text);
  }
}

TEST(WorkflowIds, ArePrintableAndShort) {
  EXPECT_TRUE(good_workflow_id("run 12 / Größe"));
  EXPECT_FALSE(good_workflow_id(""));
  EXPECT_FALSE(good_workflow_id("two\nlines"));
  EXPECT_TRUE(good_workflow_id(std::string(kMaxWorkflowIdBytes, 'x')));
  EXPECT_FALSE(good_workflow_id(std::string(kMaxWorkflowIdBytes + 1, 'x')));
}

}  // namespace
}  // namespace ac
