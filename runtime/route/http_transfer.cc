#include "runtime/route/http_transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "runtime/route/chat_wire.h"

namespace ac {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{20};  // how late a deadline or a cancel may be seen
constexpr milliseconds kErrorBodyWait{1000};
constexpr milliseconds kCloseWait{100};  // for the end of the message after [DONE], so that
                                         // the connection can be used again
constexpr uint64_t kMaxHeaderBytes = 64u << 10;
constexpr uint64_t kMaxErrorBodyBytes = 64u << 10;
constexpr size_t kMessageBytes = 200;
constexpr size_t kMaxIdle = 8;

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string seconds_text(milliseconds time) {
  return fmt::format("{:.1f} s", static_cast<double>(time.count()) / 1000);
}

bool is_tls_code(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return true;
    default:
      return false;
  }
}

void initialise_curl() {
  static std::once_flag once;
  std::call_once(once, [] { AC_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

}  // namespace

struct HttpTransport::Connections {
  CURLM* multi = curl_multi_init();
  ~Connections() { curl_multi_cleanup(multi); }
};

// The state of one exchange; libcurl's callbacks point here.
struct HttpTransport::Exchange {
  const RemoteOptions& options;
  const Clock& clock;
  const HttpQuestion& request;
  HttpSink& sink;

  CURL* easy = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_text{};
  Clock::TimePoint start{};
  bool connected = false;
  Clock::TimePoint connected_at{};
  int64_t progress = 0;
  Clock::TimePoint progress_at{};
  bool got_head = false;  // the final response's status is known and its body begins
  Clock::TimePoint head_at{};
  bool finished = false;  // the sink has all it needs, or an error body all that is wanted
  Clock::TimePoint finished_at{};

  long status = 0;
  std::string retry_after{};
  std::string content_encoding{};
  uint64_t header_bytes = 0;
  uint64_t body_bytes = 0;
  std::string error_body{};
  std::optional<Error> failure{};  // set by a callback before it stops the exchange

  // The callbacks' common shape: any error, or anything thrown by the allocator, ends the exchange.
  template <class Step>
  size_t guarded(size_t n, Step&& step) noexcept {
    try {
      if (Status status_of_step = step(); !status_of_step.has_value()) {
        failure = status_of_step.error();
        return 0;
      }
      return n;
    } catch (...) {
      return 0;
    }
  }

  Status on_header(std::string_view line);
  Status on_head();
  Status on_bytes(std::string_view bytes);

  static int connected_callback(void* self, char*, char*, int, int) {
    auto* exchange = static_cast<Exchange*>(self);
    exchange->connected = true;
    exchange->connected_at = exchange->clock.now();
    return CURL_PREREQFUNC_OK;
  }
  static size_t header_callback(char* data, size_t size, size_t n, void* self) {
    auto* exchange = static_cast<Exchange*>(self);
    return exchange->guarded(size * n, [&] { return exchange->on_header({data, size * n}); });
  }
  static size_t body_callback(char* data, size_t size, size_t n, void* self) {
    auto* exchange = static_cast<Exchange*>(self);
    return exchange->guarded(size * n, [&] { return exchange->on_bytes({data, size * n}); });
  }

  bool set_up(curl_slist* headers);
  HttpOutcome run(CURLM* multi);
  std::optional<HttpOutcome> deadline_passed(Clock::TimePoint now) const;
  HttpOutcome after(CURLcode code);
  HttpOutcome outcome(HttpStage stage, std::string message) const;
};

Status HttpTransport::Exchange::on_header(std::string_view line) {
  header_bytes += line.size();
  if (header_bytes > kMaxHeaderBytes) {
    return fail(ErrorCode::kRemote, "headers of more than {} bytes", kMaxHeaderBytes);
  }
  if (line.starts_with("HTTP/")) {  // a response begins: forget an interim one's
    retry_after.clear();
    content_encoding.clear();
    return {};
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  const std::string name = lower(line.substr(0, colon));
  const std::string_view value = trim(line.substr(colon + 1));
  if (name == "retry-after") retry_after = std::string(value.substr(0, 64));
  if (name == "content-encoding") content_encoding = lower(value.substr(0, 64));
  return {};
}

// Looks at the final response before its first body byte, or at its end when it has none.
Status HttpTransport::Exchange::on_head() {
  if (got_head) return {};
  got_head = true;
  head_at = clock.now();
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return {};
  if (!content_encoding.empty() && content_encoding != "identity") {
    return fail(ErrorCode::kRemote, "content-encoding {}, which was not asked for",
                printable(content_encoding, 64));
  }
  const char* type = nullptr;
  curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
  std::string_view media_type = type == nullptr ? "" : type;
  media_type = trim(media_type.substr(0, media_type.find(';')));
  return sink.on_content_type(lower(media_type));
}

Status HttpTransport::Exchange::on_bytes(std::string_view bytes) {
  AC_TRY_STATUS(on_head());
  if (finished) return {};
  if (status != 200) {
    error_body += bytes.substr(0, kMaxErrorBodyBytes - error_body.size());
    finished = error_body.size() == kMaxErrorBodyBytes;
    return {};
  }
  body_bytes += bytes.size();
  if (body_bytes > request.max_response_bytes) {
    return fail(ErrorCode::kRemote, "an answer of more than {} bytes", request.max_response_bytes);
  }
  AC_TRY_STATUS(sink.on_body(bytes));
  if (sink.done()) {
    finished = true;
    finished_at = clock.now();
  }
  // Taken after the sink: time that the reader of the text spends is not the server's.
  if (sink.progress() != progress) {
    progress = sink.progress();
    progress_at = clock.now();
  }
  return {};
}

bool HttpTransport::Exchange::set_up(curl_slist* headers) {
  bool ok = true;
  const auto set = [&](CURLoption option, auto value) {
    ok = curl_easy_setopt(easy, option, value) == CURLE_OK && ok;
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_USERAGENT, "agentcompress");
  if (request.body != nullptr) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
    set(CURLOPT_POSTFIELDS, request.body->data());
  }
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_HTTP09_ALLOWED, 0L);
  set(CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  set(CURLOPT_PROXY, options.proxy.c_str());  // empty: none, the environment is not looked at
  set(CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);

  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  if (!options.ca_file.empty()) {
    set(CURLOPT_CAINFO, options.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }

  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set(CURLOPT_ERRORBUFFER, error_text.data());
  set(CURLOPT_PREREQFUNCTION, &Exchange::connected_callback);
  set(CURLOPT_PREREQDATA, this);
  set(CURLOPT_HEADERFUNCTION, &Exchange::header_callback);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Exchange::body_callback);
  set(CURLOPT_WRITEDATA, this);
  return ok;
}

HttpOutcome HttpTransport::Exchange::outcome(HttpStage stage, std::string message) const {
  return {
      .stage = stage, .message = std::move(message), .status = status, .retry_after = retry_after};
}

std::optional<HttpOutcome> HttpTransport::Exchange::deadline_passed(Clock::TimePoint now) const {
  if (now >= request.end) {
    return outcome(connected ? HttpStage::kTimeout : HttpStage::kConnectTimeout,
                   "total: the time for the whole answer is up");
  }
  if (!connected) {
    if (now - start < options.connect_timeout) return std::nullopt;
    return outcome(HttpStage::kConnectTimeout,
                   fmt::format("connect: none within {}", seconds_text(options.connect_timeout)));
  }
  if (progress == 0) {
    if (now - connected_at < options.first_event_timeout) return std::nullopt;
    return outcome(HttpStage::kTimeout, fmt::format("first event: none within {}",
                                                    seconds_text(options.first_event_timeout)));
  }
  if (now - progress_at < options.between_events_timeout) return std::nullopt;
  return outcome(HttpStage::kTimeout, fmt::format("stream stalled: nothing for {} after {} event{}",
                                                  seconds_text(options.between_events_timeout),
                                                  progress, progress == 1 ? "" : "s"));
}

// What the end of the exchange means. CURLE_OK: the message is complete as HTTP sees it.
HttpOutcome HttpTransport::Exchange::after(CURLcode code) {
  if (code == CURLE_OK && !failure.has_value()) {
    if (Status head = on_head(); !head.has_value()) failure = head.error();
  }
  if (failure.has_value()) {
    return outcome(
        failure->code == ErrorCode::kCancelled ? HttpStage::kCancelled : HttpStage::kProtocol,
        failure->message);
  }
  if (status != 0 && status != 200) {
    const std::string detail = status >= 300 && status <= 399 ? "redirects are not followed"
                                                              : error_message_of(error_body);
    HttpOutcome refused =
        outcome(HttpStage::kStatus, detail.empty() ? fmt::format("http {}", status)
                                                   : fmt::format("http {}: {}", status, detail));
    refused.context_full = status == 400 && says_context_full(error_body);
    return refused;
  }
  if (finished || code == CURLE_OK) return outcome(HttpStage::kDone, {});
  const std::string detail = printable(
      error_text[0] != '\0' ? error_text.data() : curl_easy_strerror(code), kMessageBytes);
  if (is_tls_code(code)) return outcome(HttpStage::kTls, "tls: " + detail);
  if (!connected) {
    switch (code) {
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_RESOLVE_PROXY:
        return outcome(HttpStage::kConnect, "dns: " + detail);
      case CURLE_OPERATION_TIMEDOUT:
        return outcome(
            HttpStage::kConnectTimeout,
            fmt::format("connect: none within {}", seconds_text(options.connect_timeout)));
      default:
        return outcome(HttpStage::kConnect, "connect: " + detail);
    }
  }
  if (body_bytes > 0) {
    return outcome(HttpStage::kProtocol, fmt::format("stream cut after {} event{} ({})", progress,
                                                     progress == 1 ? "" : "s", detail));
  }
  return outcome(HttpStage::kProtocol, "no answer: " + detail);
}

HttpOutcome HttpTransport::Exchange::run(CURLM* multi) {
  for (;;) {
    int n_running = 0;
    if (const CURLMcode code = curl_multi_perform(multi, &n_running); code != CURLM_OK) {
      return outcome(HttpStage::kProtocol, curl_multi_strerror(code));
    }
    int n_left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &n_left)) {
      if (message->msg == CURLMSG_DONE) return after(message->data.result);
    }
    const Clock::TimePoint now = clock.now();
    if (finished && (status != 200 || now - finished_at >= kCloseWait)) return after(CURLE_OK);
    if (got_head && status != 200 && now - head_at >= kErrorBodyWait) return after(CURLE_OK);
    if (!finished) {
      if (request.cancel != nullptr && request.cancel->raised()) {
        return outcome(HttpStage::kCancelled, "cancelled");
      }
      if (std::optional<HttpOutcome> late = deadline_passed(now); late.has_value()) {
        return std::move(*late);
      }
    }
    curl_multi_poll(multi, nullptr, 0, static_cast<int>(kPoll.count()), nullptr);
  }
}

