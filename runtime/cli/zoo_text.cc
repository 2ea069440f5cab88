#include "runtime/cli/zoo_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace ac::cli {
namespace {

constexpr std::string_view kLayerPrefix = "blk.";

struct Group {
  std::string_view rest;    // what follows the layer's number; the whole note where there is none
  std::vector<int> layers;  // in the order of the notes
};

// "0-3,5": a run of neighbours is written as its ends.
std::string ranges_of(const std::vector<int>& layers) {
  std::string text;
  for (size_t i = 0; i < layers.size();) {
    size_t last = i;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text +=
        last == i ? fmt::format("{}", layers[i]) : fmt::format("{}-{}", layers[i], layers[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace

std::vector<std::string> grouped_notes(std::span<const std::string> notes) {
  std::vector<Group> groups;
  for (const std::string& note : notes) {
    const char* end = note.data() + note.size();
    int layer = 0;
    const char* after = note.data();
    if (note.starts_with(kLayerPrefix)) {
      const auto parsed = std::from_chars(after + kLayerPrefix.size(), end, layer);
      if (parsed.ec == std::errc()) after = parsed.ptr;
    }
    const std::string_view rest(after, static_cast<size_t>(end - after));
    if (after == note.data()) {
      groups.push_back({rest, {}});
      continue;
    }
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& one) {
      return !one.layers.empty() && one.rest == rest;
    });
    if (group == groups.end()) group = groups.insert(groups.end(), {rest, {}});
    group->layers.push_back(layer);
  }
  std::vector<std::string> lines;
  for (const Group& group : groups) {
    lines.push_back(group.layers.empty()
                        ? std::string(group.rest)
                        : fmt::format("{}{}{}", kLayerPrefix, ranges_of(group.layers), group.rest));
  }
  return lines;
}

bool has_predictor(const ZooManifest& manifest) {
  return std::any_of(manifest.members.begin(), manifest.members.end(),
                     [](const ZooMember& member) { return member.name == "predictor.gguf"; });
}

}  // namespace ac::cli
