// doctor: what this machine has and what of it is used.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "cpu/bandwidth.h"
#include "cpu/isa.h"
#include "cpu/threads.h"
#include "models/store/zoo.h"
#include "runtime/assemble/shipped.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/engine/backend_choice.h"
#include "runtime/route/remote_pool.h"
#include "shaders/vulkan_devices.h"

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
  const auto bandwidth = cpu::read_bandwidth_gb_per_s(team);
  findings.push_back(
      {"read_bandwidth_gb_per_s", bandwidth ? OrderedJson(*bandwidth) : OrderedJson(nullptr),
       bandwidth ? fmt::format("{:.1f} GB/s with {} threads", *bandwidth, team.n_threads())
                 : bandwidth.error().message,
       bandwidth.has_value()});
}

// What the drivers offer, and what would answer.
void look_at_vulkan(std::vector<Finding>& findings) {
  const auto devices = list_vulkan_devices();
  if (!devices) {
    findings.push_back({"vulkan", OrderedJson{{"error", devices.error().message}},
                        devices.error().message});
    return;
  }
  OrderedJson list = OrderedJson::array();
  std::string text;
  for (const VulkanDevice& device : *devices) {
    list.push_back(OrderedJson{{"name", device.name},
                               {"kind", device.kind},
                               {"api_version", device.api_version},
                               {"memory_bytes", device.memory_bytes}});
    text += fmt::format("{}{} ({}, Vulkan {}, {:.1f} GiB)", text.empty() ? "" : ", ", device.name,
                        device.kind, device.api_version,
                        static_cast<double>(device.memory_bytes) / (1024.0 * 1024.0 * 1024.0));
  }
  if (devices->empty()) text = "no device";
  findings.push_back({"vulkan", OrderedJson{{"devices", list}}, text});
}

// The backend that local answers come from, and why.
void look_at_choice(std::vector<Finding>& findings, const Settings& settings) {
  const EngineOptions engine = engine_options(settings);
  if (engine.backend == "cpu") {
    findings.push_back({"backend", OrderedJson{{"name", "cpu"}, {"why", "as [engine] backend says"}},
                        "cpu, as [engine] backend says"});
    return;
  }
  const auto choice = choose_vulkan({.n_threads = engine.n_threads,
                                     .device = engine.device,
                                     .choices_file = engine.choices_file},
                                    engine.backend == "vulkan");
  if (!choice) {
    findings.push_back({"backend", OrderedJson{{"error", choice.error().message}},
                        choice.error().message, false});
    return;
  }
  const std::string name(choice->backend->name());
  findings.push_back({"backend", OrderedJson{{"name", name}, {"why", choice->why}},
                      fmt::format("{}: {}", name, choice->why)});
}

void look_at_zoo(std::vector<Finding>& findings, const Settings& settings) {
  const std::string path = zoo_path(settings);
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
    AC_TRY(const RemoteOptions options, remote_options(settings));
    harden(settings, options);
    AC_TRY(const auto client, make_remote_client(options));
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
  look_at_vulkan(findings);
  look_at_choice(findings, settings);
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
