// "Did you mean": the known name that is fewest edits away from a word.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ac {

// Nothing when no name is near: more edits than a third of the longer word, at least 2.
std::optional<std::string_view> nearest_name(std::string_view word,
                                             std::span<const std::string_view> names);
// ", did you mean 'x'?" or "".
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace ac
