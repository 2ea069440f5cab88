// ask, tokenize, logits and bench with a real model.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

using testing::MatchesRegex;
using testing::StartsWith;

// The model's published greedy continuation of "Once upon a time".
constexpr const char* kStory =
    ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw "
    "a "
    "big, red ball. She wanted to play with it, but it was too high.";

class Ask : public ModelTest {};

TEST_F(Ask, StreamsTheAnswerAndAReceipt) {
  const Outcome outcome = run({"ask", "--model", model_, "--max-tokens", "70", "Once upon a time"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith(kStory));
  EXPECT_EQ(outcome.out.back(), '\n');
  EXPECT_THAT(outcome.err,
              MatchesRegex("local stories260K · [0-9]+ tok · [0-9]+\\.[0-9] s · \\$0\\.0000\n"));
}

TEST_F(Ask, IsTheDefaultVerbHoweverItIsAsked) {
  const std::string expected =
      run({"ask", "--model", model_, "--max-tokens", "12", "Once upon a time"}).out;
  ASSERT_FALSE(expected.empty());
  const std::vector<std::string> flags = {"--model", model_, "--max-tokens", "12"};
  const auto with = [&](std::vector<std::string> words, bool flags_first) {
    words.insert(flags_first ? words.begin() : words.end(), flags.begin(), flags.end());
    return words;
  };
  EXPECT_EQ(run(with({"Once upon a time"}, true)).out, expected);
  EXPECT_EQ(run(with({"Once", "upon", "a", "time"}, false)).out, expected);
  EXPECT_EQ(run(with({"ask", "Once upon a time"}, false)).out, expected);
  EXPECT_EQ(run(flags, "Once upon a time\n").out, expected);
  EXPECT_EQ(run(with({"--", "Once upon a time"}, true)).out, expected);
  EXPECT_EQ(run(with({"ask", "--raw", "Once upon a time"}, false)).out, expected);
  const Outcome through_environment = run(Command{{"ask", "--model", model_, "Once upon a time"},
                                                  "",
                                                  {"AGENTCOMPRESS_GENERATE_MAX_TOKENS=12"}});
  EXPECT_EQ(through_environment.out, expected);
}

TEST_F(Ask, AnswersInJsonOfASchema) {
  write("schema.json", R"({"type":"object","properties":{"who":{"type":"string","maxLength":12},
      "n":{"type":"integer","minimum":3,"maximum":42},"good":{"enum":[true,false]}},
      "required":["who","n","good"],"additionalProperties":false})");
  const Outcome outcome = run({"ask", "--model", model_, "--max-tokens", "120", "--json-schema",
                               path("schema.json"), "Once upon a time"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = Json::parse(outcome.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << outcome.out;
  EXPECT_GE(json["n"], 3);
  EXPECT_LE(json["n"], 42);
  EXPECT_TRUE(json["good"].is_boolean());
  write("bad.json", R"({"type":"string","pattern":"a"})");
  expect_refused({"ask", "--model", model_, "--json-schema", path("bad.json"), "x"}, "'pattern'");
  write("none.json", "{");
  expect_refused({"ask", "--model", model_, "--json-schema", path("none.json"), "x"}, "none.json");
}

TEST_F(Ask, PromptsAreTakenAsTheyAre) {
  // A list, a flag, quotes and braces: nothing in between may take them apart.
  for (const std::string prompt : {"[a, b]", "--seed", "{x}", "'q'", "a=b", "- item", ""}) {
    std::vector<std::string> words = {"ask", "--model", model_, "--max-tokens",
                                      "2",   "--json",  "--"};
    words.push_back(prompt);
    if (prompt.empty()) {
      expect_refused(words, "the prompt is empty");
      continue;
    }
    const Json by_argument = run_json(words);
    words.pop_back();
    words.pop_back();
    const Json by_stdin = run_json(words, prompt);
    EXPECT_EQ(by_argument["receipt"]["prompt_tokens"], by_stdin["receipt"]["prompt_tokens"])
        << prompt;
    EXPECT_EQ(by_argument["text"], by_stdin["text"]) << prompt;
  }
}

TEST_F(Ask, JsonHoldsTextAndReceipt) {
  const Json answer =
      run_json({"ask", "--model", model_, "--max-tokens", "5", "--json", "Once upon a time"});
  EXPECT_TRUE(std::string(kStory).starts_with(answer["text"].get<std::string>()));
  EXPECT_EQ(answer["receipt"]["route"], "local");
  EXPECT_EQ(answer["receipt"]["completion_tokens"], 5);
  EXPECT_EQ(answer["receipt"]["finish"], "length");
  EXPECT_EQ(run({"ask", "--model", model_, "--max-tokens", "5", "--json", "Once"}).err, "");
}

TEST_F(Ask, SamplingIsSeededAndThreadsDoNotMatter) {
  const auto sample = [&](const std::string& seed, const std::string& threads) {
    return run({"ask", "--model", model_, "--max-tokens", "30", "--temperature", "1", "--top-k",
                "40", "--top-p", "0.95", "--min-p", "0.01", "--seed", seed, "--threads", threads,
                "Once"})
        .out;
  };
  EXPECT_EQ(sample("1", "1"), sample("1", "2"));
  EXPECT_NE(sample("1", "1"), sample("2", "1"));
}

TEST_F(Ask, StopsBeforeAStopText) {
  EXPECT_EQ(run({"ask", "--model", model_, "--stop", "Lily", "Once upon a time"}).out,
            ", there was a little girl named \n");
}

TEST_F(Ask, RefusesWhatCannotBe) {
  expect_refused({"ask", "--model", model_, "--variant", "q9", "hi"}, "q9");
  expect_refused({"ask", "--model", model_, "--local", "--remote", "hi"}, "exclude each other");
  expect_refused({"ask", "--model", model_, "--raw", "--system", "x", "hi"}, "--raw");
  expect_refused({"ask", "--model", model_, "--backend", "vulkan", "--device", "Abacus 9", "hi"},
                 "Abacus 9");
  // Longer than the context.
  std::string words;
  for (int i = 0; i < 3000; ++i) words += "story ";
  expect_refused({"ask", "--model", model_, "--context", "64"}, "64", 2, words);
  expect_refused({"ask", "--model", model_, "--remote", "hi"}, "remote");
}

TEST_F(Ask, ARemoteThatCannotBeReachedIsReplacedAndSaidSo) {
  const std::vector<std::string> remote = {
      "--remote-url", "http://127.0.0.1:1/v1", "--remote-model", "full", "--max-tokens", "5"};
  std::vector<std::string> words = {"ask", "--model", model_, "--remote", "Once"};
  words.insert(words.end(), remote.begin(), remote.end());
  const Outcome pinned = run(words);
  EXPECT_EQ(pinned.exit_code, 1);
  EXPECT_EQ(pinned.out, "");
  words = {"ask", "--offline", "--remote", "Once"};
  words.insert(words.end(), remote.begin(), remote.end());
  EXPECT_EQ(run(words).exit_code, 2);
  // Without any local model there is nobody else to answer.
  words = {"ask", "Once"};
  words.insert(words.end(), remote.begin(), remote.end());
  EXPECT_EQ(run(words).exit_code, 1);
}

TEST_F(Ask, AKeyThatOthersMayReadIsRefused) {
  using std::filesystem::perms;
  write("key", "sk-canary-8f3a77c1\n");
  const std::vector<std::string> ask = {"ask",          "--model", model_, "--remote-url",
                                        "http://127.0.0.1:1/v1", "--remote-model", "big",
                                        "--remote-api-key-file", path("key"), "Once"};
  for (const perms open : {perms::group_read, perms::others_read, perms::group_write}) {
    std::filesystem::permissions(path("key"), perms::owner_read | perms::owner_write | open);
    expect_refused(ask, "chmod 600");
  }
  std::filesystem::permissions(path("key"), perms::owner_read | perms::owner_write);
  EXPECT_EQ(run(ask).exit_code, 0);
}

TEST_F(Ask, CutOrSpoiledModelsAreRefused) {
  const std::string whole = [&] {
    std::filesystem::copy_file(model_, path("whole.gguf"));
    return read("whole.gguf");
  }();
  for (const size_t bytes : {size_t{1}, size_t{4}, size_t{23}, size_t{24}, size_t{1000},
                             size_t{9000}, whole.size() / 2, whole.size() - 1}) {
    write("cut.gguf", whole.substr(0, bytes));
    expect_refused({"ask", "--model", "cut.gguf", "hi"}, "cut.gguf");
  }
  for (size_t at = 0; at < 400; at += 7) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x80);
    write("flipped.gguf", flipped);
    const Outcome outcome = run({"ask", "--model", "flipped.gguf", "--max-tokens", "1", "hi"});
    EXPECT_TRUE(outcome.exit_code == 0 || outcome.exit_code == 2) << at << " " << outcome.exit_code;
  }
}

