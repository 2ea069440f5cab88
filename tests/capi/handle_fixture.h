// A handle on the small real model, and what its answers are freed with.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/capi/agentcompress.h"

namespace ac::test {

struct Free {
  void operator()(void* memory) const { agentcompress_free(memory); }
};
using AnswerPtr = std::unique_ptr<agentcompress_answer, Free>;

struct Close {
  void operator()(agentcompress* handle) const { agentcompress_close(handle); }
};
using HandlePtr = std::unique_ptr<agentcompress, Close>;

// A fresh folder that is home, and where settings and a ledger would be.
class CapiTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ac_capi_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    for (const char* name : {"HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"}) {
      setenv(name, folder_.c_str(), 1);
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(std::string_view name) const { return (folder_ / name).string(); }
  void write(std::string_view name, std::string_view text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  // nullptr on failure; the code is code_.
  HandlePtr open(const char* config, std::vector<const char*> overrides, const char* model) {
    overrides.push_back(nullptr);
    agentcompress* handle = nullptr;
    code_ = agentcompress_open(config, overrides.data(), model, &handle);
    EXPECT_EQ(handle == nullptr, code_ != AC_OK);
    return HandlePtr(handle);
  }

  std::filesystem::path folder_;
  agentcompress_code code_ = AC_OK;
};

class StoryTest : public CapiTest {
 protected:
  void SetUp() override {
    CapiTest::SetUp();
    model_ = std::string(AC_SHARED_DATA) + "/models/stories260K.gguf";
    if (!std::filesystem::exists(model_)) GTEST_SKIP() << model_ << " is not there";
    handle_ = open(nullptr, {"engine.threads=1"}, model_.c_str());
    ASSERT_NE(handle_, nullptr) << agentcompress_last_error();
  }
  void TearDown() override {
    handle_.reset();
    CapiTest::TearDown();
  }
  AnswerPtr ask(const char* prompt, const agentcompress_ask_options& options) {
    const agentcompress_message question = {"user", prompt};
    agentcompress_answer* answer = nullptr;
    code_ = agentcompress_ask(handle_.get(), &question, 1, &options, &answer);
    return AnswerPtr(answer);
  }
  static agentcompress_ask_options options_of(int32_t max_tokens) {
    agentcompress_ask_options options = AC_ASK_OPTIONS_INIT;
    options.max_tokens = max_tokens;
    return options;
  }

  std::string model_;
  HandlePtr handle_;
};

// A C++ function as a callback.
struct Heard {
  std::string text;
  std::function<int(std::string_view piece)> then = [](std::string_view) { return 0; };

  void listen(agentcompress_ask_options& options) {
    options.user_data = this;
    options.on_text = [](const char* piece, size_t n_bytes, void* self) {
      auto* heard = static_cast<Heard*>(self);
      heard->text.append(piece, n_bytes);
      return heard->then(std::string_view(piece, n_bytes));
    };
  }
};

// The model's published greedy continuation of "Once upon a time".
inline constexpr std::string_view kStory =
    ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw "
    "a "
    "big, red ball. She wanted to play with it, but it was too high.";

}  // namespace ac::test
