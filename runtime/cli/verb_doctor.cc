// doctor: what this machine has and what of it is used.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "cpu/isa.h"
#include "cpu/threads.h"
#include "models/store/zoo.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/clock.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/tensor.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {Option{"--json", "", "as JSON"}};
constexpr uint64_t kProcFileBytes = 1u << 20;

// What follows "name:" in a file of /proc, or "".
std::string proc_field(const std::string& path, std::string_view name) {
  const auto text = read_file(path, kProcFileBytes);
  if (!text) return "";
  size_t at = 0;
  while (at < text->size()) {
    const size_t end = std::min(text->find('\n', at), text->size());
    const std::string_view line = std::string_view(*text).substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(name)) continue;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string_view::npos ? "" : std::string(line.substr(begin));
  }
  return "";
}

double memory_gib(std::string_view name) {
  return std::atof(proc_field("/proc/meminfo", name).c_str()) / (1024.0 * 1024.0);
}

// How fast all threads together read memory that is in no cache: the roof of decoding. GB/s.
Result<double> read_bandwidth(cpu::ThreadTeam& team) {
  constexpr uint64_t kBytes = 512ull << 20;
  constexpr int32_t kChunkBytes = 1 << 20;
  constexpr int kPasses = 4;
  AC_TRY(Buffer buffer, Buffer::allocate(kBytes));
  const std::span<uint64_t> words = buffer.as<uint64_t>();
  constexpr size_t kChunkWords = kChunkBytes / sizeof(uint64_t);
  constexpr auto kChunks = static_cast<int32_t>(kBytes / kChunkBytes);
  std::vector<uint64_t> sums(static_cast<size_t>(kChunks));
  // Pages that were never written are all the same page of zeros.
  team.for_each_chunk(kChunks, [&](int32_t chunk, int32_t) {
    const size_t first = static_cast<size_t>(chunk) * kChunkWords;
    std::fill_n(words.begin() + static_cast<ptrdiff_t>(first), kChunkWords, first);
  });
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto begin = system_clock().now();
    team.for_each_chunk(kChunks, [&](int32_t chunk, int32_t) {
      const uint64_t* at = words.data() + static_cast<size_t>(chunk) * kChunkWords;
      uint64_t lanes[8] = {};
      for (size_t i = 0; i < kChunkWords; i += 8) {
        for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += at[i + lane];
      }
      uint64_t sum = 0;
      for (const uint64_t lane : lanes) sum += lane;
      sums[static_cast<size_t>(chunk)] = sum;  // or the reading would be optimised away
    });
    const double seconds = seconds_between(begin, system_clock().now());
    best = std::max(best, static_cast<double>(kBytes) / seconds / 1e9);
  }
  return best;
}

// Each line of the report: a key for JSON, words for people. `ok` false is a fault to mend.
struct Finding {
  std::string key;
  OrderedJson value;
  std::string text;
  bool ok = true;
};

void look_at_cpu(std::vector<Finding>& findings, const Settings& settings) {
  const std::string model = proc_field("/proc/cpuinfo", "model name");
  findings.push_back({"cpu", model, model.empty() ? "unknown" : model});
  std::vector<std::string> supported;
  for (const cpu::Isa& isa : cpu::isas()) {
    if (isa.is_supported()) supported.emplace_back(isa.name);
  }
  const auto chosen = cpu::choose_isa();
  OrderedJson isa;
  isa["chosen"] = chosen ? OrderedJson((*chosen)->name) : OrderedJson(nullptr);
  isa["supported"] = supported;
  findings.push_back({"isa", isa,
                      chosen ? fmt::format("{} (this processor has {})", (*chosen)->name,
                                           fmt::join(supported, ", "))
                             : chosen.error().message,
                      chosen.has_value()});
  const cpu::Cores cores = cpu::allowed_cores();
  cpu::ThreadTeam team({.n_threads = static_cast<int>(settings.integer("engine.threads"))});
  OrderedJson threads;
  threads["logical"] = cores.cpus.size();
  threads["physical"] = cores.n_physical;
  threads["usable"] = cores.usable;
  threads["used"] = team.n_threads();
  findings.push_back(
      {"cores", threads,
       fmt::format("{} logical, {} physical, {} granted to us; {} threads", cores.cpus.size(),
                   cores.n_physical, cores.usable, team.n_threads())});
  OrderedJson memory;
  memory["total_gib"] = memory_gib("MemTotal");
  memory["available_gib"] = memory_gib("MemAvailable");
  findings.push_back({"memory", memory,
                      fmt::format("{:.1f} GiB, {:.1f} GiB available", memory_gib("MemTotal"),
                                  memory_gib("MemAvailable"))});
  const auto bandwidth = read_bandwidth(team);
  findings.push_back(
      {"read_bandwidth_gb_per_s", bandwidth ? OrderedJson(*bandwidth) : OrderedJson(nullptr),
       bandwidth ? fmt::format("{:.1f} GB/s with {} threads", *bandwidth, team.n_threads())
                 : bandwidth.error().message,
       bandwidth.has_value()});
}

