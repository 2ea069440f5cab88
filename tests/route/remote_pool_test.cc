#include "runtime/route/remote_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/route/remote_load.h"
#include "tests/route/remote_test_util.h"

namespace ac {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(RemoteLoad, IsReadFromMetrics) {
  EXPECT_EQ(load_of_metrics("# HELP vllm:num_requests_running x\n"
                            "vllm:num_requests_running{model_name=\"a } 9\"} 3.0\n"
                            "vllm:num_requests_waiting{engine=\"1\"} 2 1700000000\r\n"
                            "vllm:num_requests_running_total 99\nother 7\n"),
            5);
  EXPECT_EQ(load_of_metrics("vllm:num_requests_running 0"), 0);
  for (const char* text :
       {"", "other 1", "vllm:num_requests_running", "vllm:num_requests_running{} ",
        "vllm:num_requests_running{} NaN", "vllm:num_requests_running{} -1",
        "vllm:num_requests_running{} 1x", "vllm:num_requests_running{a=\"} \" "}) {
    EXPECT_EQ(load_of_metrics(text), std::nullopt) << text;
  }
}

struct Told {
  std::string name;
  std::optional<double> load;
  std::optional<Error> error;
  size_t pieces_before_error = 0;
  bool available = true;
  int n_asked = 0, n_looks = 0;
};

class ToldServer final : public RemoteClient {
 public:
  explicit ToldServer(Told* told) : told_(told) {}
  Result<RemoteAnswer> complete(const RemoteRequest& request) override {
    ++told_->n_asked;
    if (told_->error && told_->pieces_before_error > 0) *request.begun = true;
    if (told_->error) return *told_->error;
    RemoteAnswer answer;
    answer.text = answer.model = told_->name;
    return answer;
  }
  Result<std::vector<std::string>> list_models() override {
    if (told_->error) return *told_->error;
    return std::vector<std::string>{told_->name};
  }
  Result<double> load(std::chrono::milliseconds) override {
    ++told_->n_looks;
    if (!told_->load) return fail(ErrorCode::kRemote, "http 404");
    return *told_->load;
  }
  bool available() const override { return told_->available; }
  const std::string& model() const override { return told_->name; }

 private:
  Told* told_;
};

class RemotePoolTest : public testing::Test {
 protected:
  RemotePoolTest() {
    std::vector<std::unique_ptr<RemoteClient>> servers;
    for (Told* told : {&a_, &b_, &c_}) servers.push_back(std::make_unique<ToldServer>(told));
    pool_ = pool_of(std::move(servers));
  }
  std::string asked() {
    RemoteRequest request;
    const auto answer = pool_->complete(request);
    return answer ? answer->text : answer.error().message;
  }
  Told a_{.name = "a", .load = 9, .error = {}}, b_{.name = "b", .load = 2, .error = {}},
      c_{.name = "c", .load = {}, .error = {}};
  std::unique_ptr<RemoteClient> pool_;
};

TEST_F(RemotePoolTest, TheOneWithTheLeastToDoIsAsked) {
  EXPECT_EQ(asked(), "b") << "a has said 9, of the others nothing is known yet";
  EXPECT_EQ(asked(), "c") << "b has said 2";
  EXPECT_EQ(asked(), "c") << "it does not say";
  c_.load = 50;  // it is not looked at again for a while
  EXPECT_EQ(asked(), "c");
  EXPECT_EQ(a_.n_looks + b_.n_looks + c_.n_looks, 3) << "one look before each question, each once";
}

TEST_F(RemotePoolTest, TheNextOneAnswersWhereOneFails) {
  b_.error = c_.error = Error{ErrorCode::kRemote, "connect: refused"};
  EXPECT_EQ(asked(), "a");
  a_.error = Error{ErrorCode::kRemote, "http 503: busy"};
  EXPECT_THAT(asked(), HasSubstr("connect: refused; "));
  EXPECT_THAT(asked(), HasSubstr("http 503: busy"));
  b_.available = c_.available = false;
  EXPECT_TRUE(pool_->available());
  a_.available = false;
  EXPECT_FALSE(pool_->available());
}

TEST_F(RemotePoolTest, WhatNoOtherServerCuresIsNotTriedThere) {
  for (Told* told : {&a_, &b_, &c_}) told->error = Error{ErrorCode::kContextFull, "too long"};
  EXPECT_EQ(asked(), "too long");
  EXPECT_EQ(a_.n_asked + b_.n_asked + c_.n_asked, 1);
}

// Two beginnings are not one answer.
TEST_F(RemotePoolTest, AfterTheFirstPieceNobodyElseIsAsked) {
  for (Told* told : {&a_, &b_, &c_}) {
    told->error = Error{ErrorCode::kRemote, "stream cut"};
    told->pieces_before_error = 1;
  }
  EXPECT_EQ(asked(), "stream cut");
  EXPECT_EQ(a_.n_asked + b_.n_asked + c_.n_asked, 1);
}

// Over sockets: one that is not there, one that is.
TEST(RemotePool, GoesOnWithAServerThatIsThere) {
  const FaultyServer server;
  RemoteOptions options = options_for(fmt::format("http://127.0.0.1:{}/v1, {}", closed_port(),
                                                  server.url("ok")));
  const auto pool = make_remote_client(options);
  ASSERT_TRUE(pool) << pool.error().message;
  const Asked asked = ask(**pool);
  EXPECT_TRUE(asked.answer) << asked.message();
}

TEST(RemotePool, EachUrlIsChecked) {
  for (const char* urls : {"http://127.0.0.1:1/v1,", ",http://127.0.0.1:1/v1",
                           "http://127.0.0.1:1/v1,http://example.org/v1"}) {
    EXPECT_FALSE(make_remote_client(options_for(urls))) << urls;
  }
  EXPECT_TRUE(make_remote_client(options_for("http://127.0.0.1:1/v1, http://127.0.0.1:2/v1")));
}

}  // namespace
}  // namespace ac
