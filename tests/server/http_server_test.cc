// The server against clients that behave, and others that do not.
#include "runtime/server/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "tests/server/raw_client.h"

namespace ac {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpServerTest : public testing::Test {
 protected:
  void start(HttpServerOptions options = {}, HttpHandler handler = {}) {
    options.port = 0;
    if (!handler) {
      handler = [](HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
        exchange->respond(
            200, {{"x-test", "yes"}},
            fmt::format("{} {} {} {}", request.method, request.path, request.query, request.body));
      };
    }
    auto made = HttpServer::listen(options, std::move(handler));
    ASSERT_TRUE(made) << made.error().message;
    server_ = std::move(*made);
    thread_ = std::thread([this] { server_->run(200ms); });
  }
  void TearDown() override { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
  }

  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(HttpServerTest, AnswersOneAfterTheOther) {
  start();
  RawClient client(server_->port());
  client.send("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string first = client.read_until("GET /a b=c ");
  EXPECT_THAT(first, StartsWith("HTTP/1.1 200 OK\r\nx-test: yes\r\nconnection: keep-alive\r\n"));
  // Two at once, the second in chunks.
  client.send(
      "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
      "POST /q HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyou\r\n0\r\n\r\n");
  EXPECT_THAT(client.read_until("POST /p  hi"), HasSubstr("POST /p  hi"));
  EXPECT_THAT(client.read_until("POST /q  you"), HasSubstr("POST /q  you"));
  client.send("GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_all(), HasSubstr("connection: close"));
}

TEST_F(HttpServerTest, EveryCutOfARequestIsTheSameRequest) {
  start();
  const std::string whole = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
  for (size_t cut = 1; cut < whole.size(); ++cut) {
    RawClient client(server_->port());
    client.send(whole.substr(0, cut));
    std::this_thread::sleep_for(1ms);
    client.send(whole.substr(cut));
    EXPECT_THAT(client.read_until("POST /p  hello"), HasSubstr("POST /p  hello")) << cut;
  }
}

TEST_F(HttpServerTest, ABodyThatIsNotWantedIsNotRead) {
  HttpServerOptions options;
  options.look_at_head = [](const HttpRequest& head) -> std::optional<HttpRefusal> {
    if (head.path == "/no") return HttpRefusal{401, "not you"};
    return std::nullopt;
  };
  start(options);
  RawClient client(server_->port());
  client.send("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{");
  const std::string answer = client.read_until("not you");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(answer, HasSubstr("connection: close"));
}

TEST_F(HttpServerTest, LimitsAreKept) {
  start({.header_bytes = 1000, .body_bytes = 100});
  const auto answer = [&](const std::string& request) {
    RawClient client(server_->port());
    client.send(request);
    return client.read_all();
  };
  EXPECT_THAT(answer("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(2000, 'a') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer("GET /" + std::string(3000, 'a')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(answer("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n" +
                     std::string(128, 'b') + "\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  for (const char* garbage :
       {"\x16\x03\x01\x02 not http\r\n\r\n", "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n"}) {
    EXPECT_THAT(answer(garbage), StartsWith("HTTP/1.1 400")) << garbage;
  }
}

TEST_F(HttpServerTest, SlowClientsAreLetGo) {
  start({.header_timeout = 100ms, .body_timeout = 100ms, .idle_timeout = 100ms});
  const auto closed_after = [&](const std::string& begun) {
    RawClient client(server_->port());
    client.send(begun);
    const auto start = std::chrono::steady_clock::now();
    client.read_until("GET /ok");
    client.read_all();
    return std::chrono::steady_clock::now() - start;
  };
  EXPECT_LT(closed_after(""), 5s);
  EXPECT_LT(closed_after("GET / HT"), 5s);
  EXPECT_LT(closed_after("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"), 5s);
  EXPECT_LT(closed_after("GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"), 5s);
}

TEST_F(HttpServerTest, StreamsInPieces) {
  start({}, [](HttpRequest, std::shared_ptr<HttpExchange> exchange) {
    std::thread([exchange] {
      exchange->begin(200, {{"content-type", "text/event-stream"}});
      exchange->write("one ");
      exchange->write("two");
      exchange->finish();
      exchange->write("never");
      exchange->respond(500, {}, "never");
    }).detach();
  });
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("0\r\n\r\n"),
              HasSubstr("transfer-encoding: chunked\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"));
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("0\r\n\r\n"), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(HttpServerTest, AnExchangeThatIsDroppedIsAnError) {
  start({}, [](HttpRequest, std::shared_ptr<HttpExchange>) {});
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("server_error"), StartsWith("HTTP/1.1 500"));
}

TEST_F(HttpServerTest, WhoeverAnswersLearnsThatTheClientHasLeft) {
  std::promise<std::shared_ptr<HttpExchange>> taken;
  start({},
        [&](HttpRequest, std::shared_ptr<HttpExchange> exchange) { taken.set_value(exchange); });
  RawClient client(server_->port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto exchange = taken.get_future().get();
  EXPECT_FALSE(exchange->gone().raised());
  const auto start = std::chrono::steady_clock::now();
  client.leave();
  while (!exchange->gone().raised() && std::chrono::steady_clock::now() - start < 5s) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(exchange->gone().raised());
  exchange->respond(200, {}, "nobody reads this");
}

TEST_F(HttpServerTest, StopsWhenAnswersAreGiven) {
  std::promise<std::shared_ptr<HttpExchange>> taken;
  start({},
        [&](HttpRequest, std::shared_ptr<HttpExchange> exchange) { taken.set_value(exchange); });
  RawClient idle(server_->port()), busy(server_->port());
  busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  auto exchange = taken.get_future().get();
  server_->stop();
  std::this_thread::sleep_for(20ms);
  exchange->respond(200, {}, "at last");
  exchange.reset();
  EXPECT_THAT(busy.read_all(), HasSubstr("at last"));
  EXPECT_EQ(idle.read_all(), "");
  thread_.join();
}

TEST_F(HttpServerTest, OneConnectionTooManyIsClosed) {
  start({.max_connections = 2});
  RawClient one(server_->port()), two(server_->port());
  const auto works = [](RawClient& client) {
    client.send("GET /ok HTTP/1.1\r\nHost: x\r\n\r\n");
    return client.read_until("GET /ok").find("GET /ok") != std::string::npos;
  };
  EXPECT_TRUE(works(one));
  EXPECT_TRUE(works(two));
  RawClient three(server_->port());
  EXPECT_FALSE(works(three));
  EXPECT_TRUE(works(one));
}

TEST(HttpServer, APortThatIsTakenIsSaid) {
  const auto handler = [](HttpRequest, std::shared_ptr<HttpExchange>) {};
  const auto first = HttpServer::listen({.port = 0}, handler);
  ASSERT_TRUE(first);
  const auto second = HttpServer::listen({.port = (*first)->port()}, handler);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_THAT(second.error().message, HasSubstr("cannot listen"));
  EXPECT_EQ(HttpServer::listen({.address = "nowhere", .port = 0}, handler).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace ac
