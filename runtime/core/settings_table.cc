// The table of settings: one row each.
#include <algorithm>
#include <array>
#include <cctype>

#include "runtime/core/settings.h"

namespace ac {
namespace {

constexpr double kMaxBytesMib = 16.0 * 1024 * 1024;  // 16 TiB
constexpr double kHourMs = 3600.0 * 1000;
constexpr auto kText = SettingType::kText;
constexpr auto kPath = SettingType::kPath;
constexpr auto kInteger = SettingType::kInteger;
constexpr auto kNumber = SettingType::kNumber;
constexpr auto kYesNo = SettingType::kYesNo;
constexpr auto kChoice = SettingType::kChoice;

// clang-format off
constexpr auto kRows = std::to_array<SettingRow>({
    {"engine", "backend", kChoice, "", "auto", 0, 0, "auto|cpu|vulkan", "what local variants run on"},
    {"engine", "device", kText, "", "", 0, 0, "", "a part of the name of the device that the backend shall use; empty: the best"},
    {"engine", "threads", kInteger, "", "0", 0, 1024, "", "worker threads; 0: one per core"},
    {"engine", "context", kInteger, "tokens", "0", 0, 1 << 20, "", "longest conversation; 0: the model's, at most 4096"},
    {"engine", "prefill_chunk", kInteger, "tokens", "512", 1, 65536, "", "prompt tokens computed in one step"},
    {"engine", "kv_format", kChoice, "", "f16", 0, 0, "f16|q8_0|f32", "how keys and values are kept"},
    {"engine", "memory_limit_mb", kInteger, "MiB", "0", 0, kMaxBytesMib, "", "most memory a variant may take; 0: what is available"},

    {"generate", "max_tokens", kInteger, "tokens", "1024", 1, 1 << 20, "", "longest answer"},
    {"generate", "temperature", kNumber, "", "0", 0, 100, "", "0: always the likeliest token"},
    {"generate", "top_k", kInteger, "", "0", 0, 1 << 20, "", "sample from the k likeliest tokens; 0: off"},
    {"generate", "top_p", kNumber, "", "1", 0, 1, "", "sample from the likeliest tokens that reach this probability"},
    {"generate", "min_p", kNumber, "", "0", 0, 1, "", "drop tokens below this share of the likeliest one's probability"},
    {"generate", "repeat_penalty", kNumber, "", "1", 0.01, 10, "", "divides the score of recent tokens; 1: off"},
    {"generate", "seed", kInteger, "", "0", 0, 9007199254740992.0, "", "of the sampler"},

    {"route", "zoo", kPath, "", "", 0, 0, "", "the archive of local variants"},
    {"route", "shipped_zoo", kChoice, "", "yes", 0, 0, "yes|no", "where neither a zoo nor a remote is set, use the zoo that came with the program"},
    {"route", "predictor", kPath, "", "", 0, 0, "", "where the zoo has none; empty: with a remote, one for natural prompts that came with the program"},
    {"route", "gate", kChoice, "", "default", 0, 0, "default|paper", "what judges prompts: n-grams of all of it, or the paper's network"},
    {"route", "target_success", kNumber, "", "0.962", 0.01, 0.9999, "", "share of the full model's success to keep (gate = default)"},
    {"route", "target_confidence", kNumber, "", "0.9", 0.01, 0.9999, "", "with which target_success is promised"},
    {"route", "confidence_threshold", kNumber, "", "0.7", 0, 1, "", "predicted success that a local variant must reach (gate = paper)"},
    {"route", "verify", kChoice, "", "mark", 0, 0, "no|mark|escalate", "check local answers: say what is doubtful, or ask the full model instead"},
    {"route", "probe", kYesNo, "", "yes", 0, 0, "", "verify = escalate: let a variant be stopped once it has read the prompt"},
    {"route", "cascade", kYesNo, "", "yes", 0, 0, "", "verify = escalate: let a cheaper variant draft first where it is likely to be right"},
    {"route", "second_draft", kYesNo, "", "no", 0, 0, "", "verify = escalate: ask another variant before a doubtful answer goes to the full model"},

    {"route", "learn", kYesNo, "", "yes", 0, 0, "", "go on learning: from /good and /bad in chat; an idle server from prompts it escalated, answered here too, and from audits"},
    {"route", "audit_share", kNumber, "", "0.05", 0, 1, "", "share of local answers that an idle server asks the full model to confirm"},
    {"route", "learned_file", kPath, "", "", 0, 0, "", "where that is kept (hashed features, no text); empty: learned.jsonl in the folder for state"},

    {"budget", "usd_per_day", kNumber, "USD", "0", 0, 1e9, "", "most that the remote may cost in a day (UTC); 0: no limit"},
    {"budget", "usd_per_month", kNumber, "USD", "0", 0, 1e9, "", "most that the remote may cost in a month (UTC); 0: no limit"},
    {"budget", "usd_per_workflow", kNumber, "USD", "0", 0, 1e9, "", "most that the remote may cost in one workflow; 0: no limit"},
    {"budget", "usd_per_success", kNumber, "USD", "0", 0, 1e9, "", "what one more right answer is worth: the remote is not asked for less; 0: whatever it costs"},

    {"ledger", "keep", kYesNo, "", "yes", 0, 0, "", "write down every answer's route, tokens, time and cost, and never a word of it"},
    {"ledger", "file", kPath, "", "", 0, 0, "", "where; empty: ledger.db in the folder for state"},

    {"cost", "accelerator_usd_per_hour", kNumber, "USD", "0", 0, 1e6, "", "of the full model, where it has no price for tokens: what its accelerator costs"},
    {"cost", "accelerator_tokens_per_s", kNumber, "", "0", 0, 1e9, "", "and how many tokens it reads and writes, of all its users together"},
    {"cost", "local_watts", kNumber, "W", "30", 0, 1e5, "", "what this machine takes while it answers"},
    {"cost", "usd_per_kwh", kNumber, "USD", "0.3", 0, 1e4, "", "and what that costs"},

    {"remote", "url", kText, "", "", 0, 0, "", "base URL of the full model, https://host/v1; several servers of it: separated by commas; empty: none"},
    {"remote", "model", kText, "", "", 0, 0, "", "name of the full model there"},
    {"remote", "api_key_env", kText, "", "AGENTCOMPRESS_API_KEY", 0, 0, "", "environment variable that holds the key"},
    {"remote", "api_key_file", kPath, "", "", 0, 0, "", "file that holds the key"},
    {"remote", "ca_file", kPath, "", "", 0, 0, "", "certificates to trust instead of the system's"},
    {"remote", "proxy", kText, "", "", 0, 0, "", "http://HOST:PORT between here and the remote; the environment's is not used"},
    {"remote", "connect_timeout_ms", kInteger, "ms", "2000", 1, kHourMs, "", "until the connection stands"},
    {"remote", "first_event_timeout_ms", kInteger, "ms", "20000", 1, kHourMs, "", "until the first piece of the answer"},
    {"remote", "between_events_timeout_ms", kInteger, "ms", "15000", 1, kHourMs, "", "between two pieces of the answer"},
    {"remote", "total_timeout_ms", kInteger, "ms", "120000", 1, kHourMs, "", "until the answer is complete"},
    {"remote", "usd_per_million_prompt_tokens", kNumber, "USD", "0", 0, 1e6, "", "price of reading"},
    {"remote", "usd_per_million_completion_tokens", kNumber, "USD", "0", 0, 1e6, "", "price of writing"},

    {"server", "address", kText, "", "127.0.0.1", 0, 0, "", "address to listen on; another than 127.0.0.1 or ::1 needs keys_file"},
    {"server", "port", kInteger, "", "8080", 0, 65535, "", "port to listen on; 0: any that is free"},
    {"server", "aliases", kText, "", "", 0, 0, "", "other names of models, for clients that insist on theirs: gpt-4o=auto, big=remote"},
    {"server", "answers", kInteger, "", "8", 1, 256, "", "requests that are answered at the same time, here or by the remote"},
    {"server", "together", kInteger, "", "4", 1, 64, "", "answers of one local variant that are decoded together; each takes memory for its context"},
    {"server", "hosts", kText, "", "", 0, 0, "", "names and addresses beside this machine's own by which it may be asked: lab-42:8080, 192.0.2.7:8080"},
    {"server", "keys_file", kPath, "", "", 0, 0, "", "keys that clients must show: lines of NAME KEY, or NAME KEY local for one that may not have the remote asked"},
    {"server", "anonymous_spends", kYesNo, "", "no", 0, 0, "", "without keys: let other users of this machine have the remote asked, too"},
    {"server", "queue", kInteger, "", "32", 1, 65536, "", "requests that wait; one more is told to come again"},

    {"privacy", "offline", kYesNo, "", "no", 0, 0, "", "never use the network"},
    {"privacy", "never_forward", kPath, "", "", 0, 0, "", "file of what must not leave: a phrase or /an expression/ a line; prompts that hold one are answered here"},

    {"log", "level", kChoice, "", "warning", 0, 0, "debug|info|warning|error|off", "what is written to stderr"},
});
// clang-format on

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

}  // namespace

std::span<const SettingRow> setting_rows() { return kRows; }

const SettingRow* find_setting(std::string_view name) {
  for (const SettingRow& row : kRows) {
    if (name.size() == row.section.size() + 1 + row.key.size() && name.starts_with(row.section) &&
        name[row.section.size()] == '.' && name.ends_with(row.key)) {
      return &row;
    }
  }
  return nullptr;
}

std::string setting_name(const SettingRow& row) {
  return fmt::format("{}.{}", row.section, row.key);
}

std::string setting_flag(const SettingRow& row) {
  // "--url" or "--level" alone would not say whose; the other sections speak for themselves.
  const bool with_section = row.section == "remote" || row.section == "log" ||
                            row.section == "server" || row.section == "ledger";
  std::string flag =
      with_section ? fmt::format("--{}-{}", row.section, row.key) : fmt::format("--{}", row.key);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string setting_environment(const SettingRow& row) {
  return fmt::format("AGENTCOMPRESS_{}_{}", upper(row.section), upper(row.key));
}

std::string setting_range(const SettingRow& row) {
  switch (row.type) {
    case SettingType::kText:
      return "text";
    case SettingType::kPath:
      return "a path";
    case SettingType::kInteger:
      return fmt::format("{:.0f} to {:.0f}", row.min, row.max);
    case SettingType::kNumber:
      return fmt::format("{:g} to {:g}", row.min, row.max);
    case SettingType::kYesNo:
      return "yes|no";
    case SettingType::kChoice:
      break;
  }
  return std::string(row.choices);
}

}  // namespace ac
