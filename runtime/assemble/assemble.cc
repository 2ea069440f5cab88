#include "runtime/assemble/assemble.h"

#include <chrono>
#include <cstdlib>

#include "models/store/gguf.h"
#include "models/store/zoo.h"
#include "runtime/assemble/shipped.h"
#include "runtime/core/file.h"
#include "runtime/core/log.h"

namespace ac {
namespace {

constexpr uint64_t kKeyFileBytes = 64u << 10;

KvFormat kv_format_from(std::string_view name) {
  if (name == "q8_0") return KvFormat::kQ8_0;
  if (name == "f32") return KvFormat::kF32;
  return KvFormat::kF16;
}

Verify verify_from(std::string_view name) {
  if (name == "no") return Verify::kNo;
  return name == "escalate" ? Verify::kEscalate : Verify::kMark;
}

LogLevel level_from(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "error") return LogLevel::kError;
  if (name == "off") return LogLevel::kOff;
  return LogLevel::kWarning;
}

uint64_t memory_limit_bytes(const Settings& settings) {
  return static_cast<uint64_t>(settings.integer("engine.memory_limit_mb")) << 20;
}

std::chrono::milliseconds milliseconds(const Settings& settings, std::string_view name) {
  return std::chrono::milliseconds(settings.integer(name));
}

Result<Secret> read_api_key(const Settings& settings) {
  if (const std::string& path = settings.text("remote.api_key_file"); !path.empty()) {
    auto text = read_file(path, kKeyFileBytes);
    if (!text) return with_context(text.error(), "remote.api_key_file");
    AC_TRY_STATUS(check_private(path));
    std::string key = without_blanks_around(*text);
    if (key.empty()) return fail(ErrorCode::kInvalidArgument, "{}: is empty, expected a key", path);
    return Secret(std::move(key));
  }
  const std::string& name = settings.text("remote.api_key_env");
  const char* key = name.empty() ? nullptr : std::getenv(name.c_str());
  if (key != nullptr && *key != '\0') return Secret(without_blanks_around(key));
  if (!name.empty() && !settings.is_default("remote.api_key_env")) {
    return fail(ErrorCode::kInvalidArgument, "{}: remote.api_key_env names {}, which is not set",
                settings.origin("remote.api_key_env"), name);
  }
  return Secret();
}

std::string file_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

// A file's name as a variant's: "stories260K.gguf" -> "stories260K".
std::string variant_id_of(std::string_view path) {
  std::string name = file_name(path);
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name.empty() ? "model" : name;
}

Result<std::shared_ptr<const Gates>> gates_of(const Checkpoint& checkpoint,
                                              const std::string& path) {
  auto gates = Gates::from_checkpoint(checkpoint);
  if (!gates) return with_context(gates.error(), path);
  return std::make_shared<const Gates>(*std::move(gates));
}

// Only where a doubtful draft is replaced is there something to decide.
std::optional<DraftUse> draft_use_from(const Settings& settings) {
  if (settings.text("route.verify") != "escalate") return std::nullopt;
  return DraftUse{.probe = settings.yes("route.probe"),
                  .second = settings.yes("route.second_draft"),
                  .cascade = settings.yes("route.cascade")};
}

SpendingLimits limits_from(const Settings& settings) {
  return {.usd_per_day = settings.number("budget.usd_per_day"),
          .usd_per_month = settings.number("budget.usd_per_month")};
}

// nullptr where nobody wants it: `source` as in RouterOptions, and no limit. Errors:
// kInvalidArgument (limits of what costs nothing, or without a ledger to keep them with), those of
// Ledger::open where there is a limit.
Result<std::shared_ptr<Ledger>> ledger_from(const Settings& settings, const TokenPrices& prices,
                                            std::string_view source) {
  for (const std::string_view name : {"budget.usd_per_day", "budget.usd_per_month",
                                      "budget.usd_per_workflow", "budget.usd_per_success"}) {
    if (settings.number(name) > 0 && prices.of(1, 1) == 0) {
      return fail(ErrorCode::kInvalidArgument,
                  "{}: {} is set, but the remote costs nothing: expected "
                  "usd_per_million_prompt_tokens and usd_per_million_completion_tokens in [remote], "
                  "or the accelerator's in [cost]",
                  settings.origin(name), name);
    }
  }
  const SpendingLimits limits = limits_from(settings);
  const bool is_limited = limits.usd_per_day > 0 || limits.usd_per_month > 0;
  const bool is_kept = settings.yes("ledger.keep");
  if (!is_limited && (!is_kept || source.empty())) return std::shared_ptr<Ledger>();
  const std::string path = ledger_path(settings);
  if (is_limited && (!is_kept || path.empty())) {
    return fail(ErrorCode::kInvalidArgument,
                "a budget by day or month needs the ledger: {}",
                is_kept ? "file in [ledger] is not set and there is no home folder"
                        : "keep in [ledger] is no");
  }
  if (path.empty()) return std::shared_ptr<Ledger>();
  Result<std::shared_ptr<Ledger>> ledger = Ledger::open(path, system_clock());
  if (ledger || is_limited) return ledger;
  log_warning("nothing is written down: {}", ledger.error().message);
  return std::shared_ptr<Ledger>();
}

Judge judge_from(std::shared_ptr<const Gates> gates, const Settings& settings,
                 const UseLearner* learner) {
  const JudgeOptions options{.paper = settings.text("route.gate") == "paper",
                             .drafts = draft_use_from(settings),
                             .target_success = settings.number("route.target_success"),
                             .target_confidence = settings.number("route.target_confidence")};
  JudgeMade made = make_judge(std::move(gates), options,
                              learner != nullptr ? learner->learning() : nullptr);
  if (made.promised && !made.promised->allowance) {
    log_warning(
        "{:.1f} % of the full model's success cannot be promised with {:.0f} % confidence from {} "
        "labels: every prompt counts as hard (target_success, target_confidence)",
        100 * options.target_success, 100 * options.target_confidence, made.promised->n_rows);
  }
  return std::move(made.judge);
}

}  // namespace

