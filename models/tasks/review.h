// Literature review: abstracts to who found what, on which sample, in which direction, who agrees
// with whom, and what the studies say together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/tasks/draw.h"
#include "models/tasks/made.h"
#include "models/tasks/mentions.h"

namespace ac::tasks {

struct Study {
  std::vector<std::string> authors;  // family names
  int year = 0;
  int n = 0;               // sample size
  std::string subjects;    // "seedlings"
  std::string method;      // "field trial"
  int direction = kRises;  // of the effect in question, or kNoChange
};

enum class ReviewSkill {
  kFull,        // abstracts to one line per study, then the synthesis
  kExtract,     // one abstract to its line
  kSynthesise,  // lines to the synthesis
};

struct ReviewTruth {
  ReviewSkill skill = ReviewSkill::kFull;
  std::string cause, outcome;  // "shade depth", "leaf area"
  std::vector<Study> studies;
};

// "Okafor (2019)", "Okafor and Lind (2019)", "Okafor et al. (2019)".
std::string cited(const Study& study);
// The direction most studies found; its count is 0 when two directions tie for most.
struct Overall {
  int direction = kNoChange;
  int count = 0;
  bool agree = false;  // all the same
};
Overall overall(const std::vector<Study>& studies);
std::string_view direction_name(int direction);  // "increase", "decrease", "no effect"

std::string study_line(const Study& study);
std::string synthesis(const ReviewTruth& truth);
std::string review_answer(const ReviewTruth& truth);

Made<ReviewTruth> make_review(Draw& draw);

// The makers that workflows use.
// `settled`: most studies find the same increase or decrease.
ReviewTruth draw_studies(Draw& draw, size_t n, const std::string& cause, const std::string& outcome,
                         bool settled);
Made<ReviewTruth> make_full_review(Draw& draw, const ReviewTruth& truth, double level,
                                   const std::vector<std::string>& side_outcomes);
// One abstract. Asks about study `which`, with a side outcome where the level is high.
Made<ReviewTruth> make_extraction(Draw& draw, const ReviewTruth& truth, size_t which, double level,
                                  const std::vector<std::string>& side_outcomes);
// `material`: the lines of the studies as they stand in the prompt.
Made<ReviewTruth> make_synthesis(Draw& draw, const ReviewTruth& truth, const std::string& material);

// Other wordings pass when every study is named by authors and year with its sample and direction,
// grouped rightly with those it agrees with, and the overall statement is right; no other numbers.
Verdict check_review(const ReviewTruth& truth, std::string_view answer);

}  // namespace ac::tasks
