#include "models/tasks/style_parts.h"

#include <algorithm>
#include <charconv>

namespace ac::tasks {
namespace {

int number_of(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The last digits of `last` that differ from `first`, at least `minimum`.
std::string changed_part(std::string_view first, std::string_view last, size_t minimum) {
  size_t same = 0;
  while (same < last.size() && first[same] == last[same]) ++same;
  const size_t kept = std::max(minimum, last.size() - same);
  return std::string(last.substr(last.size() - std::min(kept, last.size())));
}

}  // namespace

std::string shortened(std::string_view first, std::string_view last, PageRange rule) {
  if (first.size() != last.size()) return std::string(last);
  const int begin = number_of(first);
  switch (rule) {
    case PageRange::kFull:
      return std::string(last);
    case PageRange::kTwoDigits:
      return begin < 100 ? std::string(last) : changed_part(first, last, 2);
    case PageRange::kChicago:
      if (begin < 100 || begin % 100 == 0) return std::string(last);
      return changed_part(first, last, begin % 100 < 10 ? 1 : 2);
    case PageRange::kShortest:
      return changed_part(first, last, 1);
  }
  AC_CHECK(false);
}

std::string page_range(const Reference& reference, PageRange rule, std::string_view dash) {
  if (reference.last_page.empty()) return reference.first_page;
  return reference.first_page + std::string(dash) +
         shortened(reference.first_page, reference.last_page, rule);
}

std::string family_first(const Person& person) {
  std::string text = person.family;
  if (!person.given.empty()) text += ", " + person.given;
  if (!person.suffix.empty()) text += ", " + person.suffix;
  return text;
}

std::string initials_first(const Person& person) {
  if (person.given.empty()) return person.family;
  std::string text = initials(person.given, {}) + " " + person.family;
  if (!person.suffix.empty()) text += " " + person.suffix;
  return text;
}

std::string italics(std::string_view text) { return "*" + std::string(text) + "*"; }
std::string quoted(std::string_view text) { return "“" + std::string(text) + "”"; }
std::string quoted_with(std::string_view title, char stop) {
  const bool ended = title.ends_with('?') || title.ends_with('!');
  return quoted(ended ? std::string(title) : std::string(title) + stop);
}

std::vector<std::string> names_of(const std::vector<Person>& people,
                                  std::string (*name)(const Person&)) {
  std::vector<std::string> names;
  for (const Person& person : people) names.push_back(name(person));
  return names;
}

}  // namespace ac::tasks
