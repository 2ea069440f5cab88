// ask: one question, one answer on stdout, its receipt on stderr.
#include <array>
#include <nlohmann/json.hpp>

#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"
#include "runtime/server/response_format.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    kModelOption,
    kVariantOption,
    kLocalOption,
    kRemoteOption,
    kSystemOption,
    kWorkflowOption,
    Option{"--level", "N", "of a nested variant: precision, 0 (4 bits) to 100 (8 bits)"},
    Option{"--raw", "", "continue the text as it is, with no chat template"},
    Option{"--stop", "TEXT", "end the answer before this text", true},
    Option{"--json-schema", "FILE", "answer with JSON that is valid by this schema"},
    Option{"--json", "", "one JSON object with text and receipt, at the end"},
};

constexpr uint64_t kSchemaBytes = 1 << 20;

Result<RouteRequest> make_request(const Invocation& invocation, const Settings& settings) {
  RouteRequest request;
  AC_TRY(std::string prompt, read_prompt(invocation));
  if (invocation.has("--raw")) {
    if (invocation.has("--system")) {
      return usage_error(invocation.verb(), "--raw has no place for --system");
    }
    request.raw_prompt = std::move(prompt);
  } else {
    if (auto system = invocation.value("--system")) {
      request.messages.push_back({"system", *std::move(system)});
    }
    request.messages.push_back({"user", std::move(prompt)});
  }
  request.options = generate_options(settings);
  request.options.stop = invocation.values("--stop");
  request.workflow = invocation.value("--workflow").value_or("");
  if (const auto file = invocation.value("--json-schema")) {
    AC_TRY(const std::string text, read_file(*file, kSchemaBytes));
    // The guarded reader sees it first; the other one keeps the order of properties.
    if (const auto checked = parse_json(text); !checked) return with_context(checked.error(), *file);
    auto format = format_of_schema(OrderedJson::parse(text, nullptr, false), "answer");
    if (!format) return with_context(format.error(), *file);
    request.options.grammar = format->grammar;
    request.response_format = format->wire;
  }
  AC_TRY(request.pin, pinned(invocation));
  if (invocation.has("--level")) {
    if (!invocation.has("--variant") && !invocation.has("--model")) {
      return usage_error(invocation.verb(), "--level needs a nested --variant or --model");
    }
    AC_TRY(const int64_t level, invocation.integer("--level", 0, 0, kFullLevel));
    request.options.level_at = [level](int32_t) { return static_cast<int32_t>(level); };
  }
  return request;
}

Result<int> run(const Invocation& invocation) {
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(RouteRequest request, make_request(invocation, settings));
  const bool as_json = invocation.has("--json");
  bool ends_line = true;
  watch_interrupts();
  Waiting waiting("thinking");
  if (!as_json) {
    request.options.on_text = [&](std::string_view piece) {
      waiting.stop();
      if (!piece.empty()) ends_line = piece.back() == '\n';
      return output().write_untrusted(piece) && output().flush();
    };
  }
  AC_TRY(const std::unique_ptr<Router> router, make_router(invocation, settings));
  AC_TRY(const RoutedAnswer answer, router->answer(request));
  waiting.stop();
  if (as_json) {
    OrderedJson object;
    object["text"] = answer.text;
    object["receipt"] = answer.receipt.to_json();
    if (answer.interrupted) object["error"] = answer.interrupted->message;
    output().write_line(json_line(object));
  } else {
    if (!ends_line) output().write("\n");
    output().flush();
    if (output().usable()) note_line(answer.receipt.format_line());
  }
  if (answer.interrupted) return *answer.interrupted;
  return interrupted().raised() ? kExitInterrupted : 0;
}

}  // namespace

constinit const Verb kAsk = {
    .name = "ask",
    .arguments = "[PROMPT...]",
    .max_arguments = -1,
    .summary = "answer a question, locally where a local model will do",
    .options = kOptions,
    .sections = "engine generate route budget ledger cost remote privacy log",
    .run = run,
};

}  // namespace ac::cli
