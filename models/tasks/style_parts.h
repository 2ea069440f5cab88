// What several styles are made of: page ranges, lists of names, small joins.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/tasks/reference.h"
#include "models/tasks/text.h"
#include "models/tasks/titles.h"

namespace ac::tasks {

enum class PageRange {
  kFull,       // 1234–1248
  kTwoDigits,  // MLA 9 section 5.87: above 99 the last two digits, more where needed: 1234–48
  kChicago,    // Chicago 17 section 9.61: 3–10, 100–104, 107–8, 321–28, 496–500
  kShortest,   // Vancouver: the digits that changed: 1234-48, 284-7
};
// "" when the reference has no pages, one number when it has one page.
std::string page_range(const Reference& reference, PageRange rule, std::string_view dash);
std::string shortened(std::string_view first, std::string_view last, PageRange rule);

// "Okafor, Ngozi, Jr.": family first, given names whole.
std::string family_first(const Person& person);
// "N. Okafor Jr."
std::string initials_first(const Person& person);

std::string italics(std::string_view text);
std::string quoted(std::string_view text);  // “text”
// “Title.” or “Title?”: American practice puts the stop inside.
std::string quoted_with(std::string_view title, char stop);

// First names' list as most styles write it in running text and inside entries.
std::vector<std::string> names_of(const std::vector<Person>& people,
                                  std::string (*name)(const Person&));

}  // namespace ac::tasks
