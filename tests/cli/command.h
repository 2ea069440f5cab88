// Runs the real binary as a user would: arguments, standard input, environment; and a scratch
// folder.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/core/json.h"

namespace ac::test {

struct Outcome {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string out;
  std::string err;
};

struct Command {
  std::vector<std::string> arguments;
  std::string input = {};
  std::vector<std::string> environment = {};  // added to an otherwise clean one
};

// A fresh working folder; HOME and XDG_CONFIG_HOME point into it.
class CommandTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  Outcome run(const Command& run) const;
  Outcome run(std::vector<std::string> arguments, std::string input = "") const {
    return run(Command{std::move(arguments), std::move(input)});
  }
  // Runs it and expects success; what it printed as JSON.
  Json run_json(std::vector<std::string> arguments, std::string input = "") const;
  // Expects this exit code, nothing on stdout, and one line on stderr that begins with
  // "agentcompress: " and holds `part`.
  void expect_refused(std::vector<std::string> arguments, std::string_view part, int exit_code = 2,
                      std::string input = "") const;

  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  void write(std::string_view name, std::string_view text) const;
  std::string read(std::string_view name) const;

  std::filesystem::path folder_;
};

// Tests that need the small real model.
class ModelTest : public CommandTest {
 protected:
  void SetUp() override;
  std::string model_;
};

// Starts the binary with these descriptors; for tests that talk to it while it runs.
pid_t start(const Command& run, const std::filesystem::path& folder, int in, int out, int err);
int wait_for(pid_t pid);  // its exit code, as in Outcome
std::string read_all(int fd);

}  // namespace ac::test