void use_log_settings(const Settings& settings) {
  set_log_level(level_from(settings.text("log.level")));
  for (const std::string& warning : settings.warnings()) log_warning("{}", warning);
}

std::string without_blanks_around(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1));
}

std::string state_folder() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/agentcompress";
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? std::string(home) + "/.local/state/agentcompress" : "";
}

std::string ledger_path(const Settings& settings) {
  if (!settings.text("ledger.file").empty()) return settings.text("ledger.file");
  const std::string folder = state_folder();
  return folder.empty() ? "" : folder + "/ledger.db";
}

TokenPrices full_model_prices(const Settings& settings) {
  const TokenPrices asked = {
      .usd_per_million_prompt_tokens = settings.number("remote.usd_per_million_prompt_tokens"),
      .usd_per_million_completion_tokens =
          settings.number("remote.usd_per_million_completion_tokens")};
  const double tokens_per_hour = 3600 * settings.number("cost.accelerator_tokens_per_s");
  if (asked.of(1, 1) > 0 || tokens_per_hour <= 0) return asked;
  const double usd_per_million =
      1e6 * settings.number("cost.accelerator_usd_per_hour") / tokens_per_hour;
  return {usd_per_million, usd_per_million};
}

std::string learned_path(const Settings& settings) {
  if (!settings.text("route.learned_file").empty()) return settings.text("route.learned_file");
  const std::string folder = state_folder();
  return folder.empty() ? "" : folder + "/learned.jsonl";
}

EngineOptions engine_options(const Settings& settings) {
  EngineOptions options;
  if (const std::string folder = state_folder(); !folder.empty()) {
    options.choices_file = folder + "/devices.json";
  }
  options.device = settings.text("engine.device");
  options.backend = settings.text("engine.backend");
  options.n_threads = static_cast<int>(settings.integer("engine.threads"));
  options.n_context = static_cast<int32_t>(settings.integer("engine.context"));
  options.prefill_chunk = static_cast<int32_t>(settings.integer("engine.prefill_chunk"));
  options.kv_format = kv_format_from(settings.text("engine.kv_format"));
  options.memory_limit_bytes = memory_limit_bytes(settings);
  return options;
}

GenerateOptions generation_from(const Settings& settings) {
  GenerateOptions options;
  options.max_tokens = static_cast<int32_t>(settings.integer("generate.max_tokens"));
  options.sampler.temperature = static_cast<float>(settings.number("generate.temperature"));
  options.sampler.top_k = static_cast<int32_t>(settings.integer("generate.top_k"));
  options.sampler.top_p = static_cast<float>(settings.number("generate.top_p"));
  options.sampler.min_p = static_cast<float>(settings.number("generate.min_p"));
  options.sampler.repeat_penalty = static_cast<float>(settings.number("generate.repeat_penalty"));
  options.sampler.seed = static_cast<uint64_t>(settings.integer("generate.seed"));
  return options;
}

