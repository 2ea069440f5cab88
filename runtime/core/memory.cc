#include "runtime/core/memory.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "runtime/core/file.h"

namespace ac {
namespace {

// The number after `name` in a file of "name: number" or "name number" lines.
std::optional<uint64_t> number_in_file(const char* path, std::string_view name) {
  const auto text = read_file(path, 1u << 20);
  if (!text) return std::nullopt;
  size_t at = text->find(name);
  if (at == std::string::npos) return std::nullopt;
  at = text->find_first_not_of(": \t", at + name.size());
  if (at == std::string::npos) return std::nullopt;
  uint64_t value = 0;
  const char* end = text->data() + text->size();
  if (std::from_chars(text->data() + at, end, value).ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

uint64_t available_memory_bytes() {
  uint64_t available = UINT64_MAX;
  if (const auto kib = number_in_file("/proc/meminfo", "MemAvailable")) available = *kib * 1024;
  // A version 2 control group; without a limit the file says "max". Cached file pages can be taken
  // back.
  if (const auto limit = number_in_file("/sys/fs/cgroup/memory.max", "")) {
    const uint64_t used = number_in_file("/sys/fs/cgroup/memory.current", "").value_or(0);
    const uint64_t cached = number_in_file("/sys/fs/cgroup/memory.stat", "\nfile ").value_or(0);
    const uint64_t taken = used - std::min(used, cached);
    available = std::min(available, *limit - std::min(*limit, taken));
  }
  return available;
}

}  // namespace ac
