#include "runtime/cli/shipped.h"

#include <filesystem>
#include <system_error>

namespace ac::cli {
namespace {

// Beside the program, so that a build folder and an installed tree are found by one rule.
constexpr const char* kFolder = "../share/agentcompress";

std::string shipped(const char* name) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "";
  const auto path = (program.parent_path() / kFolder / name).lexically_normal();
  return std::filesystem::exists(path, error) ? path.string() : "";
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

}  // namespace ac::cli
