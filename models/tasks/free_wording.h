// Titles, venues and publishers of no pattern, for training: a model that has only seen the patterns
// of titles.txt learns them by heart, and goes on as they do where a real title goes another way.
// Words come from the lists of the instance's split, most of them respelled.
#pragma once

#include <string>

#include "models/tasks/draw.h"

namespace ac::tasks {

// One to about twenty words as titles are kept: no capitals but in braces ("the {Xantor} effect").
std::string free_title(Draw& draw);

struct FreeVenue {
  std::string name;          // "Bulletin of Ralonic Physics"
  std::string abbreviation;  // "Bull. Ralon. Phys."
};
FreeVenue free_venue(Draw& draw);
std::string free_publisher(Draw& draw);
std::string free_organisation(Draw& draw);  // "Ralonic Council for Sampling"

}  // namespace ac::tasks
