// Authors: drawn in the shapes that references know, and taken apart for the styles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/tasks/draw.h"

namespace ac::tasks {

struct Person {
  std::string given;   // "Jan-Willem", "Ana M.", "J. W."; empty: known by one name
  std::string family;  // with its particle, "van der Berg"; of an organisation, its whole name
  std::string suffix;  // "Jr.", "III"
  bool organisation = false;
};

struct PeopleOptions {
  // Chances of what makes names hard.
  double particle = 0.08;
  double suffix = 0.03;
  double one_name = 0.01;
  bool initials = false;  // the source gives initials only
};

std::string draw_family(Draw& draw);
Person draw_person(Draw& draw, const PeopleOptions& options);
// Different family names, no one-name person among several.
std::vector<Person> draw_people(Draw& draw, size_t n, const PeopleOptions& options);
Person draw_organisation(Draw& draw);

// "Jean-Pierre M." with separators as the style has them: "J.-P. M.", or "JPM" without dots.
struct InitialsStyle {
  bool dots = true;  // "J.-P. M." against "JPM"
  int max = 99;
};
std::string initials(std::string_view given, const InitialsStyle& style);

// "Jan van der Berg Jr."
std::string natural_name(const Person& person);

}  // namespace ac::tasks
