// What the library refuses, and what it says then.
#include <gmock/gmock.h>

#include <limits>

#include "tests/capi/handle_fixture.h"

namespace ac::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(LibraryFacts, VersionsAndNames) {
  EXPECT_EQ(agentcompress_api_version(), AC_API_VERSION);
  EXPECT_THAT(agentcompress_version(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_STREQ(agentcompress_code_name(AC_CONTEXT_FULL), "context_full");
  EXPECT_STREQ(agentcompress_code_name(AC_OK), "ok");
}

class Opening : public CapiTest {
 protected:
  void expect_refused(const char* config, std::vector<const char*> overrides, const char* model,
                      agentcompress_code code, const testing::Matcher<std::string>& message) {
    EXPECT_EQ(open(config, std::move(overrides), model), nullptr);
    EXPECT_EQ(code_, code);
    EXPECT_EQ(agentcompress_last_code(), code);
    EXPECT_THAT(std::string(agentcompress_last_error()), message);
  }
};

TEST_F(Opening, ABadFileIsNamedWithItsLine) {
  write("bad.ini", "version = 1\n[engine]\nthreads = many\n");
  expect_refused(path("bad.ini").c_str(), {}, nullptr, AC_INVALID_ARGUMENT,
                 AllOf(HasSubstr("bad.ini:3"), HasSubstr("many")));
  write("unknown.ini", "version = 1\n[engine]\nthread = 1\n");
  expect_refused(path("unknown.ini").c_str(), {}, nullptr, AC_INVALID_ARGUMENT,
                 AllOf(HasSubstr("unknown.ini:3"), HasSubstr("did you mean 'threads'")));
  expect_refused(path("none.ini").c_str(), {}, nullptr, AC_NOT_FOUND, HasSubstr("none.ini"));
  expect_refused("", {}, nullptr, AC_INVALID_ARGUMENT, HasSubstr("config_file"));
}

TEST_F(Opening, ABadOverrideIsNamed) {
  expect_refused(nullptr, {"engine.threads=many"}, nullptr, AC_INVALID_ARGUMENT,
                 AllOf(HasSubstr("override 'engine.threads=many'"), HasSubstr("0 to 1024")));
  expect_refused(nullptr, {"engine.thread=1"}, nullptr, AC_INVALID_ARGUMENT,
                 HasSubstr("did you mean 'threads'"));
  expect_refused(nullptr, {"engines.threads=1"}, nullptr, AC_INVALID_ARGUMENT,
                 HasSubstr("engines"));
  for (const char* text : {"", "=", "engine.threads", "threads=1"}) {
    expect_refused(nullptr, {text}, nullptr, AC_INVALID_ARGUMENT,
                   HasSubstr("expected section.key=value"));
  }
}

TEST_F(Opening, ABadModelIsNamed) {
  expect_refused(nullptr, {}, path("none.gguf").c_str(), AC_NOT_FOUND, HasSubstr("none.gguf"));
  expect_refused(nullptr, {}, path("none.zoo").c_str(), AC_NOT_FOUND, HasSubstr("none.zoo"));
  write("text.gguf", "hello");
  expect_refused(nullptr, {}, path("text.gguf").c_str(), AC_UNSUPPORTED, HasSubstr("text.gguf"));
  write("cut.gguf", std::string("GGUF\3\0\0\0", 8));
  expect_refused(nullptr, {}, path("cut.gguf").c_str(), AC_CORRUPT_FILE, HasSubstr("cut.gguf"));
  write("bad.zoo", "hello");
  EXPECT_EQ(open(nullptr, {}, path("bad.zoo").c_str()), nullptr);
  EXPECT_THAT(agentcompress_last_error(), HasSubstr("bad.zoo"));
  expect_refused(nullptr, {}, "", AC_INVALID_ARGUMENT, HasSubstr("model"));
  expect_refused(nullptr, {"route.shipped_zoo=no"}, nullptr, AC_INVALID_ARGUMENT,
                 HasSubstr("no model"));
  expect_refused(nullptr, {"privacy.offline=yes", "remote.url=http://127.0.0.1:1/v1"}, nullptr,
                 AC_INVALID_ARGUMENT, HasSubstr("offline"));
}

TEST_F(Opening, LongMessagesAreCutBetweenCharacters) {
  // Of two bytes each, so that one cut or the other falls into one.
  for (const char* before : {"", "x"}) {
    std::string name = before;
    for (int i = 0; i < 5000; ++i) name += "\xc3\xa9";
    EXPECT_EQ(open(path(name).c_str(), {}, nullptr), nullptr);
    const std::string message = agentcompress_last_error();
    EXPECT_LT(message.size(), 4096u);
    EXPECT_NE(message.back(), '\xc3');
  }
}

TEST_F(Opening, ARemoteThatCannotBeReached) {
  const HandlePtr handle =
      open(nullptr, {"remote.url=http://127.0.0.1:1/v1", "remote.model=full"}, nullptr);
  ASSERT_NE(handle, nullptr) << agentcompress_last_error();
  const agentcompress_message question = {"user", "Once"};
  agentcompress_answer* answer = nullptr;
  EXPECT_EQ(agentcompress_ask(handle.get(), &question, 1, nullptr, &answer), AC_REMOTE);
  EXPECT_EQ(answer, nullptr);
  float* vector = nullptr;
  size_t n = 0;
  EXPECT_EQ(agentcompress_embed(handle.get(), nullptr, "text", &vector, &n), AC_NOT_FOUND);
  char* json = nullptr;
  ASSERT_EQ(agentcompress_route(handle.get(), &question, 1, nullptr, &json), AC_OK);
  EXPECT_THAT(json, AllOf(HasSubstr(R"("place":"remote")"), HasSubstr(R"("model":"full")")));
  agentcompress_free(json);
}

TEST_F(Opening, NoNullIsACrash) {
  agentcompress_free(nullptr);
  agentcompress_close(nullptr);
  agentcompress_cancel(nullptr);
  const agentcompress_message question = {"user", "Once"};
  agentcompress_answer* answer = nullptr;
  const char** names = nullptr;
  char* json = nullptr;
  float* vector = nullptr;
  size_t n = 0;
  EXPECT_EQ(agentcompress_open(nullptr, nullptr, nullptr, nullptr), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_models(nullptr, &names), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_ask(nullptr, &question, 1, nullptr, &answer), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_route(nullptr, &question, 1, nullptr, &json), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_embed(nullptr, nullptr, "text", &vector, &n), AC_INVALID_ARGUMENT);
  EXPECT_STREQ(agentcompress_last_error(), "handle is NULL");
}

class Asking : public StoryTest {
 protected:
  void expect_refused(const agentcompress_ask_options& options, agentcompress_code code,
                      const char* part) {
    EXPECT_EQ(ask("Once", options), nullptr);
    EXPECT_EQ(code_, code) << part;
    EXPECT_THAT(agentcompress_last_error(), HasSubstr(part));
  }
  void expect_refused(const agentcompress_message* messages, size_t n, const char* part) {
    agentcompress_answer* answer = nullptr;
    EXPECT_EQ(agentcompress_ask(handle_.get(), messages, n, nullptr, &answer), AC_INVALID_ARGUMENT);
    EXPECT_EQ(answer, nullptr);
    EXPECT_THAT(agentcompress_last_error(), HasSubstr(part));
  }
};

TEST_F(Asking, NoNullIsACrashEither) {
  agentcompress* handle = handle_.get();
  const agentcompress_message question = {"user", "Once"};
  agentcompress_answer* answer = nullptr;
  float* vector = nullptr;
  size_t n = 0;
  EXPECT_EQ(agentcompress_models(handle, nullptr), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_ask(handle, nullptr, 1, nullptr, &answer), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_ask(handle, &question, 1, nullptr, nullptr), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_route(handle, &question, 1, nullptr, nullptr), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_embed(handle, nullptr, nullptr, &vector, &n), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_embed(handle, nullptr, "text", nullptr, &n), AC_INVALID_ARGUMENT);
  EXPECT_EQ(agentcompress_embed(handle, nullptr, "text", &vector, nullptr), AC_INVALID_ARGUMENT);
  const agentcompress_message no_role = {nullptr, "Once"}, no_content = {"user", nullptr};
  expect_refused(&no_role, 1, "messages[0].role is NULL");
  expect_refused(&no_content, 1, "messages[0].content is NULL");
}

TEST_F(Asking, MessagesThatAreNone) {
  const agentcompress_message two[] = {{"user", "Once"}, {"robot", "upon"}};
  expect_refused(two, 0, "no messages");
  expect_refused(two, 2, "messages[1].role is 'robot'");
  const agentcompress_message nobody = {"system", "Be brief."};
  expect_refused(&nobody, 1, "no message of the user");
}

TEST_F(Asking, OptionsThatCannotBe) {
  const auto with = [](auto change) {
    agentcompress_ask_options options = AC_ASK_OPTIONS_INIT;
    change(options);
    return options;
  };
  const char* const empty_stop[] = {"", nullptr};
  const auto bad = AC_INVALID_ARGUMENT;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_refused(with([](auto& o) { o.struct_size = 0; }), bad, "struct_size");
  expect_refused(with([](auto& o) { o.struct_size += 8; }), bad, "struct_size");
  expect_refused(with([](auto& o) { o.max_tokens = 2'000'000'000; }), bad, "max_tokens");
  expect_refused(with([](auto& o) { o.temperature = 101; }), bad, "temperature");
  expect_refused(with([=](auto& o) { o.temperature = nan; }), bad, "temperature");
  expect_refused(with([](auto& o) { o.top_p = 1.5; }), bad, "top_p");
  expect_refused(with([](auto& o) { o.threshold = 1.5; }), bad, "threshold");
  expect_refused(with([&](auto& o) { o.stop = empty_stop; }), bad, "stop");
  expect_refused(with([](auto& o) { o.workflow = ""; }), bad, "workflow");
  expect_refused(with([](auto& o) { o.json_schema = "{"; }), bad, "json_schema");
  expect_refused(with([](auto& o) { o.json_schema = R"({"type":"string","pattern":"a"})"; }),
                 AC_UNSUPPORTED, "'pattern'");
  expect_refused(with([](auto& o) { o.model = "q9"; }), AC_NOT_FOUND, "q9");
  expect_refused(with([](auto& o) { o.model = ""; }), AC_NOT_FOUND, "");
  expect_refused(with([](auto& o) { o.model = "remote"; }), bad, "remote");
}

TEST_F(Asking, APromptThatIsTooLong) {
  handle_ = open(nullptr, {"engine.context=64"}, model_.c_str());
  std::string words;
  for (int i = 0; i < 3000; ++i) words += "story ";
  EXPECT_EQ(ask(words.c_str(), AC_ASK_OPTIONS_INIT), nullptr);
  EXPECT_EQ(code_, AC_CONTEXT_FULL);
  EXPECT_THAT(agentcompress_last_error(), HasSubstr("64"));
}

TEST_F(Asking, VectorsOfWhatIsNone) {
  float* vector = nullptr;
  size_t n = 1;
  for (const char* model : {"remote", "q9", ""}) {
    EXPECT_EQ(agentcompress_embed(handle_.get(), model, "text", &vector, &n), AC_NOT_FOUND)
        << model;
  }
  EXPECT_EQ(agentcompress_embed(handle_.get(), nullptr, "", &vector, &n), AC_INVALID_ARGUMENT);
  EXPECT_EQ(vector, nullptr);
  EXPECT_EQ(n, 0u);
}

}  // namespace
}  // namespace ac::test
