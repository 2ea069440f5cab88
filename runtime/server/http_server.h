// HTTP/1.1 on a loopback port: one thread that reads requests and writes answers, and nothing else.
//
// Whoever answers does so from another thread through an HttpExchange, and learns through it that
// the client has left. What a client may do is limited before anything of it is believed: bytes of
// headers and body, time for each, connections. The one place where sockets are (with
// http_session.cc).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/core/cancel.h"
#include "runtime/core/result.h"
#include "runtime/server/connection_owner.h"

namespace ac {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // "/v1/models", without the query
  std::string query;   // what follows "?"
  HttpFields fields;   // names in lower case
  std::string body;
  TcpEnd peer{}, own{};  // of the connection
  // The first field of that name, in lower case; nullopt: there is none.
  std::optional<std::string_view> field(std::string_view name) const;
};

// The answer to one request. Any thread may use it, one at a time; what comes after the end, or
// after the client has left, is dropped.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // A whole answer.
  virtual void respond(int status, HttpFields fields, std::string body) = 0;
  // Or one in pieces, without a length: begin, write, write, ..., finish.
  virtual void begin(int status, HttpFields fields) = 0;
  virtual void write(std::string piece) = 0;
  virtual void finish() = 0;
  // Raised when the client has closed the connection.
  virtual const CancelFlag& gone() const = 0;
};

using HttpHandler =
    std::function<void(HttpRequest request, std::shared_ptr<HttpExchange> exchange)>;

// Why a request is not taken, before anything else of it is looked at.
struct HttpRefusal {
  int status = 403;
  std::string message;
};

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 8080;  // 0: any that is free
  size_t header_bytes = 16u << 10;
  size_t body_bytes = 8u << 20;
  int max_connections = 2048;
  std::chrono::milliseconds header_timeout{10000};
  std::chrono::milliseconds body_timeout{30000};
  std::chrono::milliseconds idle_timeout{60000};   // between two requests of a connection
  std::chrono::milliseconds write_timeout{30000};  // until a client takes what is written
  // A 429 leaves that much later: whoever asks again at once is slowed down, and the answers that are
  // being made are not.
  std::chrono::milliseconds slow_refusal{100};
  // Looks at a request's head; where it refuses, the body is not read. Called on the thread of run().
  std::function<std::optional<HttpRefusal>(const HttpRequest& head)> look_at_head{};
  // Told on that thread that the server stops, and that what still runs has had its time: whoever
  // answers has a moment to say so before connections are cut.
  std::function<void()> at_stop{};
  std::function<void()> at_overdue{};
};

class HttpServer {
 public:
  // Listens at once; nothing is answered before run(). The handler is called on the thread of run()
  // and must return soon. Errors: kInvalidArgument (not an address), kIo (the port is taken).
  static Result<std::unique_ptr<HttpServer>> listen(const HttpServerOptions& options,
                                                    HttpHandler handler);
  virtual ~HttpServer() = default;

  virtual uint16_t port() const = 0;
  // Answers until stop(); then takes no new requests and returns when those that run are answered,
  // or `drain` and a moment later.
  virtual void run(std::chrono::milliseconds drain) = 0;
  // From any thread, or a signal's handler that has handed over to one.
  virtual void stop() = 0;
};

// "Bad Request" of 400.
std::string_view http_reason(int status);

}  // namespace ac
