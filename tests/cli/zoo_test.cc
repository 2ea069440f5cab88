// From a base model to a routed answer: zoo, predictor, route, ask --zoo.
#include <nlohmann/json.hpp>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

// Prompts that a small model can do, and prompts that only the full one can.
std::string make_labels() {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    const bool hard = i % 2 == 1;
    text += hard ? "{\"prompt\":\"Prove the theorem about sequence number " + std::to_string(i) +
                       "\",\"scores\":{\"tiny\":0,\"big\":1}}\n"
                 : "{\"prompt\":\"Tell me a story about animal number " + std::to_string(i) +
                       "\",\"scores\":{\"tiny\":1,\"big\":1}}\n";
  }
  return text;
}

class ZooCommands : public ModelTest {
 protected:
  void SetUp() override {
    ModelTest::SetUp();
    if (IsSkipped()) return;
    const Outcome packed =
        run({"zoo", "pack", "s.zoo", "--base", model_, "--variants", "q8_0,q4_0"});
    ASSERT_EQ(packed.exit_code, 0) << packed.err;
  }
  void add_predictor() {
    write("labels.jsonl", make_labels());
    const Outcome trained =
        run({"predictor", "train", "--labels", "labels.jsonl", "--tier", "small=tiny", "--tier",
             "full=big", "--epochs", "30", "--out", "p.gguf"});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    const Outcome added = run({"zoo", "add", "s.zoo", "--predictor", "p.gguf"});
    ASSERT_EQ(added.exit_code, 0) << added.err;
    EXPECT_NE(added.out.find("with a predictor"), std::string::npos) << added.out;
  }
};

TEST_F(ZooCommands, ListsAndDescribes) {
  const Json list = run_json({"zoo", "ls", "s.zoo", "--json"});
  ASSERT_EQ(list["variants"].size(), 3u);
  EXPECT_EQ(list["variants"][0]["id"], "q4_0");
  EXPECT_EQ(list["variants"][2]["id"], "f32");
  EXPECT_NE(run({"zoo", "ls", "s.zoo"}).out.find("quantize q4_0"), std::string::npos);
  const Json info = run_json({"zoo", "info", "s.zoo", "--json"});
  EXPECT_EQ(info["predictor"], false);
  EXPECT_EQ(info["variants"].size(), 3u);
  EXPECT_EQ(info["variants"][0]["layers"].size(), 5u);
  EXPECT_EQ(info["variants"][0]["d_model"], 64);
  EXPECT_GT(info["variants"][0]["memory_bytes"], info["variants"][0]["weight_bytes"]);
  EXPECT_EQ(run_json({"zoo", "info", "s.zoo", "q8_0", "--json"})["variants"].size(), 1u);
  EXPECT_NE(run({"zoo", "info", "s.zoo", "q8_0"}).out.find("d_ff 172"), std::string::npos);
  expect_refused({"zoo", "info", "s.zoo", "q9_9"}, "q9_9");
  expect_refused({"zoo", "add", "s.zoo", "--variants", "q8_0"}, "q8_0");
  expect_refused({"zoo", "add", "s.zoo", "--variants", "q9_9"}, "q9_9");
  expect_refused({"zoo", "pack", "t.zoo", "--base", model_, "--variants", "nonsense"}, "nonsense");
  EXPECT_FALSE(std::filesystem::exists(path("t.zoo")));
}

TEST_F(ZooCommands, VerifyNoticesDamage) {
  EXPECT_EQ(run_json({"zoo", "verify", "s.zoo", "--json"})["ok"], true);
  const std::string whole = read("s.zoo");
  for (size_t at = 5; at < whole.size(); at += whole.size() / 20) {
    std::string spoiled = whole;
    spoiled[at] = static_cast<char>(spoiled[at] ^ 0x04);
    write("spoiled.zoo", spoiled);
    expect_refused({"zoo", "verify", "spoiled.zoo"}, "spoiled.zoo");
  }
  for (size_t bytes : {whole.size() - 1, whole.size() / 2, size_t{513}, size_t{1}}) {
    write("cut.zoo", whole.substr(0, bytes));
    expect_refused({"zoo", "verify", "cut.zoo"}, "cut.zoo");
    expect_refused({"ask", "--zoo", "cut.zoo", "hi"}, "cut.zoo");
  }
  const Outcome as_json = run({"zoo", "verify", "cut.zoo", "--json"});
  EXPECT_EQ(as_json.exit_code, 2);
  EXPECT_EQ((*parse_json(as_json.out))["ok"], false);
}

