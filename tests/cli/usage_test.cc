// What happens before any model is touched: help, slips, exit codes, standard output.
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

class Usage : public CommandTest {};

TEST_F(Usage, HelpAndVersionGoToStdout) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--help"}, {"-h"}, {"help"}}) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.err, "");
    for (const char* verb : {"ask", "chat", "route", "zoo pack", "predictor train", "doctor"}) {
      EXPECT_NE(outcome.out.find(verb), std::string::npos) << verb;
    }
  }
  EXPECT_EQ(run({"version"}).out.substr(0, 14), "agentcompress ");
  EXPECT_EQ(run({"--version"}).out, run({"version"}).out);
}

TEST_F(Usage, EveryVerbHasHelp) {
  for (const std::vector<std::string>& verb : {std::vector<std::string>{"ask"},
                                               {"chat"},
                                               {"route"},
                                               {"zoo", "pack"},
                                               {"zoo", "add"},
                                               {"zoo", "ls"},
                                               {"zoo", "info"},
                                               {"zoo", "verify"},
                                               {"zoo", "extract"},
                                               {"predictor", "train"},
                                               {"predictor", "eval"},
                                               {"predictor", "info"},
                                               {"bench"},
                                               {"doctor"},
                                               {"config", "show"},
                                               {"config", "check"},
                                               {"config", "path"},
                                               {"completion"},
                                               {"tasks", "show"},
                                               {"tasks", "check"},
                                               {"tasks", "workflow"},
                                               {"tokenize"},
                                               {"logits"},
                                               {"version"}}) {
    std::vector<std::string> words = verb;
    words.emplace_back("--help");
    const Outcome after = run(words);
    EXPECT_EQ(after.exit_code, 0) << words[0] << after.err;
    EXPECT_NE(after.out.find("usage: agentcompress " + verb[0]), std::string::npos) << after.out;
    words = verb;
    words.insert(words.begin(), "help");
    EXPECT_EQ(run(words).out, after.out);
  }
}

TEST_F(Usage, SlipsGetAHint) {
  expect_refused({"zop"}, "did you mean 'zoo'?");
  expect_refused({"zoo"}, "expected zoo build|pack|add|remove|ls|info|verify|extract|export, found nothing");
  expect_refused({"zoo", "lss"}, "did you mean 'ls'?");
  expect_refused({"ask", "--temprature", "1", "hi"},
                 "unknown flag '--temprature', did you mean '--temperature'?");
  expect_refused({"ask", "--qqqqqqqq", "hi"}, "goes after --");
  expect_refused({"ask", "--temperature"}, "--temperature");
  expect_refused({"ask", "--temperature", "hot", "hi"}, "temperature is 'hot', expected 0 to 100");
  expect_refused({"ask", "--seed", "-1", "hi"}, "seed is '-1'");
  expect_refused({"version", "x"}, "unexpected 'x', expected no arguments");
  expect_refused({"zoo", "extract", "a.zoo"}, "expected FILE VARIANT, found only 'a.zoo'");
  expect_refused({"completion", "tcsh"}, "expected bash|zsh|fish");
  expect_refused({"bench", "--model", "x", "--prompt-tokens", "0"}, "expected 1 to");
  expect_refused({"predictor", "eval", "x", "--rows", "some"}, "expected auto|test|all");
  expect_refused({"zoo", "ls", "--json", "--json", "--out", "x"}, "unknown flag '--out'");
  expect_refused({"zoo", "extract", "a", "b", "--out", "x", "--out", "y"},
                 "--out is given 2 times");
}

