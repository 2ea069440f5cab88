// route: where a prompt would go, and why; nothing is run and no socket is opened.
#include <array>
#include <nlohmann/json.hpp>

#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"
#include "runtime/route/explain.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    kModelOption,
    kVariantOption,
    kLocalOption,
    kRemoteOption,
    kWorkflowOption,
    Option{"--explain", "", "show what was read and predicted, and which words mattered"},
    Option{"--batch", "",
           "JSON Lines on standard input, {\"prompt\": ...} each; a decision a line"},
    Option{"--json", "", "as JSON"},
};

class Judging {
 public:
  static Result<Judging> create(const Invocation& invocation, const Settings& settings) {
    Judging judging;
    AC_TRY(Models models, open_models(invocation, settings));
    judging.gates_ = models.gates;
    // Nobody is asked, so no key is read.
    RemoteOptions remote;
    remote.url = settings.text("remote.url");
    AC_TRY(std::string workflows, workflow_file(invocation));
    judging.workflow_ = invocation.value("--workflow").value_or("");
    AC_TRY(judging.router_, make_router(std::move(models), std::move(remote), settings,
                                        {.workflow_file = std::move(workflows)}));
    AC_TRY(judging.pin_, pinned(invocation));
    judging.options_ = generate_options(settings);
    judging.remote_model_ = settings.text("remote.model");
    judging.with_pieces_ = invocation.has("--explain");
    return judging;
  }

  Result<RouteExplanation> judge(const std::string& prompt) const {
    RouteRequest request;
    request.messages = {{"user", prompt}};
    request.options = options_;
    request.pin = pin_;
    request.workflow = workflow_;
    AC_TRY(Decision decision, router_->decide(request));
    return explain_route(gates_.get(), prompt, std::move(decision));
  }

  OrderedJson to_json(const RouteExplanation& explanation) const {
    OrderedJson object = explanation_to_json(explanation);
    if (!with_pieces_) object.erase("pieces");
    if (explanation.decision.route.place == Place::kRemote) object["model"] = remote_model_;
    return object;
  }

  // "local q4_0 (why)"
  std::string line(const Route& route) const {
    const bool local = route.place == Place::kLocal;
    const std::string& name = local ? route.variant : remote_model_;
    return fmt::format("{}{}{} ({})", local ? "local" : "remote", name.empty() ? "" : " ", name,
                       reason_words(route.reason));
  }

 private:
  std::shared_ptr<const Gates> gates_;
  std::unique_ptr<Router> router_;
  std::optional<std::string> pin_;
  std::string workflow_;
  GenerateOptions options_;
  std::string remote_model_;
  bool with_pieces_ = false;
};

Result<OrderedJson> judge_line(const Judging& judging, std::string_view line) {
  AC_TRY(const Json object, parse_json(line));
  AC_TRY(const std::string prompt, json_string(object, "prompt"));
  AC_TRY(const RouteExplanation explanation, judging.judge(prompt));
  OrderedJson out;
  if (const Json* id = json_find(object, "id")) out["id"] = *id;
  out.update(judging.to_json(explanation));
  return out;
}

Result<int> run_batch(const Judging& judging) {
  AC_TRY(const std::string text, read_stdin(kPromptBytes));
  std::string_view rest = text;
  for (int number = 1; !rest.empty() && output().usable(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto judged = judge_line(judging, line);
    if (!judged)
      return with_context(judged.error(), fmt::format("standard input, line {}", number));
    output().write_line(json_line(*judged));
  }
  return 0;
}

Result<int> run(const Invocation& invocation) {
  const bool batch = invocation.has("--batch");
  if (batch && !invocation.arguments().empty()) {
    return usage_error(invocation.verb(), "--batch reads standard input, not arguments");
  }
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const Judging judging, Judging::create(invocation, settings));
  if (batch) return run_batch(judging);
  AC_TRY(const std::string prompt, read_prompt(invocation));
  AC_TRY(const RouteExplanation explanation, judging.judge(prompt));
  if (invocation.has("--json")) {
    output().write_line(json_line(judging.to_json(explanation)));
  } else if (invocation.has("--explain")) {
    for (const std::string& line : explanation_lines(explanation)) output().write_line(line);
  } else {
    output().write_line(judging.line(explanation.decision.route));
  }
  return 0;
}

}  // namespace

constinit const Verb kRoute = {
    .name = "route",
    .arguments = "[PROMPT...]",
    .max_arguments = -1,
    .summary = "say where a prompt would go, without answering it",
    .options = kOptions,
    .sections = "engine generate route budget ledger cost remote privacy log",
    .run = run,
};

}  // namespace ac::cli