TEST_F(ZooCommands, ExtractedVariantsAnswerLikeTheirZoo) {
  for (const std::string id : {"f32", "q8_0", "q4_0"}) {
    const Json extracted = run_json({"zoo", "extract", "s.zoo", id, "--json"});
    EXPECT_EQ(extracted["path"], id + ".gguf");
    EXPECT_EQ(extracted["bytes"], std::filesystem::file_size(path(id + ".gguf")));
    const Outcome inside =
        run({"ask", "--zoo", "s.zoo", "--variant", id, "--max-tokens", "20", "Once upon a time"});
    const Outcome outside =
        run({"ask", "--model", id + ".gguf", "--max-tokens", "20", "Once upon a time"});
    EXPECT_EQ(inside.exit_code, 0) << inside.err;
    EXPECT_EQ(inside.out, outside.out) << id;
    EXPECT_TRUE(inside.err.starts_with("local " + id + " ·")) << inside.err;
  }
  expect_refused({"zoo", "extract", "s.zoo", "q9_9"}, "q9_9");
  EXPECT_EQ(run({"zoo", "extract", "s.zoo", "f32", "--out", "no/such/x.gguf"}).exit_code, 2);
}

TEST_F(ZooCommands, ThePredictorDecidesWhoAnswers) {
  add_predictor();
  const std::string easy = "Tell me a story about animal number 1234";
  const std::string hard = "Prove the theorem about sequence number 1235";
  const std::vector<std::string> remote = {"--zoo",          "s.zoo", "--remote-url",
                                           "http://127.0.0.1:1/v1", "--remote-model", "full",
                                           "--gate",         "paper"};
  const auto with = [&](std::vector<std::string> words) {
    words.insert(words.end(), remote.begin(), remote.end());
    return words;
  };
  EXPECT_EQ(run_json(with({"route", "--json", easy}))["place"], "local");
  EXPECT_EQ(run_json(with({"route", "--json", easy}))["reason"], "confident");
  EXPECT_EQ(run_json(with({"route", "--json", hard}))["place"], "remote");
  EXPECT_EQ(run_json(with({"route", "--json", hard}))["model"], "full");
  EXPECT_EQ(run(with({"route", hard})).out, "remote full (no local variant is confident enough)\n");
  EXPECT_TRUE(run(with({"route", easy})).out.starts_with("local q4_0 ("));
  EXPECT_EQ(run_json(with({"route", "--json", "--variant", "q8_0", hard}))["variant"], "q8_0");
  EXPECT_EQ(run_json(with({"route", "--json", "--offline", hard}))["degraded"], true);
  EXPECT_EQ(run_json(with({"route", "--json", "--confidence-threshold", "0", hard}))["place"],
            "local");
  const std::string explained = run(with({"route", "--explain", hard})).out;
  EXPECT_NE(explained.find("theorem"), std::string::npos) << explained;
  EXPECT_NE(explained.find("threshold 0.7"), std::string::npos) << explained;

  // One decision a line, ids kept, and the line of a mistake is named.
  const Outcome batch =
      run(with({"route", "--batch"}),
          "{\"id\":7,\"prompt\":\"" + easy + "\"}\n\n{\"prompt\":\"" + hard + "\"}\n");
  EXPECT_EQ(batch.exit_code, 0) << batch.err;
  const size_t end = batch.out.find('\n');
  EXPECT_EQ((*parse_json(batch.out.substr(0, end)))["id"], 7);
  EXPECT_EQ((*parse_json(batch.out.substr(0, end)))["place"], "local");
  EXPECT_EQ((*parse_json(batch.out.substr(end + 1)))["place"], "remote");
  const Outcome bad = run(with({"route", "--batch"}), "{\"prompt\":\"x\"}\n{\"prompt\":5}\n");
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_NE(bad.err.find("line 2"), std::string::npos) << bad.err;

  // An unreachable remote: the best local variant answers, and the receipt says why.
  const Outcome degraded = run(with({"ask", "--max-tokens", "5", hard}));
  EXPECT_EQ(degraded.exit_code, 0) << degraded.err;
  EXPECT_NE(degraded.out, "\n");
  EXPECT_NE(degraded.err.find("degraded"), std::string::npos) << degraded.err;
  const Outcome offline = run(with({"ask", "--offline", "--max-tokens", "5", hard}));
  EXPECT_EQ(offline.exit_code, 0) << offline.err;
  EXPECT_NE(offline.err.find("degraded"), std::string::npos) << offline.err;
  const Outcome local = run(with({"ask", "--max-tokens", "5", easy}));
  EXPECT_NE(local.err.find("confidence"), std::string::npos) << local.err;
  EXPECT_EQ(local.err.find("degraded"), std::string::npos) << local.err;
}

