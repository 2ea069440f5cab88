#include "tests/cli/command.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace ac::test {

namespace fs = std::filesystem;

pid_t start(const Command& run, const fs::path& folder, int in, int out, int err) {
  // Everything the child needs is made before the fork: after it only async-signal-safe calls.
  std::vector<std::string> environment = {"HOME=" + folder.string(),
                                          "XDG_CONFIG_HOME=" + (folder / "config").string(),
                                          "PATH=/usr/bin:/bin", "TERM=xterm", "LANG=C.UTF-8"};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "AC_FORCE_ISA"}) {
    if (const char* value = std::getenv(name))
      environment.push_back(std::string(name) + "=" + value);
  }
  environment.insert(environment.end(), run.environment.begin(), run.environment.end());
  std::vector<std::string> words = {AC_BINARY};
  words.insert(words.end(), run.arguments.begin(), run.arguments.end());
  std::vector<char*> argv, envp;
  for (std::string& word : words) argv.push_back(word.data());
  for (std::string& entry : environment) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  signal(SIGPIPE, SIG_DFL);
  if (chdir(folder.c_str()) != 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
    _exit(126);
  execve(AC_BINARY, argv.data(), envp.data());
  _exit(127);
}

int wait_for(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string read_all(int fd) {
  std::string text;
  char chunk[4096];
  while (true) {
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n <= 0) return text;
    text.append(chunk, static_cast<size_t>(n));
  }
}

void CommandTest::SetUp() {
  std::string pattern = (fs::temp_directory_path() / "ac_cli_XXXXXX").string();
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
}

void CommandTest::TearDown() { fs::remove_all(folder_); }

Outcome CommandTest::run(const Command& run) const {
  int in[2], out[2], err[2];
  EXPECT_EQ(pipe2(in, O_CLOEXEC) + pipe2(out, O_CLOEXEC) + pipe2(err, O_CLOEXEC), 0);
  signal(SIGPIPE, SIG_IGN);  // the child may not read its input
  const pid_t pid = start(run, folder_, in[0], out[1], err[1]);
  close(in[0]);
  close(out[1]);
  close(err[1]);
  Outcome outcome;
  std::thread writer([&] {
    std::string_view rest = run.input;
    while (!rest.empty()) {
      const ssize_t n = ::write(in[1], rest.data(), rest.size());
      if (n <= 0) break;
      rest.remove_prefix(static_cast<size_t>(n));
    }
    close(in[1]);
  });
  std::thread reader([&] { outcome.err = read_all(err[0]); });
  outcome.out = read_all(out[0]);
  writer.join();
  reader.join();
  close(out[0]);
  close(err[0]);
  outcome.exit_code = wait_for(pid);
  return outcome;
}

Json CommandTest::run_json(std::vector<std::string> arguments, std::string input) const {
  const Outcome outcome = run(std::move(arguments), std::move(input));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto value = parse_json(outcome.out);
  EXPECT_TRUE(value.has_value()) << outcome.out;
  return value ? *value : Json();
}

void CommandTest::expect_refused(std::vector<std::string> arguments, std::string_view part,
                                 int exit_code, std::string input) const {
  std::string shown;
  for (const std::string& word : arguments) shown += word + " ";
  SCOPED_TRACE(shown);
  const Outcome outcome = run(std::move(arguments), std::move(input));
  EXPECT_EQ(outcome.exit_code, exit_code);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("agentcompress: ")) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
}

void CommandTest::write(std::string_view name, std::string_view text) const {
  std::ofstream(folder_ / name, std::ios::binary) << text;
}

std::string CommandTest::read(std::string_view name) const {
  std::ostringstream text;
  text << std::ifstream(folder_ / name, std::ios::binary).rdbuf();
  return text.str();
}

void ModelTest::SetUp() {
  CommandTest::SetUp();
  model_ = std::string(AC_SHARED_DATA) + "/models/stories260K.gguf";
  if (!fs::exists(model_)) GTEST_SKIP() << model_ << " is not there";
}

}  // namespace ac::test
