#include "runtime/assemble/shipped.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>
#include <system_error>

namespace ac {
namespace {

namespace fs = std::filesystem;

// The program or the shared library that this code is in.
fs::path own_file() {
  static const char inside = 0;
  Dl_info info{};
  void* more = nullptr;
  const bool found = dladdr1(&inside, &info, &more, RTLD_DL_LINKMAP) != 0;
  const auto* map = found ? static_cast<const link_map*>(more) : nullptr;
  // The loader knows a program by no name.
  const bool is_library = map != nullptr && map->l_name != nullptr && *map->l_name != '\0';
  std::error_code error;
  fs::path file =
      is_library ? fs::canonical(map->l_name, error) : fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path() : file;
}

// Beside the program (bin/.., share/agentcompress) or the library (lib/.., or lib/<machine>/../..),
// so that a build folder and an installed tree are found by one rule.
std::string shipped(const char* name) {
  const fs::path folder = own_file().parent_path();
  if (folder.empty()) return "";
  std::error_code error;
  for (const char* up : {"..", "../.."}) {
    const fs::path path = (folder / up / "share/agentcompress" / name).lexically_normal();
    if (fs::exists(path, error)) return path.string();
  }
  return "";
}

}  // namespace

std::string zoo_path(const Settings& settings) {
  const std::string& named = settings.text("route.zoo");
  if (!named.empty()) return named;
  if (settings.text("route.shipped_zoo") == "no" || !settings.text("remote.url").empty()) return "";
  return shipped("research-mini.zoo");
}

std::string predictor_path(const Settings& settings) {
  const std::string& named = settings.text("route.predictor");
  if (!named.empty()) return named;
  return settings.text("remote.url").empty() ? "" : shipped("natural.gguf");
}

}  // namespace ac