// What Ctrl-C does: the answer so far stays, the receipt says so, 130.
TEST_F(Ask, CtrlCEndsTheAnswerWith130) {
  int out[2], err[2];
  ASSERT_EQ(pipe2(out, O_CLOEXEC) + pipe2(err, O_CLOEXEC), 0);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const pid_t pid = start({{"ask", "--model", model_, "--context", "100000", "--max-tokens",
                            "90000", "--log-level", "error", "Once upon a time"}},
                          folder_, null, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  char first[16];
  ASSERT_GT(::read(out[0], first, sizeof first), 0);
  ASSERT_EQ(kill(pid, SIGINT), 0);
  read_all(out[0]);
  const std::string receipt = read_all(err[0]);
  EXPECT_EQ(wait_for(pid), 130) << receipt;
  EXPECT_NE(receipt.find("cancelled"), std::string::npos) << receipt;
  close(out[0]);
  close(err[0]);
  close(null);
}

TEST_F(Ask, AReaderThatWentAwayStopsTheAnswer) {
  int out[2], err[2];
  ASSERT_EQ(pipe2(out, O_CLOEXEC) + pipe2(err, O_CLOEXEC), 0);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const pid_t pid = start({{"ask", "--model", model_, "--context", "100000", "--max-tokens",
                            "90000", "--log-level", "error", "Once upon a time"}},
                          folder_, null, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  char first[16];
  ASSERT_GT(::read(out[0], first, sizeof first), 0);
  close(out[0]);
  EXPECT_EQ(read_all(err[0]), "");
  EXPECT_EQ(wait_for(pid), 0);
  close(err[0]);
  close(null);
}

class Tools : public ModelTest {};

TEST_F(Tools, TokenizeBothWays) {
  const Outcome ids = run({"tokenize", model_}, "Once upon a time, \xc3\xa9\n");
  ASSERT_EQ(ids.exit_code, 0) << ids.err;
  EXPECT_TRUE(parse_json(ids.out)->is_array());
  EXPECT_EQ(run({"tokenize", model_, "--decode"}, ids.out).out, "Once upon a time, \xc3\xa9\n\n");
  EXPECT_EQ(run({"tokenize", model_}).out, "[]\n");
  const Json with_bos = run_json({"tokenize", model_, "--bos"}, "Once");
  const Json without = run_json({"tokenize", model_}, "Once");
  EXPECT_EQ(with_bos.size(), without.size() + 1);
  EXPECT_EQ(with_bos[0], 1);
  // Special tokens are text unless asked for.
  EXPECT_GT(run_json({"tokenize", model_}, "<s>").size(), 1u);
  EXPECT_EQ(run_json({"tokenize", model_, "--special"}, "<s>"), Json({1}));
  expect_refused({"tokenize", model_, "--decode"}, "99999 is not a token id", 2, "[1,99999]");
  expect_refused({"tokenize", model_, "--decode"}, "expected 0 to 511", 2, "[-1]");
  expect_refused({"tokenize", model_, "--decode"}, "standard input", 2, "{}");
  expect_refused({"tokenize", model_, "--decode"}, "standard input", 2, "[1,");
}

TEST_F(Tools, LogitsAreRowsOfFloats) {
  ASSERT_EQ(run({"logits", model_, "--tokens", "1,403,407", "--out", "l.bin"}).exit_code, 0);
  const std::string bytes = read("l.bin");
  ASSERT_EQ(bytes.size(), 3u * 512 * 4);
  std::vector<float> rows(3 * 512);
  std::memcpy(rows.data(), bytes.data(), bytes.size());
  // The likeliest token after bos is what a greedy answer begins with.
  const auto best = std::max_element(rows.begin(), rows.begin() + 512) - rows.begin();
  EXPECT_EQ(run({"tokenize", model_, "--decode"}, "[" + std::to_string(best) + "]").out, "Once\n");
  for (const char* bad : {"", "1,", ",1", "1,x", "512", "-1", "1 ,2", "99999999999999999999"}) {
    expect_refused({"logits", model_, "--tokens", bad, "--out", "m.bin"}, "is not a token id");
  }
  EXPECT_FALSE(std::filesystem::exists(path("m.bin")));
  expect_refused({"logits", model_, "--tokens", "1", "--out", "no/such/folder"}, "no/such/folder");
}

TEST_F(Tools, BenchMeasures) {
  const Json bench =
      run_json({"bench", "--model", model_, "--prompt-tokens", "32", "--decode-tokens", "8",
                "--repeat", "1", "--threads", "1", "--json"});
  EXPECT_GT(bench["prefill_tokens_per_s"].get<double>(), 0);
  EXPECT_GT(bench["decode_tokens_per_s"].get<double>(), 0);
  EXPECT_EQ(bench["decode_tokens"], 8);
  EXPECT_EQ(
      run({"bench", "--model", model_, "--prompt-tokens", "8", "--decode-tokens", "2"}).exit_code,
      0);
}

}  // namespace
}  // namespace ac::test