Result<RemoteOptions> remote_options(const Settings& settings) {
  RemoteOptions options;
  options.url = settings.text("remote.url");
  if (options.url.empty() || settings.yes("privacy.offline")) {
    options.url.clear();
    return options;
  }
  options.model = settings.text("remote.model");
  AC_TRY(options.api_key, read_api_key(settings));
  options.ca_file = settings.text("remote.ca_file");
  options.proxy = settings.text("remote.proxy");
  options.connect_timeout = milliseconds(settings, "remote.connect_timeout_ms");
  options.first_event_timeout = milliseconds(settings, "remote.first_event_timeout_ms");
  options.between_events_timeout = milliseconds(settings, "remote.between_events_timeout_ms");
  options.total_timeout = milliseconds(settings, "remote.total_timeout_ms");
  const TokenPrices prices = full_model_prices(settings);
  options.usd_per_million_prompt_tokens = prices.usd_per_million_prompt_tokens;
  options.usd_per_million_completion_tokens = prices.usd_per_million_completion_tokens;
  return options;
}

Result<Models> open_models(const Settings& settings, const std::optional<std::string>& model_file,
                           int32_t n_slots) {
  Models models;
  EngineOptions engine = engine_options(settings);
  engine.n_slots = n_slots;
  const std::string zoo_file = zoo_path(settings);
  if (model_file) {
    AC_TRY(Checkpoint checkpoint, open_checkpoint(*model_file));
    AC_TRY(models.variants,
           variant_of_checkpoint(variant_id_of(*model_file), std::move(checkpoint), engine));
  } else if (!zoo_file.empty()) {
    AC_TRY(std::shared_ptr<const Zoo> zoo, Zoo::open(zoo_file));
    AC_TRY(const std::optional<Checkpoint> predictor, zoo->open_predictor());
    if (predictor) {
      AC_TRY(models.gates, gates_of(*predictor, zoo->path()));
    }
    models.variants = variants_of_zoo(zoo, engine);
    models.zoo = std::move(zoo);
  }
  const std::string predictor_file = predictor_path(settings);
  if (models.gates == nullptr && models.variants != nullptr && !predictor_file.empty()) {
    AC_TRY(const Checkpoint checkpoint, open_gguf(predictor_file));
    AC_TRY(models.gates, gates_of(checkpoint, predictor_file));
  }
  return models;
}

Result<std::unique_ptr<Router>> make_router(Models models, RemoteOptions remote,
                                            const Settings& settings, RouterRun run) {
  RouterParts parts;
  if (models.gates != nullptr && models.gates->ngram && settings.yes("route.learn") &&
      settings.text("route.gate") == "default") {
    auto learner = UseLearner::open(models.gates, learned_path(settings));
    if (learner) {
      parts.learner = std::move(*learner);
    } else {
      log_warning("nothing is learned from use: {}", learner.error().message);
    }
  }
  parts.judge = judge_from(std::move(models.gates), settings, parts.learner.get());
  parts.variants = std::move(models.variants);
  RouterOptions options;
  options.prices = full_model_prices(settings);
  options.usd_per_success = settings.number("budget.usd_per_success");
  options.usd_per_workflow = settings.number("budget.usd_per_workflow");
  options.limits = limits_from(settings);
  options.source = std::move(run.source);
  options.local_watts = settings.number("cost.local_watts");
  AC_TRY(parts.ledger, ledger_from(settings, options.prices, options.source));
  parts.make_remote = remote_factory(std::move(remote));
  options.threshold = settings.number("route.confidence_threshold");
  options.verify = verify_from(settings.text("route.verify"));
  options.offline = settings.yes("privacy.offline");
  if (const std::string& rules = settings.text("privacy.never_forward"); !rules.empty()) {
    auto read = ForwardRules::load(rules);
    if (!read) return with_context(read.error(), settings.origin("privacy.never_forward"));
    options.forward_rules = std::move(*read);
  }
  options.memory_budget_bytes = memory_limit_bytes(settings);
  options.workflow_file = std::move(run.workflow_file);
  options.audit_share = settings.number("route.audit_share");
  return Router::create(std::move(parts), std::move(options));
}

}  // namespace ac
