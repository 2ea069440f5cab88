// What the zoo verbs tell people.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/store/zoo.h"

namespace ac::cli {

// The same note for several layers becomes one line, in the order of first appearance:
// "blk.0.x: f16, why", "blk.1.x: f16, why" -> "blk.0-1.x: f16, why".
std::vector<std::string> grouped_notes(std::span<const std::string> notes);

bool has_predictor(const ZooManifest& manifest);

}  // namespace ac::cli