TEST_F(Usage, WhatIsMissingIsSaid) {
  expect_refused({"ask", "--shipped-zoo", "no", "hello"}, "no model: give --model FILE.gguf or --zoo FILE");
  expect_refused({"ask"}, "the prompt is empty");
  expect_refused({}, "the prompt is empty");
  expect_refused({"route", "--shipped-zoo", "no", "hello"}, "no model");
  expect_refused({"route", "--batch", "hello"}, "--batch reads standard input");
  expect_refused({"eval", "--shipped-zoo", "no"}, "no model");
  expect_refused({"eval", "--n", "3"}, "expected 16 to");
  expect_refused({"bench"}, "expected --model FILE");
  expect_refused({"logits", "x.gguf"}, "expected --tokens IDS and --out FILE");
  expect_refused({"zoo", "pack", "x.zoo"}, "expected --base FILE");
  expect_refused({"zoo", "pack", "x.zoo", "--base", "none.gguf"}, "none.gguf");
  expect_refused({"zoo", "add", "x.zoo"}, "expected --predictor FILE or --variants FORMATS");
  expect_refused({"zoo", "add", "x.zoo", "--variants", "q8_0,"}, "separated by commas");
  expect_refused({"predictor", "train", "--labels", "x"}, "expected --out FILE");
  expect_refused({"predictor", "train", "--out", "x"}, "expected --labels FILE");
}

TEST_F(Usage, FilesThatAreNotThereOrNotWhatTheyShouldBe) {
  write("text.gguf", "this is not a model\n");
  write("empty", "");
  for (const std::string file : {"none", "text.gguf", "empty", "."}) {
    // A folder is asked for by nobody: kIo, exit code 1, for those who map files.
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{"ask", "--model", file, "hi"},
                                               {"ask", "--zoo", file, "hi"},
                                               {"zoo", "ls", file},
                                               {"zoo", "info", file},
                                               {"zoo", "extract", file, "q4_0"},
                                               {"tokenize", file},
                                               {"bench", "--model", file},
                                               {"logits", file, "--tokens", "1", "--out", "o"},
                                               {"predictor", "info", file},
                                               {"chat", "--model", file}}) {
      const Outcome outcome = run(words, "hi");
      EXPECT_TRUE(outcome.exit_code == 2 || (file == "." && outcome.exit_code == 1))
          << words[0] << " " << file << " " << outcome.exit_code << outcome.err;
      EXPECT_TRUE(outcome.err.starts_with("agentcompress: ")) << outcome.err;
      EXPECT_EQ(outcome.out, "");
    }
  }
}

TEST_F(Usage, AReaderThatWentAwayEndsItQuietly) {
  int out[2], err[2];
  ASSERT_EQ(pipe2(out, O_CLOEXEC) + pipe2(err, O_CLOEXEC), 0);
  close(out[0]);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const pid_t pid = start({{"completion", "bash"}}, folder_, null, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  EXPECT_EQ(read_all(err[0]), "");
  EXPECT_EQ(wait_for(pid), 0);
  close(err[0]);
  close(null);
}

TEST_F(Usage, AFullDiskBehindStdoutIsAnError) {
  int err[2];
  ASSERT_EQ(pipe2(err, O_CLOEXEC), 0);
  const int full = open("/dev/full", O_RDWR | O_CLOEXEC);
  if (full < 0) GTEST_SKIP() << "no /dev/full";
  const pid_t pid = start({{"--help"}}, folder_, full, full, err[1]);
  close(err[1]);
  EXPECT_EQ(read_all(err[0]),
            "agentcompress: cannot write to standard output: No space left on device\n");
  EXPECT_EQ(wait_for(pid), 1);
  close(err[0]);
  close(full);
}

TEST_F(Usage, DoctorReportsThisMachine) {
  const Json report = run_json({"doctor", "--json"});
  EXPECT_TRUE(report["isa"]["chosen"].is_string());
  EXPECT_GE(report["cores"]["used"].get<int>(), 1);
  EXPECT_GT(report["read_bandwidth_gb_per_s"].get<double>(), 0.1);
  EXPECT_EQ(report["ok"], true);
  // A zoo or a remote that is set and does not work is a fault.
  const Outcome broken =
      run({"doctor", "--zoo", "none.zoo", "--remote-url", "http://127.0.0.1:1/v1"});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_NE(broken.out.find("FAULT: none.zoo"), std::string::npos) << broken.out;
  EXPECT_NE(broken.out.find("FAULT: http://127.0.0.1:1/v1"), std::string::npos) << broken.out;
  EXPECT_NE(
      run({"doctor", "--offline", "--remote-url", "http://127.0.0.1:1/v1"}).out.find("not asked"),
      std::string::npos);
}

}  // namespace
}  // namespace ac::test
