// Titles and venues of no pattern: of any length, in the form that styles expect, and only where words are
// made up.
#include "models/tasks/free_wording.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "models/tasks/text.h"
#include "models/tasks/titles.h"

namespace ac::tasks {
namespace {

TEST(FreeWording, TitlesAreOfAnyLengthAndKeepTheirCapitals) {
  std::set<size_t> lengths;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Draw draw(seed, 1, Field::kPhysics, Split::kTrain, Wording::kRespelled);
    const std::string title = free_title(draw);
    lengths.insert(split(title, ' ').size());
    // Capitals only in braces, so that styles may lower and raise the rest.
    bool inside = false;
    for (const char c : title) {
      inside = c == '{' || (inside && c != '}');
      EXPECT_TRUE(inside || c == lower(c)) << title;
    }
    EXPECT_EQ(unbraced(title).find_first_of("{}"), std::string::npos);
    EXPECT_EQ(title.find("  "), std::string::npos) << title;
    EXPECT_FALSE(title.ends_with(' ')) << title;
  }
  EXPECT_TRUE(lengths.contains(1));
  EXPECT_GE(lengths.size(), 15u);
}

TEST(FreeWording, AbbreviationsAreBeginnings) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Draw draw(seed, 2, Field::kSocial, Split::kTrain, Wording::kRespelled);
    const FreeVenue venue = free_venue(draw);
    constexpr std::array<std::string_view, 7> kOfOtherLanguages = {"de", "der", "für", "et",
                                                                   "di", "y",   "la"};
    std::vector<std::string_view> whole;
    for (const std::string_view word : split(venue.name, ' ')) {
      // Small words have no place in it, those of other languages either.
      const bool is_of_others = std::ranges::find(kOfOtherLanguages, word) != kOfOtherLanguages.end();
      if (!is_small_word(word) && !is_of_others) whole.push_back(word);
    }
    const auto parts = split(venue.abbreviation, ' ');
    ASSERT_EQ(parts.size(), whole.size()) << venue.name << " / " << venue.abbreviation;
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string_view part = parts[i].substr(0, parts[i].size() - (parts[i].ends_with('.') ? 1 : 0));
      EXPECT_TRUE(whole[i].starts_with(part)) << venue.name << " / " << venue.abbreviation;
    }
    EXPECT_FALSE(free_publisher(draw).empty());
    const std::string organisation = free_organisation(draw);
    EXPECT_NE(organisation.find(' '), std::string::npos) << organisation;
    EXPECT_EQ(organisation, headline_case(organisation));
  }
}

}  // namespace
}  // namespace ac::tasks
