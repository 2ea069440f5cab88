#include "models/tasks/review.h"

#include <algorithm>
#include <array>
#include <set>

#include "models/tasks/people.h"
#include "models/tasks/request.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

constexpr std::array<int, 3> kDirections = {kRises, kFalls, kNoChange};

std::string plain_names(const Study& study) { return join(study.authors, Joins{}); }

// What the abstract says about cause and outcome. The hard end turns the sentence round: "lower A
// came with higher B".
std::string finding(Draw& draw, const std::string& cause, const std::string& outcome, int direction,
                    double level) {
  std::string_view key = direction == kRises   ? "finding.up"
                         : direction == kFalls ? "finding.down"
                                               : "finding.none";
  if (direction != kNoChange && draw.chance(0.35 * level)) {
    key = direction == kRises ? "finding.up_turned" : "finding.down_turned";
  }
  return capitalised(draw.filled(key, {{"a", cause}, {"b", outcome}}));
}

struct Abstract {
  std::string text;
  int n_distractors = 0;
};

Abstract write_abstract(Draw& draw, const ReviewTruth& truth, const Study& study, double level,
                        const std::vector<std::string>& side_outcomes, int most_distractors) {
  Abstract abstract;
  std::vector<std::string> sentences;
  sentences.push_back(capitalised(with_articles(fill(
      draw.word("abstract.sample"),
      {{"n", std::to_string(study.n)}, {"subjects", study.subjects}, {"method", study.method}}))));
  sentences.push_back(finding(draw, truth.cause, truth.outcome, study.direction, level));
  const int n_wanted = draw.range(0, most_distractors);
  std::vector<std::string> distractors;
  if (n_wanted > 0 && !side_outcomes.empty() && draw.chance(0.5 * level)) {
    // Another outcome, in another direction.
    const int other = kDirections[draw.below(kDirections.size())];
    distractors.push_back(finding(draw, truth.cause, draw.pick(side_outcomes), other, 0));
  }
  while (static_cast<int>(distractors.size()) < n_wanted) {
    distractors.push_back(capitalised(
        draw.filled("abstract.distractor", {{"cause", truth.cause}, {"outcome", truth.outcome}})));
  }
  abstract.n_distractors = n_wanted;
  for (std::string& distractor : distractors) {
    if (std::find(sentences.begin(), sentences.end(), distractor) != sentences.end()) continue;
    const size_t at = draw.below(sentences.size() + 1);
    sentences.insert(sentences.begin() + static_cast<long>(at), std::move(distractor));
  }
  if (draw.chance(0.3)) sentences.push_back(draw.word("abstract.limitation"));
  abstract.text =
      plain_names(study) + " (" + std::to_string(study.year) + "). " + join(sentences, " ");
  return abstract;
}

std::string study_lines(const ReviewTruth& truth) {
  std::vector<std::string> lines;
  for (const Study& study : truth.studies) lines.push_back(study_line(study));
  return join(lines, "\n");
}

Difficulty rate(const ReviewTruth& truth, double level, int n_distractors) {
  constexpr double kMost = 5;
  const auto n = static_cast<double>(truth.studies.size());
  std::set<int> directions;
  for (const Study& study : truth.studies) directions.insert(study.direction);
  return {std::min(1.0, 0.45 * (n - 1) / kMost + 0.3 * level +
                            0.15 * std::min(1.0, n_distractors / n / 2) +
                            0.05 * static_cast<double>(directions.size() - 1)),
          static_cast<int>(truth.studies.size()), static_cast<int>(directions.size()),
          n_distractors};
}

}  // namespace

std::string cited(const Study& study) {
  std::string text = study.authors[0];
  if (study.authors.size() == 2) text += " and " + study.authors[1];
  if (study.authors.size() > 2) text += " et al.";
  return text + " (" + std::to_string(study.year) + ")";
}

std::string_view direction_name(int direction) {
  return direction == kRises ? "increase" : direction == kFalls ? "decrease" : "no effect";
}

Overall overall(const std::vector<Study>& studies) {
  Overall best;
  int n_best = 0;
  for (const int direction : kDirections) {
    const auto count =
        static_cast<int>(std::count_if(studies.begin(), studies.end(), [&](const Study& study) {
          return study.direction == direction;
        }));
    if (count > best.count) {
      best = {direction, count, false};
      n_best = 1;
    } else if (count == best.count) {
      ++n_best;
    }
  }
  if (n_best > 1) return {kNoChange, 0, false};
  best.agree = best.count == static_cast<int>(studies.size());
  return best;
}

std::string study_line(const Study& study) {
  return cited(study) + ": n = " + std::to_string(study.n) + " " + study.subjects + ", " +
         study.method + ", " + std::string(direction_name(study.direction)) + ".";
}

std::string synthesis(const ReviewTruth& truth) {
  std::string text;
  for (const int direction : kDirections) {
    std::vector<std::string> names;
    for (const Study& study : truth.studies) {
      if (study.direction == direction) names.push_back(cited(study));
    }
    text += capitalised(direction_name(direction)) + ": " +
            (names.empty() ? "none" : join(names, ", ")) + ".\n";
  }
  const Overall all = overall(truth.studies);
  text += "Overall: ";
  const std::string of = " of " + std::to_string(truth.studies.size()) + ")";
  if (all.count == 0) return text + "no majority; the studies conflict.";
  text += all.agree ? "" : "mostly ";
  text += std::string(direction_name(all.direction)) + " (" + std::to_string(all.count) + of;
  return text + (all.agree ? "; the studies agree." : "; the studies conflict.");
}