void look_at_zoo(std::vector<Finding>& findings, const Settings& settings) {
  const std::string& path = settings.text("route.zoo");
  if (path.empty()) {
    findings.push_back({"zoo", nullptr, "none set ([route] zoo)"});
    return;
  }
  const auto zoo = Zoo::open(path);
  if (!zoo) {
    findings.push_back({"zoo", OrderedJson{{"path", path}, {"error", zoo.error().message}},
                        zoo.error().message, false});
    return;
  }
  const auto n_variants = (*zoo)->manifest().variants.size();
  findings.push_back({"zoo", OrderedJson{{"path", path}, {"variants", n_variants}},
                      fmt::format("{}, {} variants", path, n_variants)});
}

void look_at_remote(std::vector<Finding>& findings, const Settings& settings) {
  const std::string& url = settings.text("remote.url");
  if (url.empty() || settings.yes("privacy.offline")) {
    const std::string text = url.empty() ? "none set ([remote] url)" : "not asked: offline = yes";
    findings.push_back({"remote", OrderedJson{{"url", url}, {"asked", false}}, text});
    return;
  }
  const auto ask = [&]() -> Result<std::vector<std::string>> {
    AC_TRY(RemoteOptions options, remote_options(settings));
    AC_TRY(const auto client, RemoteClient::create(std::move(options)));
    return client->list_models();
  };
  const auto models = ask();
  OrderedJson value{{"url", url}, {"asked", true}};
  if (!models) {
    value["error"] = models.error().message;
    findings.push_back(
        {"remote", value, fmt::format("{}: {}", url, models.error().message), false});
    return;
  }
  const std::string& wanted = settings.text("remote.model");
  const bool offered =
      wanted.empty() || std::find(models->begin(), models->end(), wanted) != models->end();
  value["models"] = *models;
  findings.push_back({"remote", value,
                      offered ? fmt::format("{} answers, {} models", url, models->size())
                              : fmt::format("{} answers but does not offer '{}', only {}", url,
                                            wanted, fmt::join(*models, ", ")),
                      offered});
}

Result<int> run(const Invocation& invocation) {
  AC_TRY(const Settings settings, invocation.load_settings());
  std::vector<Finding> findings;
  look_at_cpu(findings, settings);
  findings.push_back(
      {"vulkan", OrderedJson{{"built_in", false}}, "not built in; answers come from the CPU"});
  look_at_zoo(findings, settings);
  look_at_remote(findings, settings);
  const bool all_ok =
      std::all_of(findings.begin(), findings.end(), [](const Finding& f) { return f.ok; });
  if (invocation.has("--json")) {
    OrderedJson object;
    for (const Finding& finding : findings) object[finding.key] = finding.value;
    object["ok"] = all_ok;
    output().write_line(json_line(object));
  } else {
    for (const Finding& finding : findings) {
      print("{:<24} {}{}\n", finding.key, finding.ok ? "" : "FAULT: ", finding.text);
    }
  }
  return all_ok ? 0 : 1;
}

}  // namespace

constinit const Verb kDoctor = {
    .name = "doctor",
    .summary = "what this machine has: instruction set, cores, memory, remote",
    .options = kOptions,
    .sections = "engine route remote privacy log",
    .run = run,
};

}  // namespace ac::cli
