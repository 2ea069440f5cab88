#include "runtime/engine/backend_choice.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "cpu/backend_cpu.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"
#include "shaders/backend_vulkan.h"
#include "shaders/self_test.h"

namespace ac {
namespace {

constexpr uint64_t kFileBytes = 1u << 20;
constexpr double kRaceSeconds = 0.025;  // for each of the two
// Of the shaders and the test: what was found out with others is not asked for.
constexpr int kVersion = 2;

// Where a driver gets one way of computing wrong, a plainer one may be right: with and without products of
// bytes and sums over subgroups.
constexpr int kForms = 3;
vulkan::VulkanOptions options_of(const std::string& device, int form) {
  vulkan::VulkanOptions options{.device = device, .uses_subgroups = form < 2};
  if (form > 0) options.uses_integer_dot = false;
  return options;
}

struct Found {
  int form = 0;
  std::string device;
  std::string problem;  // why it is not to be used at all; empty: its answers are right
  double speed = 0;     // times the CPU's
};

std::string key_of(const BackendOptions& options) {
  return fmt::format("{} {} {}", kVersion, driver_fingerprint(), options.device);
}

// Within the process, where there is no file or several engines begin one after another.
class Memory {
 public:
  std::optional<Found> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(key);
    return found == all_.end() ? std::nullopt : std::optional(found->second);
  }
  void keep(const std::string& key, const Found& found) {
    const std::lock_guard lock(mutex_);
    all_[key] = found;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Found> all_;
};
Memory& memory() {
  static Memory memory;
  return memory;
}

std::optional<Found> recalled(const BackendOptions& options) {
  if (const auto found = memory().find(key_of(options))) return found;
  if (options.choices_file.empty()) return std::nullopt;
  const auto text = read_file(options.choices_file, kFileBytes);
  if (!text) return std::nullopt;
  const auto json = parse_json(*text);  // somebody's other file is none of ours
  if (!json || !json->is_object()) return std::nullopt;
  const Json* entry = json_find(*json, key_of(options).c_str());
  if (entry == nullptr || !entry->is_object()) return std::nullopt;
  const auto device = json_string(*entry, "device"), problem = json_string(*entry, "problem");
  const auto speed = json_number(*entry, "speed"), form = json_number(*entry, "form");
  if (!device || !problem || !speed || !form || !(*form >= 0 && *form < kForms)) return std::nullopt;
  return Found{static_cast<int>(*form), *device, *problem, *speed};
}

void remember(const BackendOptions& options, const Found& found) {
  memory().keep(key_of(options), found);
  if (options.choices_file.empty()) return;
  // One entry: what was found out with other drivers is of no use any more.
  const OrderedJson json = {
      {key_of(options),
       {{"form", found.form},
        {"device", found.device},
        {"problem", found.problem},
        {"speed", found.speed}}}};
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(options.choices_file).parent_path(), ignored);
  if (const Status written = write_file(options.choices_file, json_line(json) + "\n"); !written) {
    log_warning("{}", written.error().message);
  }
}

Result<double> speed_of(const vulkan::VulkanOptions& device, const BackendOptions& options) {
  AC_TRY(const auto gpu, vulkan::create_vulkan_backend(device));
  AC_TRY(const double gpu_s, vulkan::seconds_of_products(*gpu, kRaceSeconds));
  AC_TRY(const auto cpu, cpu::create_cpu_backend({.n_threads = options.n_threads}));
  AC_TRY(const double cpu_s, vulkan::seconds_of_products(*cpu, kRaceSeconds));
  return cpu_s / gpu_s;
}

// Backends of its own, which take their weights with them.
Found find_out(const BackendOptions& options) {
  Found found;
  for (; found.form < kForms; ++found.form) {
    const vulkan::VulkanOptions device = options_of(options.device, found.form);
    const auto tested = vulkan::create_vulkan_backend(device);
    if (!tested) {
      found.problem = tested.error().message;
      break;  // no device, whatever its form
    }
    found.device = (*tested)->device();
    const Status good = vulkan::self_test(**tested);
    const Result<double> speed = good ? speed_of(device, options) : Result<double>(good.error());
    if (speed) {
      found.problem.clear();
      found.speed = *speed;
      return found;
    }
    found.problem = speed.error().message;
  }
  found.form = 0;
  return found;
}

Result<BackendChoice> the_cpu(const BackendOptions& options, std::string why) {
  cpu::CpuBackendOptions cpu_options;
  cpu_options.n_threads = options.n_threads;
  cpu_options.drop_pages = options.drop_pages;
  AC_TRY(std::unique_ptr<Backend> backend, cpu::create_cpu_backend(cpu_options));
  return BackendChoice{std::move(backend), std::move(why)};
}

}  // namespace

std::string driver_fingerprint() {
  std::set<std::string> files;
  const auto add_list = [&](const char* variable) {
    const char* const text = std::getenv(variable);
    if (text == nullptr) return false;
    std::string_view left = text;
    while (!left.empty()) {
      const size_t end = std::min(left.find(':'), left.size());
      if (end > 0) files.emplace(left.substr(0, end));
      left.remove_prefix(std::min(end + 1, left.size()));
    }
    return true;
  };
  if (!add_list("VK_DRIVER_FILES") && !add_list("VK_ICD_FILENAMES")) {
    const char* const home = std::getenv("HOME");
    for (const std::string& folder :
         {std::string("/usr/share/vulkan/icd.d"), std::string("/usr/local/share/vulkan/icd.d"),
          std::string("/etc/vulkan/icd.d"),
          home != nullptr ? std::string(home) + "/.local/share/vulkan/icd.d" : std::string()}) {
      std::error_code none;
      if (folder.empty()) continue;
      for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
        if (entry.path().extension() == ".json") files.insert(entry.path().string());
      }
    }
  }
  std::string text;
  for (const std::string& file : files) {
    struct stat info {};
    if (stat(file.c_str(), &info) != 0) continue;
    text += fmt::format("{}{}:{}:{}", text.empty() ? "" : " ", file, static_cast<int64_t>(info.st_size),
                        static_cast<int64_t>(info.st_mtime));
  }
  // A GPU that is plugged in later has a node there.
  std::set<std::string> nodes;
  for (const char* folder : {"/dev", "/dev/dri"}) {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("renderD") || name.starts_with("nvidia")) nodes.insert(name);
    }
  }
  for (const std::string& node : nodes) {
    if (!text.empty()) text += " " + node;
  }
  return text;
}

Result<BackendChoice> choose_vulkan(const BackendOptions& options, bool is_named) {
  // Without a driver there is no need to wake the loader.
  if (!is_named && driver_fingerprint().empty()) return the_cpu(options, "no Vulkan driver");
  std::optional<Found> found = recalled(options);
  const bool is_known = found.has_value();
  if (!is_known) {
    found = find_out(options);
    remember(options, *found);
  }
  if (!found->problem.empty()) {
    if (!is_named) return the_cpu(options, found->problem);
    return fail(ErrorCode::kUnsupported, "{}{}", found->problem,
                is_known ? fmt::format(" (remembered in {})", options.choices_file) : "");
  }
  const std::string speed = fmt::format("{} is {:.2g} times as fast as the CPU", found->device, found->speed);
  if (!is_named && found->speed < kWorthADevice) return the_cpu(options, speed);
  auto backend = vulkan::create_vulkan_backend(options_of(options.device, found->form));
  if (backend) return BackendChoice{std::move(*backend), speed};
  if (!is_named) return the_cpu(options, backend.error().message);
  return backend.error();
}

}  // namespace ac
