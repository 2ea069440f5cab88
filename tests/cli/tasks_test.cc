// tasks show|check|workflow: what is shown can be answered, and the verdict is the exit code.
#include <map>
#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

class Tasks : public CommandTest {};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

TEST_F(Tasks, ShowPrintsPromptAndAnswer) {
  const Outcome outcome = run({"tasks", "show", "--kind", "citation", "--seed", "5"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("=== seed 5: citation ("), std::string::npos);
  EXPECT_NE(outcome.out.find("--- answer\n"), std::string::npos);
}

TEST_F(Tasks, KindsAndFieldsTakeTurns) {
  const Outcome outcome = run({"tasks", "show", "--n", "16", "--split", "evaluation", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::map<std::string, int> kinds;
  std::map<std::string, int> fields;
  for (const std::string& line : lines_of(outcome.out)) {
    const auto task = nlohmann::json::parse(line);
    ++kinds[task.at("kind")];
    ++fields[task.at("field")];
    EXPECT_EQ(task.at("split"), "evaluation");
    EXPECT_FALSE(task.at("prompt").get<std::string>().empty());
  }
  EXPECT_EQ(kinds.size(), 4u);
  EXPECT_EQ(fields.size(), 4u);
  EXPECT_EQ(kinds["review"], 4);
}

TEST_F(Tasks, TokensOfAModelNeedOne) {
  const Outcome none = run({"tasks", "show", "--respelled", "--tokens-of", "no-such.gguf"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.err.find("no-such.gguf"), std::string::npos) << none.err;
  EXPECT_EQ(run({"tasks", "show", "--tokens-of", "no-such.gguf"}).exit_code, 2);
}

using TasksOfModel = ModelTest;

TEST_F(TasksOfModel, MadeUpWordsAreOfItsTokens) {
  const std::vector<std::string> show = {"tasks", "show", "--respelled", "--n", "8"};
  std::vector<std::string> with = show;
  with.insert(with.end(), {"--tokens-of", model_});
  const Outcome made = run(with);
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_NE(made.out, run(show).out);
  EXPECT_EQ(made.out, run(with).out);
}

TEST_F(Tasks, CheckJudgesStandardInput) {
  const std::vector<std::string> which = {"--kind",  "hypothesis", "--field",
                                          "physics", "--seed",     "12"};
  std::vector<std::string> show = {"tasks", "show", "--json"};
  show.insert(show.end(), which.begin(), which.end());
  const auto task = nlohmann::json::parse(run(show).out);
  std::vector<std::string> check = {"tasks", "check"};
  check.insert(check.end(), which.begin(), which.end());
  const Outcome right = run(check, task.at("answer").get<std::string>());
  EXPECT_EQ(right.exit_code, 0);
  EXPECT_EQ(right.out, "right\n");
  const Outcome wrong = run(check, "Nothing happens.");
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_EQ(wrong.out.substr(0, 7), "wrong: ");
}

TEST_F(Tasks, WorkflowsHaveTwoToSixSteps) {
  const Outcome outcome = run({"tasks", "workflow", "--n", "8", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<std::string> lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 8u);
  for (const std::string& line : lines) {
    const size_t n_steps = nlohmann::json::parse(line).at("steps").size();
    EXPECT_GE(n_steps, 2u);
    EXPECT_LE(n_steps, 6u);
  }
  EXPECT_NE(run({"tasks", "workflow"}).out.find("step 1 of "), std::string::npos);
}

TEST_F(Tasks, RespelledOnesHaveOtherWords) {
  const std::vector<std::string> show = {"tasks", "show", "--kind", "hypothesis", "--seed", "3"};
  std::vector<std::string> respelled = show;
  respelled.push_back("--respelled");
  const Outcome listed = run(show), made_up = run(respelled);
  EXPECT_EQ(made_up.exit_code, 0) << made_up.err;
  EXPECT_NE(made_up.out, listed.out);
  EXPECT_EQ(made_up.out, run(respelled).out);
}

TEST_F(Tasks, SlipsGetAHint) {
  expect_refused({"tasks", "show", "--kind", "reviews"}, "did you mean 'review'?");
  expect_refused({"tasks", "show", "--split", "test"}, "expected train|calibration|evaluation");
  expect_refused({"tasks", "show", "--field", "law"}, "--field is 'law'");
  expect_refused({"tasks", "show", "--n", "0"}, "expected 1 to");
  expect_refused({"tasks", "check", "--n", "2"}, "unknown flag '--n'");
  expect_refused({"tasks", "score", "--shipped-zoo", "no"}, "no model");
  expect_refused({"tasks", "score", "--model", "none.gguf"}, "none.gguf");
  expect_refused({"tasks", "score", "--kind", "reviews"}, "did you mean 'review'?");
}

}  // namespace
}  // namespace ac::test
