// train: from a text to a model that answers, stopped in between.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

std::string recipe_text(int steps) {
  return "version = 1\n[model]\nname = mini\nd_model = 32\nlayers = 1\nheads = 2\nkv_heads = 1\nd_ff = 64\n"
         "context = 32\n[tokenizer]\nvocab = 300\n[data]\ntext = words.txt\n[train]\nsteps = " +
         std::to_string(steps) +
         "\ntokens_per_step = 256\ntokens_per_pack = 128\nwarm_up = 2\nlearning_rate = 0.01\n[watch]\n"
         "evaluate_every = 10\nevaluate_tokens = 300\n";
}

class TrainCommand : public CommandTest {
 protected:
  void SetUp() override {
    CommandTest::SetUp();
    std::string words;
    for (int i = 0; i < 400; ++i) {
      words += "The colony number " + std::to_string(i * i % 977) +
               " grew on the plate until the agar was covered by it.\n";
    }
    write("words.txt", words);
  }
};

TEST_F(TrainCommand, TrainsAModelThatAnswers) {
  write("r.ini", recipe_text(40));
  const Json report = run_json({"train", "--recipe", "r.ini", "--out", "m.gguf", "--json"});
  EXPECT_EQ(report["finished"], true);
  EXPECT_EQ(report["step"], 40);
  EXPECT_LT(report["held_out_loss"].get<double>(), report["unigram_loss"].get<double>());
  const Outcome answer = run({"ask", "--model", "m.gguf", "--max-tokens", "4", "colony"});
  EXPECT_EQ(answer.exit_code, 0) << answer.err;
  EXPECT_NE(read("m.gguf.svg").find("mini: loss"), std::string::npos);
  EXPECT_NE(read("m.gguf.log.jsonl").find("\"step\":40"), std::string::npos);
  // A finished run resumed has nothing left to do.
  const Json again = run_json({"train", "--recipe", "r.ini", "--out", "m.gguf", "--resume", "--json"});
  EXPECT_EQ(again["step"], 40);
}

// Without a text it learns the research tasks, and can be scored on them.
TEST_F(TrainCommand, TrainsOnTheTasks) {
  std::string recipe = recipe_text(3);
  const size_t text = recipe.find("text = words.txt\n");
  ASSERT_NE(text, std::string::npos);
  recipe.replace(text, 17, "review = 0\nworkflows = 0\n");
  recipe.replace(recipe.find("context = 32"), 12, "context = 2048");
  recipe.replace(recipe.find("tokens_per_pack = 128"), 21, "tokens_per_pack = 2048");
  recipe.insert(recipe.find("[data]"), "sample_mb = 1\n");
  write("r.ini", recipe);
  const Json report = run_json({"train", "--recipe", "r.ini", "--out", "m.gguf", "--json"});
  EXPECT_EQ(report["finished"], true);
  const Json score = run_json({"tasks", "score", "--model", "m.gguf", "--n", "1", "--kind",
                               "hypothesis", "--json"});
  EXPECT_EQ(score["all"]["n"], 1);
  EXPECT_EQ(score["split"], "evaluation");
  EXPECT_EQ(score["kinds"].size(), 1u);
  write("none.ini", recipe_text(3).replace(text, 17,
                                           "citation = 0\ndata_to_text = 0\nreview = 0\n"
                                           "hypothesis = 0\n"));
  expect_refused({"train", "--recipe", "none.ini", "--out", "x.gguf"}, "every kind of task counts 0");
}

TEST_F(TrainCommand, AnInterruptLeavesACheckpoint) {
  write("r.ini", recipe_text(100000));
  const int null = open("/dev/null", O_RDWR);
  int err[2];
  ASSERT_EQ(pipe(err), 0);
  const pid_t pid = start({{"train", "--recipe", "r.ini", "--out", "m.gguf"}}, folder_, null, null, err[1]);
  close(err[1]);
  // Long enough for the handler to stand, far too short for the recipe.
  usleep(700 * 1000);
  ASSERT_EQ(kill(pid, SIGINT), 0);
  EXPECT_EQ(wait_for(pid), 130) << read_all(err[0]);
  close(err[0]);
  close(null);
  EXPECT_TRUE(std::filesystem::exists(path("m.gguf")));  // as far as it got
  ASSERT_TRUE(std::filesystem::exists(path("m.gguf.state")));
  // Another recipe is not what was begun.
  write("other.ini", recipe_text(99999));
  expect_refused({"train", "--recipe", "other.ini", "--out", "m.gguf", "--resume"}, "another recipe");
}

TEST_F(TrainCommand, MistakesAreNamed) {
  expect_refused({"train", "--out", "m.gguf"}, "expected --recipe");
  write("r.ini", recipe_text(10));
  expect_refused({"train", "--recipe", "r.ini"}, "expected --out");
  expect_refused({"train", "--recipe", "none.ini", "--out", "m.gguf"}, "none.ini");
  expect_refused({"train", "--recipe", "r.ini", "--out", "m.gguf", "--resume"}, "m.gguf.state");
  expect_refused({"train", "--recipe", "r.ini", "--out", "m.gguf", "--minutes", "x"}, "--minutes");
  write("bad.ini", recipe_text(10) + "nonsense = 1\n");
  expect_refused({"train", "--recipe", "bad.ini", "--out", "m.gguf"}, "nonsense");
  write("words.txt", "too short\n");
  expect_refused({"train", "--recipe", "r.ini", "--out", "m.gguf"}, "words.txt");
}

}  // namespace
}  // namespace ac::test
