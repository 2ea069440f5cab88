#include "runtime/route/remote_pool.h"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <optional>

#include "runtime/core/check.h"

namespace ac {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLookEvery{5000};     // at one server's load
constexpr milliseconds kLookAgain{60000};    // at one that said nothing
constexpr milliseconds kLookPatience{300};

class RemotePool final : public RemoteClient {
 public:
  RemotePool(std::vector<std::unique_ptr<RemoteClient>> servers, const Clock& clock)
      : clock_(clock) {
    for (auto& server : servers) servers_.push_back({.client = std::move(server)});
  }

  Result<RemoteAnswer> complete(const RemoteRequest& request) override;
  Result<std::vector<std::string>> list_models() override;
  // Of the server that would be asked.
  Result<double> load(milliseconds patience) override {
    return servers_[order().front()].client->load(patience);
  }
  bool available() const override {
    return std::any_of(servers_.begin(), servers_.end(),
                       [](const Server& server) { return server.client->available(); });
  }
  const std::string& model() const override { return servers_.front().client->model(); }

 private:
  struct Server {
    std::unique_ptr<RemoteClient> client{};
    double load = 0;  // when last looked at
    std::optional<Clock::TimePoint> look_at{};
    int n_ours = 0;  // that run
  };
  void look();
  Result<RemoteAnswer> ask(Server& server, const RemoteRequest& request);
  std::vector<size_t> order() const;

  const Clock& clock_;
  mutable std::mutex mutex_;  // guards what follows, but for the clients
  std::vector<Server> servers_;
};

// At most one server before each question, so that a question waits for one look at most.
void RemotePool::look() {
  size_t which = servers_.size();
  {
    const std::lock_guard lock(mutex_);
    const Clock::TimePoint now = clock_.now();
    for (size_t i = 0; i < servers_.size(); ++i) {
      const Server& server = servers_[i];
      if (!server.client->available() || (server.look_at && *server.look_at > now)) continue;
      // nullopt comes before every time.
      if (which == servers_.size() || server.look_at < servers_[which].look_at) which = i;
    }
    if (which == servers_.size()) return;
    servers_[which].look_at = now + kLookEvery;
  }
  const Result<double> load = servers_[which].client->load(kLookPatience);
  const std::lock_guard lock(mutex_);
  servers_[which].load = load ? *load : 0;
  // Those of ours that run there are in its figure.
  if (load) servers_[which].load -= std::min(*load, static_cast<double>(servers_[which].n_ours));
  if (!load) servers_[which].look_at = clock_.now() + kLookAgain;
}

Result<RemoteAnswer> RemotePool::ask(Server& server, const RemoteRequest& request) {
  struct Counted {
    std::mutex& mutex;
    int& n;
    Counted(std::mutex& m, int& count) : mutex(m), n(count) {
      const std::lock_guard lock(mutex);
      ++n;
    }
    ~Counted() {
      const std::lock_guard lock(mutex);
      --n;
    }
  } const counted(mutex_, server.n_ours);
  return server.client->complete(request);
}

// Which to ask first. Equal loads: in the order in which they are named.
std::vector<size_t> RemotePool::order() const {
  const std::lock_guard lock(mutex_);
  std::vector<size_t> order(servers_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto busy = [&](size_t i) { return servers_[i].load + servers_[i].n_ours; };
  // As they are now: one that fails while they are sorted must not change the order.
  std::vector<int> up;
  for (const Server& server : servers_) up.push_back(server.client->available() ? 1 : 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return up[a] != up[b] ? up[a] > up[b] : busy(a) < busy(b);
  });
  return order;
}

Result<RemoteAnswer> RemotePool::complete(const RemoteRequest& request) {
  look();
  // Nobody else is asked once one has begun: two beginnings are no answer, and both would be paid for.
  bool begun = false;
  RemoteRequest passed = request;
  passed.begun = &begun;
  std::optional<Error> last;
  for (const size_t i : order()) {
    Server& server = servers_[i];
    // Paused servers come last, and say so at once.
    Result<RemoteAnswer> answer = ask(server, passed);
    if (begun && request.begun != nullptr) *request.begun = true;
    if (answer || begun || answer.error().code != ErrorCode::kRemote) return answer;
    last = last ? Error{ErrorCode::kRemote, last->message + "; " + answer.error().message}
                : answer.error();
    if (request.cancel != nullptr && request.cancel->raised()) break;
  }
  return *last;
}

Result<std::vector<std::string>> RemotePool::list_models() {
  std::optional<Error> last;
  for (const size_t i : order()) {
    auto models = servers_[i].client->list_models();
    if (models) return models;
    last = models.error();
  }
  return *last;
}

}  // namespace

std::unique_ptr<RemoteClient> pool_of(std::vector<std::unique_ptr<RemoteClient>> servers,
                                      const Clock& clock) {
  AC_CHECK(!servers.empty());
  return std::make_unique<RemotePool>(std::move(servers), clock);
}

Result<std::unique_ptr<RemoteClient>> make_remote_client(const RemoteOptions& options,
                                                         const Clock& clock) {
  if (options.url.find(',') == std::string::npos) return RemoteClient::create(options, clock);
  std::vector<std::unique_ptr<RemoteClient>> servers;
  std::string_view rest = options.url;
  while (true) {
    const size_t end = std::min(rest.find(','), rest.size());
    std::string_view url = rest.substr(0, end);
    while (url.starts_with(' ')) url.remove_prefix(1);
    while (url.ends_with(' ')) url.remove_suffix(1);
    RemoteOptions of_one = options;
    of_one.url = url;
    AC_TRY(std::unique_ptr<RemoteClient> server, RemoteClient::create(std::move(of_one), clock));
    servers.push_back(std::move(server));
    if (end == rest.size()) return pool_of(std::move(servers), clock);
    rest.remove_prefix(end + 1);
  }
}

}  // namespace ac
