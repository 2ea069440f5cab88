#include "runtime/cli/setup.h"

#include <sys/stat.h>

#include <cerrno>
#include <chrono>

#include "runtime/cli/hardening.h"
#include "runtime/cli/terminal.h"
#include "runtime/core/log.h"
#include "runtime/route/workflow_book.h"

namespace ac::cli {

GenerateOptions generate_options(const Settings& settings) {
  GenerateOptions options = generation_from(settings);
  options.cancel = &interrupted();
  return options;
}

Result<Models> open_models(const Invocation& invocation, const Settings& settings,
                           int32_t n_slots) {
  AC_TRY(Models models, ac::open_models(settings, invocation.value("--model"), n_slots));
  if (models.variants == nullptr && settings.text("remote.url").empty()) {
    return usage_error(invocation.verb(),
                       "no model: give --model FILE.gguf or --zoo FILE, or set zoo in [route] or "
                       "url in [remote] of agentcompress.ini");
  }
  return models;
}

Result<std::shared_ptr<Ledger>> open_ledger(const Invocation& invocation,
                                            const Settings& settings) {
  const std::string path = ledger_path(settings);
  if (path.empty()) {
    return usage_error(invocation.verb(), "file in [ledger] is not set and there is no home folder");
  }
  // Looking makes none.
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 && errno == ENOENT) {
    return fail(ErrorCode::kNotFound, "{}: no answer was written down yet", path);
  }
  return Ledger::open(path, system_clock());
}

int64_t days_ago_ms(int64_t days) {
  constexpr int64_t kDayMs = 24 * 3600 * 1000;
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      system_clock().wall_now().time_since_epoch());
  return day_start_ms(now.count()) - days * kDayMs;
}

LedgerSpan last_days(int64_t days) {
  return days > 0 ? LedgerSpan{.from_ms = days_ago_ms(days - 1)} : LedgerSpan{};
}

Result<std::unique_ptr<Router>> make_router(const Invocation& invocation,
                                            const Settings& settings) {
  AC_TRY(Models models, open_models(invocation, settings));
  AC_TRY(RemoteOptions remote, remote_options(settings));
  AC_TRY(std::string workflows, workflow_file(invocation));
  harden(settings, remote);
  return make_router(std::move(models), std::move(remote), settings,
                     {.workflow_file = std::move(workflows),
                      .source = std::string(invocation.verb().name)});
}

void harden(const Settings& settings, const RemoteOptions& remote) {
  if (!remote.api_key.empty()) hide_memory();
  if (!settings.yes("privacy.offline")) return;
  if (const Status denied = deny_network_sockets(); !denied) log_debug("{}", denied.error().message);
}

Result<std::string> workflow_file(const Invocation& invocation) {
  const auto id = invocation.value("--workflow");
  if (!id) return std::string();
  if (!good_workflow_id(*id)) {
    return usage_error(invocation.verb(),
                       fmt::format("--workflow: expected 1 to {} bytes without control characters",
                                   kMaxWorkflowIdBytes));
  }
  if (state_folder().empty()) {
    return usage_error(invocation.verb(),
                       "--workflow: there is no home folder to remember its steps in");
  }
  return state_folder() + "/workflows.json";
}

Result<std::optional<std::string>> pinned(const Invocation& invocation) {
  std::optional<std::string> pin = invocation.value("--variant");
  for (const std::string_view flag : {"--local", "--remote"}) {
    if (!invocation.has(flag)) continue;
    if (pin)
      return usage_error(invocation.verb(), "--variant, --local and --remote exclude each other");
    pin = flag.substr(2);
  }
  return pin;
}

std::string_view reason_words(RouteReason reason) {
  switch (reason) {
    case RouteReason::kConfident:
      return "the smallest variant that will do";
    case RouteReason::kNotConfident:
      return "no local variant is confident enough";
    case RouteReason::kPinned:
      return "as asked";
    case RouteReason::kOffline:
      return "hard, but offline or without a remote";
    case RouteReason::kRemoteDown:
      return "hard, but the remote cannot be reached";
    case RouteReason::kNoPredictor:
      return "there is no predictor";
    case RouteReason::kContext:
      return "too long for the local variants";
    case RouteReason::kNoLocal:
      return "there is no local variant";
    case RouteReason::kDoubted:
      return "a local draft failed its checks";
    case RouteReason::kBudget:
      return "hard, but no more may be spent";
    case RouteReason::kTools:
      return "functions may be called";
    case RouteReason::kKeptHere:
      return "hard, but not to leave this machine";
  }
  return "";
}

Result<std::string> read_prompt(const Invocation& invocation) {
  std::string prompt;
  for (const std::string& word : invocation.arguments()) {
    if (!prompt.empty()) prompt += ' ';
    prompt += word;
  }
  if (prompt.empty() && stdin_is_terminal()) {
    return usage_error(invocation.verb(), "expected a prompt, as words or on standard input");
  }
  if (prompt.empty()) {
    AC_TRY(prompt, read_stdin(kPromptBytes));
    // What echo appends is not part of the question.
    if (prompt.ends_with('\n')) prompt.pop_back();
  }
  if (prompt.empty()) return usage_error(invocation.verb(), "the prompt is empty");
  return prompt;
}

}  // namespace ac::cli
