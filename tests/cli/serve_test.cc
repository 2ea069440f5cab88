// serve, and a second process that has it as its remote full model.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Serve : public ModelTest {
 protected:
  // Starts the server and returns its base URL.
  std::string serve(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"serve", "--model", model_, "--server-port", "0"};
    words.insert(words.end(), more.begin(), more.end());
    int err[2];
    EXPECT_EQ(pipe(err), 0);
    const int null = open("/dev/null", O_RDWR);
    pid_ = start({words}, folder_, null, null, err[1]);
    close(err[1]);
    close(null);
    err_ = err[0];
    std::string line;
    pollfd ready{.fd = err_, .events = POLLIN, .revents = 0};
    char byte = 0;
    while (poll(&ready, 1, 20000) > 0 && ::read(err_, &byte, 1) == 1 && byte != '\n') line += byte;
    EXPECT_THAT(line, HasSubstr(" is ready"));
    return line.substr(0, line.find(' '));
  }
  void TearDown() override {
    if (pid_ > 0) kill(pid_, SIGKILL), wait_for(pid_);
    if (err_ >= 0) close(err_);
    ModelTest::TearDown();
  }

  pid_t pid_ = -1;
  int err_ = -1;
};

TEST_F(Serve, IsTheRemoteOfAnotherProcess) {
  const std::string url = serve();
  EXPECT_THAT(url, StartsWith("http://127.0.0.1:"));
  const std::vector<std::string> ask = {
      "ask",          "--remote", "--remote-url",    url, "--remote-model", "auto",
      "--max-tokens", "20",       "Once upon a time"};
  const Outcome remote = run(ask);
  EXPECT_EQ(remote.exit_code, 0) << remote.err;
  EXPECT_THAT(remote.err, StartsWith("remote stories260K · 20 tok"));
  const Outcome local = run({"ask", "--model", model_, "--max-tokens", "20", "Once upon a time"});
  EXPECT_EQ(remote.out, local.out);
  const Json asked = run_json({"doctor", "--remote-url", url, "--remote-model", "auto", "--json"});
  EXPECT_THAT(asked.dump(), HasSubstr("stories260K"));
  ASSERT_EQ(kill(pid_, SIGINT), 0);
  EXPECT_EQ(wait_for(pid_), 0);
  pid_ = -1;
  EXPECT_EQ(run(ask).exit_code, 1);
}

TEST_F(Serve, EndsWhenItIsToldTo) {
  for (const int signal : {SIGTERM, SIGHUP}) {
    serve();
    ASSERT_EQ(kill(pid_, signal), 0);
    EXPECT_EQ(wait_for(pid_), 0) << signal;
    pid_ = -1;
    close(err_);
    err_ = -1;
  }
}

TEST_F(Serve, SlipsAreNamed) {
  expect_refused({"serve", "--model", model_, "--server-address", "0.0.0.0"},
                 "expected 127.0.0.1 or ::1");
  expect_refused({"serve", "--model", model_, "--server-port", "70000"}, "0 to 65535");
  expect_refused({"serve", "--shipped-zoo", "no"}, "no model");
}

}  // namespace
}  // namespace ac::test
