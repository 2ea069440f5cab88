// zoo build, info, export: from a model and its own words to measured variants.
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/cli/zoo_plot.h"
#include "tests/cli/command.h"

namespace ac::test {
namespace {

constexpr std::string_view kRecipe =
    "version = 1\n[calibrate]\ntokens = 2000\n[measure]\ntokens = 500\n"
    "[q8]\nquantise = q8_0\n"
    "[lean]\nprune = ff_keep=0.75 kv_keep=0.75 unit=4\nquantise = bf16\n";

class BuildCommand : public ModelTest {
 protected:
  void SetUp() override {
    ModelTest::SetUp();
    if (IsSkipped()) return;
    std::string text;
    for (int i = 0; i < 120; ++i) {
      text += "Once upon a time, there was a little girl named Lily who had " + std::to_string(i) +
              " red balls. She loved to play outside in the park.\n\n";
    }
    write("text.txt", text);
    write("recipe.ini", kRecipe);
  }
  std::vector<std::string> build(const std::string& base) const {
    return {"zoo",      "build",      "--base", base,    "--calibrate", "text.txt",
            "--recipe", "recipe.ini", "--out",  "a.zoo", "--json"};
  }
};

TEST_F(BuildCommand, BuildsTellsPlotsAndExports) {
  const Json built = run_json(build(model_));
  ASSERT_EQ(built["variants"].size(), 2u);
  EXPECT_FALSE(std::filesystem::exists(path("a.zoo.build")));
  const Json info = run_json({"zoo", "info", "a.zoo", "--plot", "a.svg", "--json"});
  EXPECT_EQ(info["recipe"].size(), 2u);
  for (const Json& variant : info["variants"]) {
    for (const char* key :
         {"macs_per_token", "bit_ops_per_token", "bytes_per_token", "ms_per_token", "ppl"}) {
      EXPECT_GT(variant[key].get<double>(), 0) << key;
    }
    EXPECT_GE(variant["kl"].get<double>(), 0);
    EXPECT_TRUE(variant["success"].is_null());
    EXPECT_EQ(variant["name"], variant["id"]);
    // 8.5 or 16 bits of 16, and what has no weights at full price.
    EXPECT_LE(variant["bit_ops_per_token"], variant["macs_per_token"]);
  }
  EXPECT_NE(read("a.svg").find("lean</text>"), std::string::npos);
  const Outcome table = run({"zoo", "info", "a.zoo"});
  EXPECT_NE(table.out.find("Mbit-ops"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("prune ff_keep=0.75 kv_keep=0.75 time_keep=1 drop_layers=0 unit=4"),
            std::string::npos);
  const Json exported =
      run_json({"zoo", "export", "a.zoo", "lean", "--gguf", "lean.gguf", "--json"});
  EXPECT_EQ(exported["architecture"], "deci");
  EXPECT_EQ(exported["bytes"], std::filesystem::file_size(path("lean.gguf")));
  EXPECT_EQ(run_json({"zoo", "export", "a.zoo", "q8", "--json"})["architecture"], "llama");
  expect_refused({"zoo", "export", "a.zoo", "none"}, "none");
  // A pruned variant answers.
  const Outcome answer =
      run({"ask", "--zoo", "a.zoo", "--variant", "lean", "--max-tokens", "4", "Once upon a time"});
  EXPECT_EQ(answer.exit_code, 0) << answer.err;
  const Outcome of_file = run({"ask", "--model", "lean.gguf", "--max-tokens", "4", "Once upon a time"});
  EXPECT_EQ(of_file.exit_code, 0) << of_file.err;
}

// A teller of stories does no research; but it is asked, and the table says so.
TEST_F(BuildCommand, VariantsDoTasksWhereThatIsAsked) {
  write("recipe.ini",
        "version = 1\n[calibrate]\ntokens = 2000\n[measure]\ntokens = 100\n[q8]\nquantise = q8_0\n");
  std::vector<std::string> words = build(model_);
  words.insert(words.end(), {"--tasks", "1"});
  run_json(words);
  const Json info = run_json({"zoo", "info", "a.zoo", "--json"});
  EXPECT_EQ(info["recipe"].size(), 3u);
  const Json success = info["variants"][0]["success"];
  ASSERT_EQ(success.size(), 4u);
  for (const Json& kind : success) {
    EXPECT_EQ(kind["n_total"], 1);
    EXPECT_EQ(kind["n_right"], 0);
    EXPECT_GT(kind["high"].get<double>(), 0.5);
  }
  const Outcome table = run({"zoo", "info", "a.zoo"});
  EXPECT_NE(table.out.find("0.0 [0.0, 79.3]"), std::string::npos) << table.out;
  words.back() = "-1";
  expect_refused(words, "--tasks");
}

TEST_F(BuildCommand, LevelsOfANestedVariant) {
  write("recipe.ini",
        "version = 1\n[calibrate]\ntokens = 2000\n[measure]\ntokens = 500\n"
        "[four]\nquantise = q4_0\n"
        "[fine]\nquantise = nested levels=0,50,100 order_tokens=300\n"
        "[q8]\nquantise = q8_0\n");
  const Json built = run_json(build(model_));
  ASSERT_EQ(built["variants"].size(), 5u);
  EXPECT_EQ(run_json({"zoo", "verify", "a.zoo", "--json"})["ok"], true);
  std::map<std::string, Json> variants;
  const Json info = run_json({"zoo", "info", "a.zoo", "--json"});
  for (const Json& variant : info["variants"]) {
    variants[variant["id"].get<std::string>()] = variant;
  }
  ASSERT_EQ(variants.size(), 5u);
  EXPECT_TRUE(variants["four"]["level"].is_null());
  EXPECT_EQ(variants["fine.50"]["level"], 50);
  for (const char* key : {"memory_bytes", "weight_bytes", "bytes_per_token", "bit_ops_per_token"}) {
    EXPECT_EQ(variants["fine.0"][key], variants["four"][key]) << key;
    EXPECT_LT(variants["fine.0"][key], variants["fine.50"][key]) << key;
    EXPECT_LT(variants["fine.50"][key], variants["fine.100"][key]) << key;
  }
  EXPECT_EQ(variants["fine.0"]["kl"], variants["four"]["kl"]);
  EXPECT_LE(variants["fine.100"]["kl"].get<double>(), 0.0015);
  const Outcome table = run({"zoo", "info", "a.zoo"});
  EXPECT_NE(table.out.find("level         50 of 100, in variants/fine.gguf"), std::string::npos)
      << table.out;
  EXPECT_NE(run({"zoo", "ls", "a.zoo"}).out.find("fine.100"), std::string::npos);

  // Level 0 is the 4-bit file; others say what they became.
  run_json({"zoo", "extract", "a.zoo", "four", "--json"});
  EXPECT_TRUE(run_json({"zoo", "extract", "a.zoo", "fine.0", "--json"})["notes"].empty());
  EXPECT_TRUE(read("four.gguf") == read("fine.0.gguf"));
  const Outcome extracted = run({"zoo", "extract", "a.zoo", "fine.100"});
  EXPECT_NE(extracted.out.find("rounded to q8_0"), std::string::npos) << extracted.out;
  EXPECT_EQ(run({"ask", "--model", "fine.100.gguf", "--max-tokens", "4", "Once"}).exit_code, 0);

  // A level may be asked for, whatever the variant's own is.
  const auto ask = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"ask", "--zoo", "a.zoo", "--max-tokens", "40"};
    words.insert(words.end(), more.begin(), more.end());
    words.emplace_back("Once upon a time");
    const Outcome answer = run(words);
    EXPECT_EQ(answer.exit_code, 0) << answer.err;
    return answer.out;
  };
  const std::string low = ask({"--variant", "fine.0"});
  const std::string high = ask({"--variant", "fine.100"});
  EXPECT_EQ(low, ask({"--variant", "four"}));
  EXPECT_EQ(ask({"--variant", "fine.0", "--level", "100"}), high);
  EXPECT_EQ(ask({"--variant", "fine.100", "--level", "0"}), low);
  expect_refused({"ask", "--zoo", "a.zoo", "--level", "50", "hi"}, "--variant");
  for (const char* wrong : {"101", "-1", "x", ""}) {
    expect_refused({"ask", "--zoo", "a.zoo", "--variant", "fine.0", "--level", wrong, "hi"},
                   "--level");
  }
  expect_refused({"ask", "--zoo", "a.zoo", "--variant", "q8", "--level", "50", "hi"},
                 "one precision");
}

TEST_F(BuildCommand, BadInputEndsWithTwoAndNoZoo) {
  expect_refused({"zoo", "build", "--base", model_}, "--calibrate");
  expect_refused(build("none.gguf"), "none.gguf");
  write("recipe.ini", "version = 1\n[a]\nquantise = q9\n");
  expect_refused(build(model_), "recipe.ini:3");
  write("recipe.ini", kRecipe);
  write("text.txt", "too short");
  expect_refused(build(model_), "are missing");
  write("cut.gguf", read(model_).substr(0, 500000));
  expect_refused(build("cut.gguf"), "cut.gguf");
  // Nowhere to write: the folder beside the zoo cannot be made.
  std::vector<std::string> nowhere = build(model_);
  nowhere[9] = "missing/a.zoo";
  SetUp();
  expect_refused(nowhere, "missing/a.zoo.build");
  EXPECT_FALSE(std::filesystem::exists(path("a.zoo")));
}

TEST(QualityPlot, ShowsEveryPointWithinThePicture) {
  const std::vector<cli::PlotPoint> points = {
      {"a<b>&\"c\"", 1e6, 0}, {"big", 3e9, 0.5}, {"same", 3e9, 0.5}, {"bad", 0, 40}};
  const std::string svg = cli::quality_plot(points);
  EXPECT_NE(svg.find("a&lt;b&gt;&amp;&quot;c&quot;"), std::string::npos);
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  size_t n_circles = 0;
  for (size_t at = svg.find("<circle cx=\""); at != std::string::npos;
       at = svg.find("<circle cx=\"", at + 1)) {
    const double x = std::stod(svg.substr(at + 12));
    const double y = std::stod(svg.substr(svg.find("cy=\"", at) + 4));
    EXPECT_GE(x, 0);
    EXPECT_LE(x, 720);
    EXPECT_GE(y, 0);
    EXPECT_LE(y, 440);
    ++n_circles;
  }
  EXPECT_EQ(n_circles, points.size());
  EXPECT_NE(cli::quality_plot({points.data(), 1}).find("<circle"), std::string::npos);
}

}  // namespace
}  // namespace ac::test
