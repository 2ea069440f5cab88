#include "models/tasks/people.h"

#include <algorithm>

#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

std::string draw_given(Draw& draw) {
  std::string given = draw.word("name.given");
  if (draw.chance(0.12)) {
    std::string second = draw.word("name.given");
    // Hyphens join plain names only: "Anne-Marie", never "Jean-Luc-Anne".
    const bool plain = given.find('-') == std::string::npos &&
                       second.find('-') == std::string::npos && second != given;
    if (plain) given += (draw.chance(0.5) ? "-" : " ") + second;
  } else if (draw.chance(0.25)) {
    given += ' ';
    given += first_character(draw.word("name.given"));
    given += '.';
  }
  return given;
}

}  // namespace

std::string draw_family(Draw& draw) {
  if (draw.chance(0.45)) {
    const std::string& root = draw.word("name.root");
    return root + draw.word("name.ending");
  }
  std::string family = draw.word("name.family");
  if (draw.chance(0.06)) {
    const std::string& second = draw.word("name.family");
    // Hyphens only: "Ana Ruiz Vega" in natural order would not say where the family name begins.
    if (second != family) family += "-" + second;
  }
  return family;
}

Person draw_person(Draw& draw, const PeopleOptions& options) {
  Person person;
  person.family = draw_family(draw);
  if (draw.chance(options.one_name)) return person;
  person.given = draw_given(draw);
  if (options.initials) person.given = initials(person.given, {});
  if (draw.chance(options.particle)) {
    person.family = draw.word("name.particle") + " " + person.family;
  } else if (draw.chance(options.suffix)) {
    person.suffix = draw.word("name.suffix");
  }
  return person;
}

std::vector<Person> draw_people(Draw& draw, size_t n, const PeopleOptions& options) {
  std::vector<Person> people;
  PeopleOptions each = options;
  if (n > 1) each.one_name = 0;
  while (people.size() < n) {
    Person person = draw_person(draw, each);
    const bool taken = std::any_of(people.begin(), people.end(), [&](const Person& other) {
      return other.family.find(person.family) != std::string::npos ||
             person.family.find(other.family) != std::string::npos;
    });
    if (!taken) people.push_back(std::move(person));
  }
  return people;
}

Person draw_organisation(Draw& draw) {
  Person person;
  person.organisation = true;
  person.family = draw.filled("organisation.pattern", {{"city", draw.word("place.city")},
                                                       {"topic", draw.word("discipline")}});
  return person;
}

std::string initials(std::string_view given, const InitialsStyle& style) {
  std::string text;
  int n = 0;
  for (const std::string_view name : split(given, ' ')) {
    bool is_first_part = true;
    for (const std::string_view part : split(name, '-')) {
      if (part.empty() || n >= style.max) continue;
      if (style.dots && n > 0) text += is_first_part ? " " : "-";
      text += first_character(part);
      if (style.dots) text += '.';
      is_first_part = false;
      ++n;
    }
  }
  return text;
}

std::string natural_name(const Person& person) {
  std::string text = person.given;
  if (!text.empty()) text += ' ';
  text += person.family;
  if (!person.suffix.empty()) text += ' ' + person.suffix;
  return text;
}

}  // namespace ac::tasks