HttpTransport::HttpTransport(const RemoteOptions& options, const Clock& clock)
    : options_(options), clock_(clock) {
  initialise_curl();
}
HttpTransport::~HttpTransport() = default;

std::unique_ptr<HttpTransport::Connections> HttpTransport::take() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Connections>();
  std::unique_ptr<Connections> out = std::move(idle_.back());
  idle_.pop_back();
  return out;
}

void HttpTransport::give_back(std::unique_ptr<Connections> connections) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(connections));
}

HttpOutcome HttpTransport::exchange(const HttpQuestion& request, HttpSink& sink) {
  std::unique_ptr<Connections> connections = take();
  const std::unique_ptr<CURL, EasyDeleter> easy(curl_easy_init());
  std::unique_ptr<curl_slist, ListDeleter> headers;
  const auto add_header = [&](const std::string& line) {
    curl_slist* list = curl_slist_append(headers.get(), line.c_str());
    if (list == nullptr) return false;
    static_cast<void>(headers.release());
    headers.reset(list);
    return true;
  };
  bool ok = connections->multi != nullptr && easy != nullptr;
  ok = ok && add_header("Accept: text/event-stream, application/json");
  if (request.body != nullptr) {
    ok = ok && add_header("Content-Type: application/json");
    ok = ok && add_header("Expect:");  // a long prompt must not wait for "100 Continue"
  }
  // The only place where the key leaves its Secret.
  if (!options_.api_key.empty()) {
    ok = ok && add_header("Authorization: Bearer " + options_.api_key.reveal());
  }
  Exchange exchange{.options = options_, .clock = clock_, .request = request, .sink = sink};
  exchange.easy = easy.get();
  exchange.start = clock_.now();
  ok = ok && exchange.set_up(headers.get());
  ok = ok && curl_multi_add_handle(connections->multi, easy.get()) == CURLM_OK;
  if (!ok) return exchange.outcome(HttpStage::kProtocol, "libcurl: no memory");
  HttpOutcome outcome = exchange.run(connections->multi);
  curl_multi_remove_handle(connections->multi, easy.get());
  give_back(std::move(connections));
  return outcome;
}

}  // namespace ac