TEST_F(ZooCommands, TheDefaultGateKeepsItsPromise) {
  add_predictor();
  const std::string easy = "Tell me a story about animal number 1234";
  const std::string hard = "Prove the theorem about sequence number 1235";
  const auto route = [&](const std::string& prompt, const std::string& target) {
    return run({"route", "--explain", "--zoo", "s.zoo", "--remote-url", "http://127.0.0.1:1/v1",
                "--remote-model", "full", "--target-success", target, prompt});
  };
  const std::string kept = route(easy, "0.7").out, sent = route(hard, "0.7").out;
  EXPECT_TRUE(kept.starts_with("route       local q4_0\n")) << kept;
  EXPECT_TRUE(sent.starts_with("route       the remote full model")) << sent;
  EXPECT_NE(sent.find("less likely to succeed than the full model"), std::string::npos) << sent;
  EXPECT_NE(sent.find("n-grams were never learned from"), std::string::npos) << sent;
  // What so few labels cannot promise is said, and then nothing counts as easy.
  const Outcome bold = route(easy, "0.999");
  EXPECT_TRUE(bold.out.starts_with("route       the remote full model")) << bold.out;
  EXPECT_NE(bold.err.find("cannot be promised"), std::string::npos) << bold.err;
}

TEST_F(ZooCommands, PredictorsAreTrainedJudgedAndShown) {
  add_predictor();
  EXPECT_EQ(run_json({"predictor", "info", "p.gguf", "--json"}),
            run_json({"predictor", "info", "s.zoo", "--json"}));
  const Json info = run_json({"predictor", "info", "p.gguf", "--json"});
  EXPECT_GT(info["parameters"].get<int>(), 5000);
  EXPECT_EQ(info["tiers"][0]["tier"], "small");
  EXPECT_EQ(info["labels"], "labels.jsonl");
  EXPECT_EQ(run({"predictor", "eval", "p.gguf", "--labels", "labels.jsonl"}).exit_code, 0);
  EXPECT_TRUE(
      run_json({"predictor", "eval", "s.zoo", "--labels", "labels.jsonl", "--json"}).is_object());
  // The same labels and seed give the same file.
  ASSERT_EQ(run({"predictor", "train", "--labels", "labels.jsonl", "--tier", "small=tiny", "--tier",
                 "full=big", "--epochs", "30", "--out", "q.gguf", "--json"})
                .exit_code,
            0);
  EXPECT_TRUE(read("p.gguf") == read("q.gguf"));

  // Without a file: how good one would be, beside random and oracle.
  const Json pair = run_json({"predictor", "eval", "--labels", "labels.jsonl", "--weak", "tiny",
                              "--strong", "big", "--retain", "0.9", "--trials", "5", "--json"});
  for (const char* router : {"default", "paper", "random", "oracle"}) {
    for (const char* figure : {"apgr", "cpt50", "cpt80", "cut", "retained", "ece"}) {
      EXPECT_TRUE(pair[router].contains(figure)) << router << " " << figure;
    }
  }
  EXPECT_GT(pair["default"]["cut"].get<double>(), pair["random"]["cut"].get<double>());
  EXPECT_NE(run({"predictor", "eval", "--labels", "labels.jsonl"}).out.find("guarantee of 96.2 %"),
            std::string::npos);
  expect_refused({"predictor", "eval", "--labels", "labels.jsonl", "--weak", "tiny"}, "go together");
  expect_refused({"predictor", "eval", "--labels", "labels.jsonl", "--retain", "1"}, "less than 1");

  write("bad.jsonl", "{\"prompt\":\"x\",\"scores\":{\"a\":1}}\n{\"prompt\":7}\n");
  expect_refused({"predictor", "train", "--labels", "bad.jsonl", "--out", "r.gguf"}, "bad.jsonl");
  expect_refused({"predictor", "train", "--labels", "labels.jsonl", "--tier", "small=none",
                  "--tier", "full=big", "--out", "r.gguf"},
                 "none");
  expect_refused({"predictor", "eval", "p.gguf", "--labels", "none.jsonl"}, "none.jsonl");
  expect_refused({"predictor", "info", model_}, "");
  expect_refused({"zoo", "add", "s.zoo", "--predictor", model_}, "");
  EXPECT_FALSE(std::filesystem::exists(path("r.gguf")));
}

