// stats and log: what was asked is counted, and none of its words are kept.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class LedgerCommands : public ModelTest {
 protected:
  Outcome ask(const std::string& prompt, std::vector<std::string> environment = {}) {
    const Outcome outcome = run(Command{{"ask", "--model", model_, "--max-tokens", "5", prompt},
                                        "",
                                        std::move(environment)});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome;
  }
};

TEST_F(LedgerCommands, CountWhatWasAsked) {
  expect_refused({"stats"}, "no answer was written down yet");
  ask("Once upon a time");
  ask("Zanzibarquux");
  const Json stats = run_json({"stats", "--json"});
  EXPECT_EQ(stats["answers"], 2);
  EXPECT_EQ(stats["local"], 2);
  EXPECT_EQ(stats["completion_tokens"], 10);
  EXPECT_EQ(stats["models"][0]["model"], "stories260K");
  const Outcome text = run({"stats", "--plot", path("paid.svg")});
  EXPECT_THAT(text.out, HasSubstr("2 answers, 100.0 % of them here"));
  EXPECT_THAT(read("paid.svg"), HasSubstr("</svg>"));
  const Outcome tail = run({"log", "tail", "--n", "1"});
  EXPECT_THAT(tail.out, HasSubstr("local stories260K"));
  EXPECT_EQ(std::count(tail.out.begin(), tail.out.end(), '\n'), 1);
  EXPECT_EQ(run_json({"log", "show", "2", "--json"})["source"], "ask");
  EXPECT_THAT(run({"log", "show", "1"}).out, HasSubstr("no_predictor"));
  EXPECT_EQ(run({"log", "export", "--out", path("all.csv")}).exit_code, 0);
  EXPECT_THAT(read("all.csv"), HasSubstr("id,at_utc,"));
  // Neither a question nor an answer is anywhere in it.
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder_)) {
    if (!file.is_regular_file()) continue;
    const std::string name = std::filesystem::relative(file.path(), folder_).string();
    EXPECT_THAT(read(name), Not(HasSubstr("anzibar"))) << name;
  }
}

TEST_F(LedgerCommands, CanBeOffAndForgotten) {
  ask("Once upon a time", {"AGENTCOMPRESS_LEDGER_KEEP=no"});
  expect_refused({"stats"}, "no answer was written down yet");
  ask("Once upon a time");
  EXPECT_THAT(run({"log", "forget", "--days", "0"}).out, HasSubstr("0 answers forgotten"));
  expect_refused({"log", "forget"}, "expected --days N");
  expect_refused({"log", "show", "9"}, "no answer 9");
  expect_refused({"log", "show", "x"}, "'x' is no number of an answer");
  EXPECT_THAT(run({"log", "accept"}).out, HasSubstr("nothing was lost"));
}

TEST_F(LedgerCommands, ABudgetNeedsIt) {
  write("agentcompress.ini",
        "version = 1\n[remote]\nurl = http://127.0.0.1:9/v1\nusd_per_million_prompt_tokens = 1\n"
        "[budget]\nusd_per_day = 1\n[ledger]\nkeep = no\n");
  expect_refused({"ask", "hello"}, "a budget by day or month needs the ledger");
}

}  // namespace
}  // namespace ac::test
