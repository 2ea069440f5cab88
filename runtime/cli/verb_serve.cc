// serve: the OpenAI-compatible server.
#include <array>
#include <atomic>
#include <map>
#include <chrono>
#include <thread>

#include "runtime/cli/page_facts.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/log.h"
#include "runtime/server/service.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {kModelOption, kVariantOption, kLocalOption, kRemoteOption};
constexpr std::chrono::milliseconds kDrain{30000};
// What the page's prices are for.
constexpr int64_t kUsualPromptTokens = 300, kUsualAnswerTokens = 200;
constexpr std::chrono::milliseconds kLook{50};  // how often Ctrl-C is looked for

bool is_loopback(std::string_view address) { return address == "127.0.0.1" || address == "::1"; }

// Without keys nobody else may be let in.
Status check_address(const Settings& settings) {
  const std::string& address = settings.text("server.address");
  if (!settings.text("server.keys_file").empty()) return {};
  if (!settings.text("server.hosts").empty() && !settings.yes("server.anonymous_spends")) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: hosts lets others in through a proxy: it needs keys_file in [server], or "
                "anonymous_spends = yes",
                settings.origin("server.hosts"));
  }
  if (is_loopback(address)) return {};
  return fail(ErrorCode::kInvalidArgument,
              "{}: address is '{}': another than 127.0.0.1 or ::1 needs keys_file in [server]",
              settings.origin("server.address"), address);
}

// nullptr: no keys. Errors: those of KeyRing::load.
Result<std::shared_ptr<const KeyRing>> keys_from(const Settings& settings) {
  const std::string& path = settings.text("server.keys_file");
  if (path.empty()) return std::shared_ptr<const KeyRing>();
  Result<KeyRing> keys = KeyRing::load(path);
  if (!keys) {
    return with_context(keys.error(),
                        fmt::format("{}: keys_file", settings.origin("server.keys_file")));
  }
  return std::make_shared<const KeyRing>(*std::move(keys));
}

std::vector<std::string> listed(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    std::string one = without_blanks_around(text.substr(0, end));
    if (!one.empty()) out.push_back(std::move(one));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// "gpt-4o=auto, big=remote". Errors: kInvalidArgument.
Result<std::map<std::string, std::string>> aliases_from(const Settings& settings) {
  std::map<std::string, std::string> aliases;
  for (const std::string& pair : listed(settings.text("server.aliases"))) {
    const size_t equals = pair.find('=');
    const std::string name = without_blanks_around(std::string_view(pair).substr(0, equals));
    const std::string meant =
        equals == std::string::npos
            ? ""
            : without_blanks_around(std::string_view(pair).substr(equals + 1));
    if (name.empty() || meant.empty()) {
      return fail(ErrorCode::kInvalidArgument, "{}: aliases has '{}', expected NAME=MODEL",
                  settings.origin("server.aliases"), pair);
    }
    aliases[name] = meant;
  }
  return aliases;
}

Result<int> run(const Invocation& invocation) {
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY_STATUS(check_address(settings));
  AC_TRY(Models models, open_models(invocation, settings,
                                    static_cast<int32_t>(settings.integer("server.together"))));
  std::vector<std::string> names = {"auto", "local", "remote"};
  std::string embeds;
  double dearest = -1;
  if (models.variants != nullptr) {
    for (const LocalVariant& variant : models.variants->variants()) {
      names.push_back(variant.cost.id);
      if (variant.cost.cost <= dearest) continue;
      dearest = variant.cost.cost;
      embeds = variant.cost.id;
    }
  }
  AC_TRY(const RemoteOptions remote, remote_options(settings));
  AC_TRY(std::shared_ptr<const KeyRing> keys, keys_from(settings));
  PageFacts page = page_facts(settings, models);
  AC_TRY(std::unique_ptr<Router> router,
         make_router(std::move(models), remote, settings, {.source = "serve"}));
  ServiceOptions options;
  options.generate = generate_options(settings);
  options.queue = static_cast<size_t>(settings.integer("server.queue"));
  options.answers = static_cast<size_t>(settings.integer("server.answers"));
  options.keys = std::move(keys);
  options.anonymous_spends = settings.yes("server.anonymous_spends");
  options.usd_per_prompt = full_model_prices(settings).of(kUsualPromptTokens, kUsualAnswerTokens);
  AC_TRY(options.aliases, aliases_from(settings));
  page.aliases = options.aliases;
  options.page = std::move(page);
  options.embeds = embeds;
  AC_TRY(options.pin, pinned(invocation));
  ChatService service(std::move(router), std::move(names), std::move(options));

  HttpServerOptions http;
  http.address = settings.text("server.address");
  http.port = static_cast<uint16_t>(settings.integer("server.port"));
  http.look_at_head = [&service](const HttpRequest& head) { return service.refusal_of_head(head); };
  http.at_stop = [&service] { service.take_no_more(); };
  http.at_overdue = [&service] { service.end_answers(); };
  AC_TRY(const std::unique_ptr<HttpServer> server,
         HttpServer::listen(
             http, [&service](HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
               service.handle(std::move(request), std::move(exchange));
             }));
  service.set_guard({.port = server->port(), .hosts = listed(settings.text("server.hosts"))});
  harden(settings, remote);
  // Before anybody may know that it is there, and end it.
  watch_terminations();
  const bool v6 = http.address.find(':') != std::string::npos;
  note_line(fmt::format("http://{}{}{}:{}/v1 is ready{}", v6 ? "[" : "", http.address,
                        v6 ? "]" : "", server->port(),
                        settings.yes("privacy.offline") ? "; offline only" : ""));
  if (!is_loopback(http.address)) {
    note_line("whoever reaches this address and has a key may ask; nothing on the way is encrypted "
              "unless a proxy with TLS stands in front");
  }
  std::atomic<bool> ended = false;
  std::thread watcher([&] {
    while (!ended && !interrupted().raised()) std::this_thread::sleep_for(kLook);
    server->stop();
  });
  server->run(kDrain);
  ended = true;
  watcher.join();
  return 0;
}

}  // namespace

constinit const Verb kServe = {
    .name = "serve",
    .summary = "answer OpenAI's API on a port of this machine",
    .options = kOptions,
    .sections = "server engine generate route budget ledger cost remote privacy log",
    .run = run,
};

}  // namespace ac::cli