TEST_F(ZooCommands, WithoutAPredictorOfItsOwnANaturalOneDecides) {
  const std::vector<std::string> remote = {"--zoo",          "s.zoo", "--remote-url",
                                           "http://127.0.0.1:1/v1", "--remote-model", "full"};
  const auto route = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"route", "--json", "What is the capital of France?"};
    words.insert(words.end(), remote.begin(), remote.end());
    words.insert(words.end(), more.begin(), more.end());
    return run_json(words);
  };
  EXPECT_EQ(route({})["gate"], "default");
  EXPECT_EQ(route({})["tiers"].size(), 2u);
  // Alone, a zoo without a predictor is asked as it is.
  EXPECT_EQ(run_json({"route", "--json", "--zoo", "s.zoo", "hi"})["reason"], "no_predictor");
  expect_refused({"route", "--zoo", "s.zoo", "--predictor", model_, "hi"}, "predictor");
}

TEST_F(ZooCommands, VariantsLabelPrompts) {
  write("prompts.jsonl", "{\"text\": \"Once upon a time\"}\n"
                         "{\"prompt\": \"Once\", \"answer\": \"never this\"}\n");
  const Outcome labelled = run({"predictor", "label", "--zoo", "s.zoo", "--file", "prompts.jsonl",
                                "--reference", "f32", "--out", "zoo_labels.jsonl"});
  ASSERT_EQ(labelled.exit_code, 0) << labelled.err;
  const std::string text = read("zoo_labels.jsonl");
  const Json first = *parse_json(text.substr(0, text.find('\n')));
  EXPECT_EQ(first["prompt"], "Once upon a time");
  EXPECT_EQ(first["scores"]["f32"], 1);  // agrees with itself
  EXPECT_EQ(first["answers"].size(), 3u);
  const Json second = *parse_json(text.substr(text.find('\n') + 1));
  EXPECT_EQ(second["scores"]["f32"], 0);
  expect_refused({"predictor", "label", "--zoo", "s.zoo"}, "expected --out");
  expect_refused({"predictor", "label", "--zoo", "s.zoo", "--file", "prompts.jsonl", "--reference",
                  "q9", "--out", "x.jsonl"},
                 "no variant 'q9'");
  EXPECT_FALSE(std::filesystem::exists(path("x.jsonl")));
}

}  // namespace
}  // namespace ac::test
