// For LeakSanitizer: what drivers and layers lose is theirs, and it can be told only while they are loaded,
// so they stay once a test has opened them.
#include <dlfcn.h>

#include <filesystem>
#include <string>

namespace {

const bool kKept = [] {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/x86_64-linux-gnu", none)) {
    const std::string name = entry.path().filename().string();
    const bool is_one = name.starts_with("libvulkan") || name.starts_with("libVkLayer");
    if (is_one && name.find(".so") != std::string::npos) {
      dlopen(entry.path().c_str(), RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    }
  }
  return true;
}();

}  // namespace

extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  static_cast<void>(kKept);
  return "leak:libvulkan\nleak:libVkLayer\nleak:libLLVM\nleak:libdrm\n";
}
