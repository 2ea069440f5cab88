// config show|check|path and completion.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "runtime/core/settings.h"
#include "tests/cli/command.h"

namespace ac::test {
namespace {

class Config : public CommandTest {};

TEST_F(Config, ShowSaysWhereEachValueCameFrom) {
  write("agentcompress.ini", "version = 1\n[generate]\nseed = 7\n[route]\nzoo = a.zoo\n");
  const Outcome outcome = run(Command{{"config", "show", "--json", "--top-k", "5"},
                                      "",
                                      {"AGENTCOMPRESS_ENGINE_THREADS=3", "AGENTCOMPRESS_SEED=1"}});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json settings = *parse_json(outcome.out);
  EXPECT_EQ(settings.size(), setting_rows().size());
  EXPECT_EQ(settings["generate.seed"]["value"], "7");
  EXPECT_EQ(settings["generate.seed"]["origin"], "agentcompress.ini:3");
  EXPECT_EQ(settings["generate.top_k"]["origin"], "flag --top-k");
  EXPECT_EQ(settings["engine.threads"]["origin"], "environment AGENTCOMPRESS_ENGINE_THREADS");
  EXPECT_EQ(settings["engine.context"]["origin"], "default");
  EXPECT_EQ(
      outcome.err,
      "agentcompress: warning: environment variable AGENTCOMPRESS_SEED means nothing, did you "
      "mean 'AGENTCOMPRESS_GENERATE_SEED'?\n");
}

TEST_F(Config, ShowIsItselfAnIniFile) {
  write("shown.ini", run({"config", "show", "--offline", "--seed", "5"}).out);
  EXPECT_EQ(run({"config", "check", "shown.ini"}).out, "shown.ini: ok\n");
  const Json settings = run_json({"config", "show", "--json", "--config", "shown.ini"});
  EXPECT_EQ(settings["privacy.offline"]["value"], "yes");
  EXPECT_EQ(settings["generate.seed"]["value"], "5");
}

TEST_F(Config, CheckFindsMistakes) {
  EXPECT_EQ(run({"config", "check"}).out, "no ini file; the defaults hold\n");
  write("bad.ini", "version = 1\n[generate]\ntemprature = 1\n");
  expect_refused({"config", "check", "bad.ini"},
                 "bad.ini:3: unknown key 'temprature' in [generate], did you mean 'temperature'?");
  expect_refused({"ask", "--config", "bad.ini", "hi"}, "bad.ini:3");
  write("key.ini", "version = 1\n[remote]\napi_key = sk-123\n");
  expect_refused({"config", "check", "key.ini"}, "api_key_env");
  EXPECT_EQ(run({"config", "check", "key.ini"}).err.find("sk-123"), std::string::npos);
  expect_refused({"config", "check", "none.ini"}, "none.ini: cannot open");
}

TEST_F(Config, PathListsThePlaces) {
  write("agentcompress.ini", "version = 1\n");
  const std::string out = run({"config", "path"}).out;
  EXPECT_TRUE(out.starts_with("agentcompress.ini\n" + path("config/agentcompress/config.ini")))
      << out;
}

TEST_F(Config, CompletionKnowsEveryVerbAndFlag) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = run({"completion", shell});
    EXPECT_EQ(outcome.exit_code, 0);
    for (const std::string_view word : {"extract", "tokenize", "predictor", "confidence-threshold",
                                        "max-tokens", "variants", "q8_0"}) {
      EXPECT_NE(outcome.out.find(word), std::string::npos) << shell << " " << word;
    }
  }
}

TEST_F(Config, BashCompletes) {
  write("c.bash", run({"completion", "bash"}).out);
  const auto complete = [&](const std::string& words, int at) {
    write("t.bash", "source ./c.bash\ncompopt() { :; }\nCOMP_WORDS=(" + words +
                        ")\nCOMP_CWORD=" + std::to_string(at) +
                        "\n_agentcompress\necho \"${COMPREPLY[@]}\" > result\n");
    EXPECT_EQ(std::system(("cd " + folder_.string() + " && bash t.bash").c_str()), 0);
    return read("result");
  };
  EXPECT_EQ(complete("agentcompress zo", 1), "zoo\n");
  EXPECT_EQ(complete("agentcompress zoo e", 2), "extract export\n");
  EXPECT_EQ(complete("agentcompress ask --temp", 2), "--temperature\n");
  EXPECT_EQ(complete("agentcompress ask --kv-format f", 3), "f16 f32\n");
  EXPECT_EQ(complete("agentcompress completion z", 2), "zsh\n");
  EXPECT_EQ(complete("agentcompress zoo pack --ba", 3), "--base\n");
  EXPECT_EQ(complete("agentcompress zoo ls c.b", 3), "c.bash\n");
}

}  // namespace
}  // namespace ac::test
