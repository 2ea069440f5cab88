// A request as a person types it: a phrasing of the data, its slots, chatter around it, now and
// then a slip.
#pragma once

#include <string>
#include <string_view>

#include "models/tasks/draw.h"
#include "models/tasks/text.h"

namespace ac::tasks {

// Picks from the list `key`. Slips of the keyboard fall on the phrasing, never on what fills it.
std::string request(Draw& draw, std::string_view key, Slots slots);

}  // namespace ac::tasks
