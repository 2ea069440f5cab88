#include "runtime/route/remote_load.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace ac {
namespace {

constexpr std::array<std::string_view, 2> kNames = {"vllm:num_requests_running",
                                                    "vllm:num_requests_waiting"};

bool is_wanted(std::string_view line) {
  return std::any_of(kNames.begin(), kNames.end(), [line](std::string_view name) {
    return line.starts_with(name) && line.size() > name.size() &&
           (line[name.size()] == ' ' || line[name.size()] == '{');
  });
}

// Of `name{labels} value` or `name{labels} value timestamp`. A label may hold blanks and braces.
std::optional<double> value_of(std::string_view line) {
  const size_t labels = line.rfind('}');
  line.remove_prefix(labels == std::string_view::npos ? line.find(' ') : labels + 1);
  const size_t begin = line.find_first_not_of(' ');
  if (begin == std::string_view::npos) return std::nullopt;
  line.remove_prefix(begin);
  double value = 0;
  const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  const bool ends = stop == line.data() + line.size() || *stop == ' ' || *stop == '\r';
  if (error != std::errc() || !ends || !std::isfinite(value) || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::optional<double> load_of_metrics(std::string_view text) {
  std::optional<double> load;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!is_wanted(line)) continue;
    const std::optional<double> value = value_of(line);
    if (!value) return std::nullopt;
    load = load.value_or(0) + *value;
  }
  return load;
}

}  // namespace ac
