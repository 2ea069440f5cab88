#include "runtime/server/http_server.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/version.hpp>
#include <deque>
#include <set>

#include "runtime/core/json.h"

namespace ac {
namespace {

// For whoever is told that the time is up.
constexpr std::chrono::milliseconds kLastWords{500};

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

std::string plain_error(std::string_view message, std::string_view type) {
  return fmt::format(R"({{"error":{{"message":{},"type":"{}","param":null,"code":null}}}})",
                     json_quote(message), type);
}

TcpEnd named(const tcp::endpoint& end) { return {end.address().to_string(), end.port()}; }

class Server;

// One connection: requests one after the other, each answered before the next is read.
class Session final : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Server& server);
  void start() { read_head(); }
  void close_when_idle();
  void close();

  // What exchanges ask for, on the server's thread. `turn` says for which request.
  void send_head(uint64_t turn, int status, HttpFields fields, std::optional<std::string> body);
  void send_piece(uint64_t turn, std::string piece);
  void send_end(uint64_t turn);
  Server& server() { return server_; }

 private:
  void read_head();
  void read_body();
  HttpRequest head_of(const http::request<http::string_body>& message) const;
  void handle();
  void refuse(int status, std::string_view message);
  void watch_client();
  void pump();
  void after_answer();
  void client_left();

  beast::tcp_stream stream_;
  Server& server_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::shared_ptr<CancelFlag> gone_;
  uint64_t turn_ = 0;  // requests so far
  bool answering_ = false, keeps_ = false, chunked_ = false, ended_ = false, head_sent_ = false;
  bool writing_ = false, closing_ = false, watching_ = false;
  TcpEnd peer_, own_;
  asio::steady_timer pause_;
  std::deque<std::string> out_;
};

class Exchange final : public HttpExchange {
 public:
  Exchange(std::weak_ptr<Session> session, std::shared_ptr<asio::io_context> io, uint64_t turn,
           std::shared_ptr<CancelFlag> gone)
      : session_(std::move(session)), io_(std::move(io)), turn_(turn), gone_(std::move(gone)) {}
  ~Exchange() override {
    // Whoever dropped it without an answer has failed; the client must not wait for ever.
    if (!begun_) {
      respond(500, {{"content-type", "application/json"}},
              plain_error("no answer was made", "server_error"));
    } else if (!done_) {
      finish();
    }
  }
  void respond(int status, HttpFields fields, std::string body) override {
    if (std::exchange(begun_, true)) return;
    done_ = true;
    to_session([turn = turn_, status, fields = std::move(fields),
                body = std::move(body)](Session& session) mutable {
      session.send_head(turn, status, std::move(fields), std::move(body));
    });
  }
  void begin(int status, HttpFields fields) override {
    if (std::exchange(begun_, true)) return;
    to_session([turn = turn_, status, fields = std::move(fields)](Session& session) mutable {
      session.send_head(turn, status, std::move(fields), std::nullopt);
    });
  }
  void write(std::string piece) override {
    if (!begun_ || done_ || piece.empty()) return;
    to_session([turn = turn_, piece = std::move(piece)](Session& session) mutable {
      session.send_piece(turn, std::move(piece));
    });
  }
  void finish() override {
    if (!begun_ || std::exchange(done_, true)) return;
    to_session([turn = turn_](Session& session) { session.send_end(turn); });
  }
  const CancelFlag& gone() const override { return *gone_; }

 private:
  template <class Action>
  void to_session(Action action) {
    asio::post(*io_, [weak = session_, action = std::move(action)]() mutable {
      if (const auto session = weak.lock()) action(*session);
    });
  }

  std::weak_ptr<Session> session_;
  std::shared_ptr<asio::io_context> io_;  // outlives the server where an answer does
  uint64_t turn_;
  std::shared_ptr<CancelFlag> gone_;
  bool begun_ = false, done_ = false;
};

class Server final : public HttpServer {
 public:
  Server(const HttpServerOptions& options, HttpHandler handler)
      : options_(options), handler_(std::move(handler)), acceptor_(*io_), deadline_(*io_) {}
  ~Server() override {
    for (const auto& session : sessions_) session->close();
    sessions_.clear();
  }

