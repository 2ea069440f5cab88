// Which backend answers, as doctor, bench and ask say it. With the software device that is to be had
// anywhere (llvmpipe); without it there is little to see.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

using testing::HasSubstr;

class Device : public ModelTest {
 protected:
  // What doctor says of the backend.
  Json backend(std::vector<std::string> more) const {
    more.insert(more.begin(), {"doctor", "--json"});
    const Outcome outcome = run(more);
    return parse_json(outcome.out).value().at("backend");
  }
  bool has_llvmpipe() const {
    return run({"doctor"}).out.find("llvmpipe") != std::string::npos;
  }
};

TEST_F(Device, TheCpuAnswersWhereThereIsNothingBetter) {
  EXPECT_EQ(backend({"--backend", "cpu"}).at("name"), "cpu");
  const Json chosen = backend({});
  // On a machine with a GPU either may be.
  EXPECT_TRUE(chosen.at("name") == "cpu" || chosen.at("name") == "vulkan");
  EXPECT_NE(chosen.at("why"), "");
}

TEST_F(Device, WhatWasFoundOutIsRemembered) {
  if (!has_llvmpipe()) GTEST_SKIP() << "no llvmpipe here";
  const std::vector<std::string> named = {"--backend", "vulkan", "--device", "llvmpipe"};
  const Json first = backend(named);
  EXPECT_EQ(first.at("name"), "vulkan");
  EXPECT_THAT(first.at("why").get<std::string>(), HasSubstr("times as fast as the CPU"));
  // A processor in disguise is not taken unless somebody names it and insists.
  EXPECT_EQ(backend({"--device", "llvmpipe"}).at("name"), "cpu");
  EXPECT_EQ(backend(named), first) << "the same figure: it was not measured again";
  const std::string file = ".local/state/agentcompress/devices.json";
  const std::string kept = read(file);
  EXPECT_THAT(kept, HasSubstr("llvmpipe"));
  for (const char* garbage : {"", "{", "[]", "{\"a\":1}", "\xff\xfe"}) {
    write(file, garbage);
    EXPECT_EQ(backend(named).at("name"), "vulkan") << garbage;
  }
}

TEST_F(Device, AnswersAreTheSame) {
  if (!has_llvmpipe()) GTEST_SKIP() << "no llvmpipe here";
  const auto ask = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"ask", "--model", model_, "--max-tokens", "40", "--temperature", "0"});
    more.push_back("Once upon a time");
    return run(more);
  };
  const Outcome cpu = ask({"--backend", "cpu"});
  const Outcome device = ask({"--backend", "vulkan", "--device", "llvmpipe"});
  EXPECT_EQ(device.exit_code, 0) << device.err;
  EXPECT_EQ(device.out, cpu.out);
}

TEST_F(Device, BenchShowsBoth) {
  if (!has_llvmpipe()) GTEST_SKIP() << "no llvmpipe here";
  const Json measured =
      run_json({"bench", "--model", model_, "--backend", "vulkan", "--device", "llvmpipe",
                "--prompt-tokens", "16", "--decode-tokens", "8", "--repeat", "1", "--json"});
  EXPECT_THAT(measured.at("backend").get<std::string>(), HasSubstr("vulkan on llvmpipe"));
  EXPECT_EQ(measured.at("beside").at("backend"), "cpu");
}

}  // namespace
}  // namespace ac::test
