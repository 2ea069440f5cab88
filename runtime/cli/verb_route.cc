// route: where a prompt would go, and why; nothing is run and no socket is opened.
#include <array>
#include <nlohmann/json.hpp>

#include "models/predictor/predictor.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    kModelOption,
    kVariantOption,
    kLocalOption,
    kRemoteOption,
    Option{"--explain", "", "show what the predictor saw and said"},
    Option{"--batch", "",
           "JSON Lines on standard input, {\"prompt\": ...} each; one decision a line"},
    Option{"--json", "", "as JSON"},
};

std::string_view place_name(Place place) { return place == Place::kLocal ? "local" : "remote"; }

// "local q4_0" or "remote full-model".
std::string target_of(const Decision& decision, const Settings& settings) {
  const bool local = decision.route.place == Place::kLocal;
  const std::string& name = local ? decision.route.variant : settings.text("remote.model");
  return name.empty() ? std::string(place_name(decision.route.place))
                      : fmt::format("{} {}", place_name(decision.route.place), name);
}

OrderedJson to_json(const Decision& decision, const std::vector<std::string>& tiers,
                    const Settings& settings) {
  OrderedJson object;
  object["place"] = place_name(decision.route.place);
  object["variant"] = decision.route.variant;
  if (decision.route.place == Place::kRemote) object["model"] = settings.text("remote.model");
  object["reason"] = route_reason_name(decision.route.reason);
  object["confidence"] =
      decision.prediction ? OrderedJson(decision.route.confidence) : OrderedJson(nullptr);
  object["threshold"] = settings.number("route.confidence_threshold");
  object["degraded"] = decision.route.degraded;
  if (decision.prediction) {
    OrderedJson& success = object["success"] = OrderedJson::object();
    for (size_t i = 0; i < decision.prediction->success.size() && i < tiers.size(); ++i) {
      success[tiers[i]] = decision.prediction->success[i];
    }
    object["predict_us"] = decision.predict_seconds * 1e6;
  }
  return object;
}

void explain(const Decision& decision, const std::vector<std::string>& tiers,
             std::string_view prompt, const Settings& settings) {
  std::string pieces;
  for (const std::string& piece : prompt_pieces(prompt)) {
    pieces += fmt::format("{}{}", pieces.empty() ? "" : " ", piece);
  }
  print("seen        {}\n", pieces);
  if (decision.prediction) {
    for (size_t i = 0; i < decision.prediction->success.size() && i < tiers.size(); ++i) {
      print("{:<11} {:.3f} predicted success\n", tiers[i], decision.prediction->success[i]);
    }
    print("predicted   in {:.0f} us\n", decision.predict_seconds * 1e6);
  }
  print("threshold   {:g} ({})\n", settings.number("route.confidence_threshold"),
        settings.origin("route.confidence_threshold"));
  for (const Candidate& candidate : decision.candidates) {
    print("candidate   {:<16} {:.3g} bit-operations per token{}\n", candidate.id, candidate.cost,
          decision.prediction ? fmt::format(", success {:.3f}", candidate.success) : "");
  }
  print("decision    {}: {} ({}){}\n", target_of(decision, settings),
        route_reason_name(decision.route.reason), reason_words(decision.route.reason),
        decision.route.degraded ? ", degraded" : "");
}

struct Routing {
  const Settings& settings;
  RouterSetup setup;
  std::optional<std::string> pin;

  Result<Decision> decide(std::string prompt) const {
    RouteRequest request;
    request.messages.push_back({"user", std::move(prompt)});
    request.pin = pin;
    return setup.router->decide(request);
  }
};

Result<OrderedJson> decide_line(const Routing& routing, std::string_view line) {
  AC_TRY(const Json object, parse_json(line));
  AC_TRY(std::string prompt, json_string(object, "prompt"));
  AC_TRY(const Decision decision, routing.decide(std::move(prompt)));
  OrderedJson out;
  if (const Json* id = json_find(object, "id")) out["id"] = *id;
  out.update(to_json(decision, routing.setup.tiers, routing.settings));
  return out;
}

Result<int> run_batch(const Routing& routing) {
  AC_TRY(const std::string text, read_stdin(kPromptBytes));
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto decided = decide_line(routing, line);
    if (!decided) {
      return with_context(decided.error(), fmt::format("standard input, line {}", number));
    }
    if (!output().write_line(json_line(*decided))) return 0;
  }
  return 0;
}

Result<int> run(const Invocation& invocation) {
  AC_TRY(const Settings settings, invocation.load_settings());
  const bool batch = invocation.has("--batch");
  if (batch && !invocation.arguments().empty()) {
    return usage_error(invocation.verb(), "--batch reads standard input, not arguments");
  }
  std::string prompt;
  if (!batch) {
    AC_TRY(prompt, read_prompt(invocation));
  }
  Routing routing{settings, {}, {}};
  AC_TRY(routing.pin, pinned(invocation));
  AC_TRY(routing.setup, make_router(invocation, settings));
  if (batch) return run_batch(routing);
  AC_TRY(const Decision decision, routing.decide(prompt));
  if (invocation.has("--json")) {
    output().write_line(json_line(to_json(decision, routing.setup.tiers, settings)));
  } else if (invocation.has("--explain")) {
    explain(decision, routing.setup.tiers, prompt, settings);
  } else {
    print("{} ({})\n", target_of(decision, settings), reason_words(decision.route.reason));
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
    .sections = "engine route remote privacy log",
    .run = run,
};

}  // namespace ac::cli