  Status open() {
    error_code code;
    const auto address = asio::ip::make_address(options_.address, code);
    if (code) {
      return fail(ErrorCode::kInvalidArgument, "'{}' is not an address to listen on",
                  options_.address);
    }
    const tcp::endpoint endpoint(address, options_.port);
    const auto failed = [&](std::string_view what) {
      return fail(ErrorCode::kIo, "{}:{}: cannot {}: {}", options_.address, options_.port, what,
                  code.message());
    };
    if (acceptor_.open(endpoint.protocol(), code)) return failed("open a socket");
    if (acceptor_.set_option(asio::socket_base::reuse_address(true), code)) {
      return failed("set up the socket");
    }
    if (acceptor_.bind(endpoint, code)) return failed("listen");
    if (acceptor_.listen(asio::socket_base::max_listen_connections, code)) return failed("listen");
    port_ = acceptor_.local_endpoint(code).port();
    return {};
  }

  uint16_t port() const override { return port_; }

  void run(std::chrono::milliseconds drain) override {
    drain_ = drain;
    accept();
    io_->run();
  }
  void stop() override {
    asio::post(*io_, [this] { begin_to_stop(); });
  }

  void add(const std::shared_ptr<Session>& session) { sessions_.insert(session); }
  void remove(const std::shared_ptr<Session>& session) {
    sessions_.erase(session);
    if (stopping_ && sessions_.empty()) deadline_.cancel();
  }
  bool stopping() const { return stopping_; }
  const HttpServerOptions& options() const { return options_; }
  const HttpHandler& handler() const { return handler_; }
  const std::shared_ptr<asio::io_context>& io() { return io_; }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code code, tcp::socket socket) {
      if (stopping_) return;
      if (!code) {
        const bool full = sessions_.size() >= static_cast<size_t>(options_.max_connections);
        // One connection too many is closed; the others must not feel it.
        if (!full) {
          const auto session = std::make_shared<Session>(std::move(socket), *this);
          add(session);
          session->start();
        }
      }
      accept();
    });
  }
  void begin_to_stop() {
    if (std::exchange(stopping_, true)) return;
    error_code ignored;
    acceptor_.close(ignored);
    if (options_.at_stop) options_.at_stop();
    const auto sessions = sessions_;
    for (const auto& session : sessions) session->close_when_idle();
    if (sessions_.empty()) return;
    deadline_.expires_after(drain_);
    deadline_.async_wait([this](error_code code) {
      if (code) return;  // all were answered
      if (options_.at_overdue) options_.at_overdue();
      deadline_.expires_after(kLastWords);
      deadline_.async_wait([this](error_code) {
        const auto left = sessions_;
        for (const auto& session : left) session->close();
      });
    });
  }

  HttpServerOptions options_;
  HttpHandler handler_;
  std::shared_ptr<asio::io_context> io_ = std::make_shared<asio::io_context>(1);
  tcp::acceptor acceptor_;
  asio::steady_timer deadline_;
  std::chrono::milliseconds drain_{0};
  std::set<std::shared_ptr<Session>> sessions_;
  uint16_t port_ = 0;
  bool stopping_ = false;
};

Session::Session(tcp::socket socket, Server& server)
    : stream_(std::move(socket)),
      server_(server),
      buffer_(server.options().header_bytes * 2),
      pause_(stream_.get_executor()) {
  error_code ignored;
  stream_.socket().set_option(tcp::no_delay(true), ignored);
  peer_ = named(stream_.socket().remote_endpoint(ignored));
  own_ = named(stream_.socket().local_endpoint(ignored));
}

void Session::close() {
  closing_ = true;
  pause_.cancel();
  client_left();
  error_code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
  stream_.close();
  server_.remove(shared_from_this());
}

void Session::close_when_idle() {
  keeps_ = false;
  if (!answering_) close();
}

void Session::client_left() {
  if (gone_) gone_->raise();
}

void Session::read_head() {
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(server_.options().header_bytes));
  parser_->body_limit(server_.options().body_bytes);
  const bool fresh = turn_ == 0 || buffer_.size() > 0;
  stream_.expires_after(fresh ? server_.options().header_timeout : server_.options().idle_timeout);
  http::async_read_header(
      stream_, buffer_, *parser_, [self = shared_from_this()](error_code code, size_t) {
        if (self->closing_) return;
        if (code == http::error::header_limit) {
          return self->refuse(431, "the request's headers are too long");
        }
        if (code == http::error::body_limit) {
          return self->refuse(413, "the request is too long");
        }
        if (code.category() == http::make_error_code(http::error::bad_method).category() &&
            code != http::error::end_of_stream && code != http::error::partial_message) {
          return self->refuse(400, "not an HTTP request");
        }
        if (code) return self->close();
        self->read_body();
      });
}

