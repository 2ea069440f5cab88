// chat, piped and on a terminal.
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <unistd.h>
#include <utmp.h>

#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

class Chat : public ModelTest {
 protected:
  Outcome chat(std::string input, std::vector<std::string> flags = {}) const {
    std::vector<std::string> words = {"chat", "--model", model_, "--max-tokens", "8"};
    words.insert(words.end(), flags.begin(), flags.end());
    return run(words, std::move(input));
  }
};

TEST_F(Chat, AnswersLinesAndObeysCommands) {
  const Outcome outcome = chat(
      "/why\n/retry\nOnce upon\n/why\n/model\n/model q9\n/mdoel\n/system be brief\n/system\n"
      "/retry\n/save talk.json\n/clear\n/save empty.json\n/save\n/help\n/bye\nnever reached\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.find("nothing was answered yet\nnothing was asked yet\n a time"), 0u)
      << outcome.out;
  EXPECT_NE(outcome.out.find("stories260K: no_predictor"), std::string::npos);
  EXPECT_NE(outcome.out.find("  stories260K\nnow: auto\n"), std::string::npos);
  EXPECT_NE(outcome.out.find("be brief\n"), std::string::npos);
  EXPECT_NE(outcome.out.find("/retry [ID|local|remote]"), std::string::npos);
  EXPECT_NE(outcome.err.find("q9"), std::string::npos);
  EXPECT_NE(outcome.err.find("unknown command '/mdoel', did you mean '/model'?"),
            std::string::npos);
  EXPECT_NE(outcome.err.find("expected /save FILE"), std::string::npos);
  const Json talk = *parse_json(read("talk.json"));
  ASSERT_EQ(talk["messages"].size(), 3u);
  EXPECT_EQ(talk["messages"][0]["content"], "be brief");
  EXPECT_EQ(talk["messages"][1]["content"], "Once upon");
  EXPECT_EQ(talk["messages"][2]["role"], "assistant");
  EXPECT_EQ((*parse_json(read("empty.json")))["messages"].size(), 1u);  // the instructions stay
}

TEST_F(Chat, SeveralLinesBetweenQuotes) {
  const Outcome outcome = chat("\"\"\"Once upon\na time\"\"\"\n\n  \n/save t.json\n");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ((*parse_json(read("t.json")))["messages"][0]["content"], "Once upon\na time");
  // The end of input in the middle: nothing was asked.
  EXPECT_EQ(chat("\"\"\"Once upon\n").out, "");
}

TEST_F(Chat, AFailedQuestionIsTakenBack) {
  std::string longest;
  for (int i = 0; i < 500; ++i) longest += "story ";
  const Outcome outcome =
      chat("Once\n/save a.json\n" + longest + "\n/save b.json\n/retry q9\n/save c.json\n",
           {"--context", "64"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("agentcompress: "), std::string::npos);
  EXPECT_EQ(read("a.json"), read("b.json"));
  EXPECT_EQ(read("a.json"), read("c.json"));
}

// A terminal, with what was shown on it so far.
class Terminal {
 public:
  bool open_with(const Command& run, const std::filesystem::path& folder) {
    int slave = -1;
    if (openpty(&master_, &slave, nullptr, nullptr, nullptr) != 0) return false;
    // The child leads a session of its own, so that Ctrl-C reaches it alone.
    pid_ = fork();
    if (pid_ == 0) {
      if (login_tty(slave) != 0) _exit(126);
      const pid_t child = start(run, folder, 0, 1, 2);
      signal(SIGINT, SIG_IGN);
      _exit(wait_for(child));
    }
    close(slave);
    return pid_ > 0;
  }
  void type(std::string_view keys) {
    EXPECT_EQ(::write(master_, keys.data(), keys.size()), ssize_t(keys.size()));
  }
  // Reads until `text` has been shown after what was waited for before.
  bool wait_to_see(std::string_view text) {
    for (int i = 0; i < 300; ++i) {
      if (const size_t at = shown_.find(text, seen_); at != std::string::npos) {
        seen_ = at + text.size();
        return true;
      }
      pollfd ready{master_, POLLIN, 0};
      if (poll(&ready, 1, 100) <= 0) continue;
      char chunk[4096];
      const ssize_t n = ::read(master_, chunk, sizeof chunk);
      if (n <= 0) break;
      shown_.append(chunk, static_cast<size_t>(n));
    }
    return shown_.find(text, seen_) != std::string::npos;
  }
  // What the program still says is shown too.
  int end() {
    char chunk[4096];
    for (ssize_t n; (n = ::read(master_, chunk, sizeof chunk)) > 0;) {
      shown_.append(chunk, static_cast<size_t>(n));
    }
    const int code = wait_for(pid_);
    close(master_);
    return code;
  }
  const std::string& shown() const { return shown_; }

 private:
  int master_ = -1;
  pid_t pid_ = -1;
  std::string shown_;
  size_t seen_ = 0;
};

TEST_F(Chat, CtrlCStopsTheAnswerThenForgetsTheLineAndCtrlDLeaves) {
  Terminal terminal;
  ASSERT_TRUE(terminal.open_with({{"chat", "--model", model_, "--context", "100000", "--max-tokens",
                                   "90000", "--log-level", "error"}},
                                 folder_));
  ASSERT_TRUE(terminal.wait_to_see(">>> ")) << terminal.shown();
  terminal.type("Once upon a time\n");
  ASSERT_TRUE(terminal.wait_to_see("little girl")) << terminal.shown();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.wait_to_see("cancelled")) << terminal.shown();
  ASSERT_TRUE(terminal.wait_to_see(">>> ")) << terminal.shown();
  terminal.type("half a line\x03");
  ASSERT_TRUE(terminal.wait_to_see("^C")) << terminal.shown();
  ASSERT_TRUE(terminal.wait_to_see(">>> ")) << terminal.shown();
  terminal.type("/model\n");
  ASSERT_TRUE(terminal.wait_to_see("now: auto")) << terminal.shown();
  ASSERT_TRUE(terminal.wait_to_see(">>> ")) << terminal.shown();
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0) << terminal.shown();
}

}  // namespace
}  // namespace ac::test
