// The service over a real socket; engines and the remote behind it are faked.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "runtime/server/service.h"
#include "tests/route/router_fixture.h"
#include "tests/server/raw_client.h"

namespace ac {

class ServiceTest : public RouterTest {
 protected:
  void serve(ServiceOptions options = {}) {
    make(kAll, router_options_);
    options.page.version = "1.2.3";
    service_ = std::make_unique<ChatService>(std::move(router_),
                                             std::vector<std::string>{"auto", "q4"}, options);
    HttpServerOptions http{.port = 0};
    // Some tests let the service go before the server.
    http.at_stop = [this] {
      if (service_) service_->take_no_more();
    };
    http.at_overdue = [this] {
      if (service_) service_->end_answers();
    };
    auto made = HttpServer::listen(http, [service = service_.get()](auto request, auto exchange) {
      service->handle(std::move(request), std::move(exchange));
    });
    ASSERT_TRUE(made) << made.error().message;
    server_ = std::move(*made);
    service_->set_guard({.port = server_->port()});
    thread_ = std::thread([this] { server_->run(std::chrono::milliseconds(100)); });
  }
  // What still waits for an answer when the server is gone must not touch it.
  void TearDown() override {
    if (server_) server_->stop();
    if (thread_.joinable()) thread_.join();
    server_.reset();
    service_.reset();
  }
  std::unique_ptr<RemoteClient> client(const std::string& model) {
    RemoteOptions options;
    options.url = fmt::format("http://127.0.0.1:{}/v1", server_->port());
    options.model = model;
    return RemoteClient::create(options).value();
  }
  // `fields`: more of them, each with its line's end.
  std::string raw(const std::string& body, const std::string& path = "/v1/chat/completions",
                  const std::string& fields = "") {
    RawClient sender(server_->port());
    sender.send(
        fmt::format("POST {} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{}"
                    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                    path, server_->port(), fields, body.size(), body));
    return checked(sender.read_all());
  }
  std::string get(const std::string& path, const std::string& fields = "") {
    RawClient sender(server_->port());
    sender.send(
        fmt::format("GET {} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{}\r\n", path,
                    server_->port(), fields));
    return checked(sender.read_all());
  }
  // No answer lets a page of another site read it.
  static std::string checked(std::string answer) {
    const std::string head = lowered(answer.substr(0, answer.find("\r\n\r\n")));
    EXPECT_EQ(head.find("access-control-"), std::string::npos) << head;
    return answer;
  }
  static std::string lowered(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  }
  static std::string body_of(const std::string& prompt, const std::string& more = "") {
    return fmt::format(R"({{"model":"auto","messages":[{{"role":"user","content":"{}"}}]{}}})",
                       prompt, more);
  }

  RouterOptions router_options_;
  std::unique_ptr<ChatService> service_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

}  // namespace ac
