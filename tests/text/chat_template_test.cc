// Renders templates written like the published ones and compares with Jinja itself, byte by byte.
#include "models/text/chat_template.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/text/real_vocabularies.h"

namespace ac {
namespace {

constexpr std::string_view kBos = "<s>";
constexpr std::string_view kEos = "</s>";

class FixedClock : public Clock {
 public:
  static constexpr int64_t kNow = 1722000000;
  std::chrono::system_clock::time_point wall_now() const override {
    return std::chrono::system_clock::from_time_t(kNow);
  }
};

struct Conversation {
  std::string name;
  Json json;
  std::vector<ChatMessage> messages;
};

std::vector<Conversation> conversations() {
  const auto text = read_file(AC_SOURCE_DIR "/tests/text/conversations.json", 1 << 20);
  const auto json = parse_json(*text);
  std::vector<Conversation> all;
  for (const Json& each : *json) {
    Conversation conversation{each["name"], each["messages"], {}};
    for (const Json& message : each["messages"]) {
      conversation.messages.push_back({message["role"], message["content"]});
    }
    all.push_back(std::move(conversation));
  }
  return all;
}

// Templates by name: those beside this test, the two that come with real models, and those of a
// folder that AC_CHAT_TEMPLATES may name.
std::map<std::string, std::string> templates() {
  std::map<std::string, std::string> all;
  std::vector<std::string> folders = {AC_SOURCE_DIR "/tests/text/templates"};
  if (const char* more = std::getenv("AC_CHAT_TEMPLATES")) folders.emplace_back(more);
  for (const std::string& folder : folders) {
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      all[file.path().stem()] = *read_file(file.path().string(), 1 << 20);
    }
  }
  const std::string shared = AC_SHARED_DATA "/tokenizers";
  if (const auto config = read_file(shared + "/qwen2/tokenizer_config.json", 1 << 20)) {
    all["real qwen2"] = (*parse_json(*config))["chat_template"];
  }
  if (const auto phi3 = open_gguf(shared + "/ggml-vocab-phi-3.gguf")) {
    all["real phi-3"] = *phi3->get_string("tokenizer.chat_template");
  }
  return all;
}

ChatTemplateInput input_of(const Conversation& conversation, bool add_generation_prompt,
                           const Clock& clock) {
  return {.messages = conversation.messages,
          .add_generation_prompt = add_generation_prompt,
          .bos_token = std::string(kBos),
          .eos_token = std::string(kEos),
          .clock = &clock};
}

TEST(ChatTemplate, RendersAsJinjaDoes) {
  const FixedClock clock;
  struct Case {
    std::string name;
    std::string source;
    ChatTemplateInput input;
  };
  std::vector<Case> cases;
  Json requests = Json::array();
  const auto all = templates();
  ASSERT_GE(all.size(), 12u);
  for (const auto& [name, source] : all) {
    for (const Conversation& conversation : conversations()) {
      for (const bool add_generation_prompt : {true, false}) {
        cases.push_back({name + ", " + conversation.name, source,
                         input_of(conversation, add_generation_prompt, clock)});
        requests.push_back({{"template", source},
                            {"messages", conversation.json},
                            {"add_generation_prompt", add_generation_prompt},
                            {"bos_token", kBos},
                            {"eos_token", kEos},
                            {"now", FixedClock::kNow}});
      }
    }
  }
  const std::string stem =
      (std::filesystem::temp_directory_path() / ("ac_chat_" + std::to_string(getpid()))).string();
  ASSERT_TRUE(write_file(stem + ".in", requests.dump()));
  const std::string command = "/usr/bin/python3 " AC_SOURCE_DIR "/tests/text/chat_oracle.py " +
                              stem + ".in > " + stem + ".out";
  const int status = std::system(command.c_str());
  const auto output = read_file(stem + ".out", 64 << 20);
  std::filesystem::remove(stem + ".in");
  std::filesystem::remove(stem + ".out");
  if (WEXITSTATUS(status) == 3 || WEXITSTATUS(status) == 127) {
    GTEST_SKIP() << "no python3 with jinja2 to compare with";
  }
  ASSERT_EQ(status, 0);
  const auto answers = parse_json(*output, {.max_bytes = 64 << 20});
  ASSERT_TRUE(answers) << answers.error().message;
  ASSERT_EQ(answers->size(), cases.size());
  size_t n_texts = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Json& answer = (*answers)[i];
    const auto made = ChatTemplate::parse(cases[i].source);
    if (!made) {
      ADD_FAILURE() << cases[i].name << ": " << made.error().message;
      continue;
    }
    const auto rendered = made->render(cases[i].input);
    if (answer.contains("error")) {
      EXPECT_FALSE(rendered) << cases[i].name << ": Jinja says " << answer["error"];
      continue;
    }
    ++n_texts;
    if (!rendered) {
      ADD_FAILURE() << cases[i].name << ": " << rendered.error().message;
      continue;
    }
    EXPECT_EQ(rendered->text, answer["text"].get<std::string>()) << cases[i].name;
  }
  EXPECT_GT(n_texts, cases.size() / 2);
}

}  // namespace
}  // namespace ac