std::string review_answer(const ReviewTruth& truth) {
  // What every direction below is about.
  const std::string about = "Effect of " + truth.cause + " on " + truth.outcome + ".\n";
  switch (truth.skill) {
    case ReviewSkill::kExtract:
      return about + study_line(truth.studies[0]);
    case ReviewSkill::kSynthesise:
      return synthesis(truth);
    case ReviewSkill::kFull:
      return about + study_lines(truth) + "\n" + synthesis(truth);
  }
  AC_CHECK(false);
}

ReviewTruth draw_studies(Draw& draw, size_t n, const std::string& cause, const std::string& outcome,
                         bool settled) {
  ReviewTruth truth;
  truth.cause = cause;
  truth.outcome = outcome;
  std::vector<std::string> taken;
  const auto new_family = [&] {
    while (true) {
      const std::string family = draw_family(draw);
      const bool clash = std::any_of(taken.begin(), taken.end(), [&](const std::string& other) {
        return other.find(family) != std::string::npos || family.find(other) != std::string::npos;
      });
      if (clash) continue;
      taken.push_back(family);
      return family;
    }
  };
  const int main = draw.chance(0.5) ? kRises : kFalls;
  std::set<int> sizes;
  for (size_t i = 0; i < n; ++i) {
    Study study;
    const int n_authors = draw.chance(0.35) ? 1 : draw.chance(0.5) ? 2 : draw.range(3, 4);
    for (int a = 0; a < n_authors; ++a) study.authors.push_back(new_family());
    study.year = draw.range(1994, 2025);
    do {
      study.n = draw.chance(0.5) ? draw.range(8, 99) : draw.range(100, 960);
    } while (!sizes.insert(study.n).second);
    study.subjects = draw.word("review.subjects");
    study.method = draw.word("review.method");
    const bool follows = draw.chance(0.6);
    study.direction = follows ? main : kDirections[draw.below(kDirections.size())];
    truth.studies.push_back(std::move(study));
  }
  if (settled) {
    // More than half, in any place, go the same way.
    std::vector<size_t> order(n);
    for (size_t i = 0; i < n; ++i) order[i] = i;
    draw.shuffle(order);
    for (size_t i = 0; i < n / 2 + 1; ++i) truth.studies[order[i]].direction = main;
  }
  return truth;
}

Made<ReviewTruth> make_extraction(Draw& draw, const ReviewTruth& truth, size_t which, double level,
                                  const std::vector<std::string>& side_outcomes) {
  Made<ReviewTruth> made;
  made.truth = truth;
  made.truth.skill = ReviewSkill::kExtract;
  made.truth.studies = {truth.studies[which]};
  made.answer = review_answer(made.truth);
  const Abstract abstract = write_abstract(draw, truth, truth.studies[which], level, side_outcomes,
                                           1 + static_cast<int>(3 * level));
  made.prompt =
      request(draw, "review.extract",
              {{"cause", truth.cause}, {"outcome", truth.outcome}, {"material", abstract.text}});
  made.difficulty = rate(made.truth, level, abstract.n_distractors);
  return made;
}

Made<ReviewTruth> make_synthesis(Draw& draw, const ReviewTruth& truth,
                                 const std::string& material) {
  Made<ReviewTruth> made;
  made.truth = truth;
  made.truth.skill = ReviewSkill::kSynthesise;
  made.answer = review_answer(made.truth);
  made.prompt =
      request(draw, "review.synthesise",
              {{"cause", truth.cause}, {"outcome", truth.outcome}, {"material", material}});
  made.difficulty = rate(made.truth, 0, 0);
  return made;
}

Made<ReviewTruth> make_review(Draw& draw) {
  const double level = draw.uniform();
  const double skill = draw.uniform();
  std::vector<std::string> quantities = draw.quantities(5);
  const std::vector<std::string> side(quantities.begin() + 2, quantities.end());
  const size_t n = static_cast<size_t>(draw.range(2, 2 + static_cast<int>(4.99 * level)));
  const ReviewTruth truth = draw_studies(draw, n, quantities[0], quantities[1], draw.chance(0.3));
  if (skill < 0.15) return make_extraction(draw, truth, 0, level, side);
  if (skill < 0.28) return make_synthesis(draw, truth, study_lines(truth));
  return make_full_review(draw, truth, level, side);
}

Made<ReviewTruth> make_full_review(Draw& draw, const ReviewTruth& truth, double level,
                                   const std::vector<std::string>& side_outcomes) {
  const size_t n = truth.studies.size();
  Made<ReviewTruth> made;
  made.truth = truth;
  made.truth.skill = ReviewSkill::kFull;
  made.answer = review_answer(made.truth);
  std::string material;
  int n_distractors = 0;
  // More studies leave less room for each abstract.
  const int most = n >= 5 ? 1 : 1 + static_cast<int>(1.5 * level);
  const bool counted = draw.chance(0.3);
  const std::string_view gap = draw.chance(0.5) ? "\n\n" : "\n";
  for (size_t i = 0; i < n; ++i) {
    const Abstract abstract =
        write_abstract(draw, truth, truth.studies[i], level, side_outcomes, most);
    n_distractors += abstract.n_distractors;
    if (i > 0) material += gap;
    if (counted) material += std::to_string(i + 1) + ". ";
    material += abstract.text;
  }
  made.prompt =
      request(draw, "review.full",
              {{"cause", truth.cause}, {"outcome", truth.outcome}, {"material", material}});
  made.difficulty = rate(made.truth, level, n_distractors);
  return made;
}

}  // namespace ac::tasks