void Session::read_body() {
  stream_.expires_after(server_.options().body_timeout);
  if (const auto& look = server_.options().look_at_head) {
    const auto refusal = look(head_of(parser_->get()));
    if (refusal) return refuse(refusal->status, refusal->message);
  }
  if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
    static const std::string kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue), [self = shared_from_this()](auto, auto) {});
  }
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](error_code code, size_t) {
                     if (self->closing_) return;
                     if (code == http::error::body_limit) {
                       return self->refuse(413, "the request is too long");
                     }
                     if (code) return self->close();
                     self->handle();
                   });
}

HttpRequest Session::head_of(const http::request<http::string_body>& message) const {
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  const size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != std::string::npos) request.query = target.substr(mark + 1);
  for (const auto& field : message) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.fields.emplace_back(std::move(name), std::string(field.value()));
  }
  request.peer = peer_;
  request.own = own_;
  return request;
}

void Session::handle() {
  stream_.expires_never();
  auto message = parser_->release();
  HttpRequest request = head_of(message);
  request.body = std::move(message.body());
  ++turn_;
  answering_ = true;
  ended_ = head_sent_ = chunked_ = false;
  keeps_ = message.keep_alive() && !server_.stopping();
  gone_ = std::make_shared<CancelFlag>();
  watch_client();
  server_.handler()(std::move(request),
                    std::make_shared<Exchange>(weak_from_this(), server_.io(), turn_, gone_));
}

// An answer of our own, after which nothing that the client sent can be trusted to begin a request.
void Session::refuse(int status, std::string_view message) {
  ++turn_;
  answering_ = true;
  ended_ = head_sent_ = chunked_ = false;
  keeps_ = false;
  send_head(turn_, status, {{"content-type", "application/json"}},
            plain_error(message, "invalid_request_error"));
}

// A read that is always armed while an answer is made: an end of the stream means that nobody waits
// for it. Bytes that come are the next request's, and stay where they are.
void Session::watch_client() {
  if (watching_) return;
  watching_ = true;
  stream_.socket().async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code code) {
    self->watching_ = false;
    if (code || self->closing_ || !self->answering_) return;
    char byte = 0;
    error_code peeked;
    const size_t n =
        self->stream_.socket().receive(asio::buffer(&byte, 1), tcp::socket::message_peek, peeked);
    if (n == 0 || peeked) return self->close();
  });
}

void Session::send_head(uint64_t turn, int status, HttpFields fields,
                        std::optional<std::string> body) {
  if (turn != turn_ || !answering_ || head_sent_ || closing_) return;
  head_sent_ = true;
  chunked_ = !body.has_value();
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, http_reason(status));
  for (const auto& [name, value] : fields) head += fmt::format("{}: {}\r\n", name, value);
  head += keeps_ ? "connection: keep-alive\r\n" : "connection: close\r\n";
  head += chunked_ ? std::string("transfer-encoding: chunked\r\n\r\n")
                   : fmt::format("content-length: {}\r\n\r\n", body->size());
  out_.push_back(std::move(head));
  if (body && !body->empty()) out_.push_back(std::move(*body));
  if (!chunked_) ended_ = true;
  constexpr int kTooMany = 429;
  if (status != kTooMany) return pump();
  pause_.expires_after(server_.options().slow_refusal);
  pause_.async_wait([self = shared_from_this()](error_code) { self->pump(); });
}

void Session::send_piece(uint64_t turn, std::string piece) {
  if (turn != turn_ || !chunked_ || ended_ || closing_) return;
  out_.push_back(fmt::format("{:x}\r\n", piece.size()) + piece + "\r\n");
  pump();
}

void Session::send_end(uint64_t turn) {
  if (turn != turn_ || !chunked_ || ended_ || closing_) return;
  ended_ = true;
  out_.push_back("0\r\n\r\n");
  pump();
}

void Session::pump() {
  if (writing_ || closing_) return;
  if (out_.empty()) {
    if (ended_) after_answer();
    return;
  }
  writing_ = true;
  stream_.expires_after(server_.options().write_timeout);
  asio::async_write(stream_, asio::buffer(out_.front()),
                    [self = shared_from_this()](error_code code, size_t) {
                      self->writing_ = false;
                      if (self->closing_) return;
                      if (code) return self->close();
                      self->stream_.expires_never();
                      self->out_.pop_front();
                      self->pump();
                    });
}

void Session::after_answer() {
  answering_ = false;
  gone_.reset();
  if (!keeps_) return close();
  read_head();
}

}  // namespace

std::optional<std::string_view> HttpRequest::field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return std::string_view(value);
  }
  return std::nullopt;
}

std::string_view http_reason(int status) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  return {reason.data(), reason.size()};
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const HttpServerOptions& options,
                                                       HttpHandler handler) {
  auto server = std::make_unique<Server>(options, std::move(handler));
  AC_TRY_STATUS(server->open());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace ac
