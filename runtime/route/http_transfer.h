// One HTTP exchange over libcurl's multi interface, with a deadline for each of its stages.
//
// The deadlines are kept by our own clock in the loop, beside libcurl's: it has none for the
// first event or between events, and its connect timeout alone does not bound a silent name server
// (CURLOPT_QUICK_EXIT does).
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/cancel.h"
#include "runtime/core/clock.h"
#include "runtime/core/result.h"
#include "runtime/route/remote_client.h"

namespace ac {

// Where an exchange ended. What may be retried and what the breaker thinks of it depend on it.
enum class HttpStage {
  kDone,            // status 200 and the sink is content
  kConnect,         // no connection: name, refused, unreachable
  kConnectTimeout,  // the same, and it took all of the connect deadline
  kTls,             // a certificate or protocol that is not acceptable
  kStatus,          // any other status
  kTimeout,         // connected, then a deadline passed
  kProtocol,        // broken off, oversized, not what was asked for
  kCancelled,
};

// Receives the body of a 200. Errors end the exchange: kCancelled as such, others as kProtocol.
class HttpSink {
 public:
  virtual ~HttpSink() = default;
  // Media type in lower case, without parameters.
  virtual Status on_content_type(std::string_view media_type) = 0;
  virtual Status on_body(std::string_view bytes) = 0;
  // Grows with everything that shows that the answer is getting on; the deadlines of the first
  // event and between events look at it.
  virtual int64_t progress() const = 0;
  // Nothing more is needed; the rest is not waited for.
  virtual bool done() const = 0;
};

// What is sent, and what of the answer is read.
struct HttpQuestion {
  std::string url;
  const std::string* body = nullptr;  // JSON to POST; nullptr: GET
  uint64_t max_response_bytes = 8u << 20;
  Clock::TimePoint end;  // the total deadline
  const CancelFlag* cancel = nullptr;
};

struct HttpOutcome {
  HttpStage stage = HttpStage::kDone;
  std::string message;  // unless done: "connect: refused"; may hold what the server said, at length
  long status = 0;      // 0: none arrived
  bool context_full = false;  // the status came with the word that the prompt is too long
  std::string retry_after;
};

// Thread-safe: every call takes an idle connection cache of its own, or makes one.
class HttpTransport {
 public:
  // Of the options: key, CA file, proxy and the three stage deadlines.
  HttpTransport(const RemoteOptions& options, const Clock& clock);
  ~HttpTransport();

  HttpOutcome exchange(const HttpQuestion& request, HttpSink& sink);

 private:
  struct Connections;  // a multi handle
  struct Exchange;
  std::unique_ptr<Connections> take();
  void give_back(std::unique_ptr<Connections> connections);

  const RemoteOptions& options_;
  const Clock& clock_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connections>> idle_;
};

}  // namespace ac
