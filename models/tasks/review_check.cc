#include <algorithm>
#include <map>

#include "models/tasks/review.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

// The forms in which a study may be named; "&" and commas as people write them.
std::vector<std::string> forms(const Study& study) {
  const std::string year = std::to_string(study.year);
  std::vector<std::string> names = {study.authors[0]};
  if (study.authors.size() == 2) {
    names = {study.authors[0] + " and " + study.authors[1],
             study.authors[0] + " & " + study.authors[1]};
  } else if (study.authors.size() > 2) {
    names = {study.authors[0] + " et al.", study.authors[0] + " et al"};
  }
  std::vector<std::string> result;
  for (const std::string& name : names) {
    for (const char* pattern : {" (", ", ", " "}) {
      result.push_back(name + pattern + year +
                       (std::string_view(pattern).ends_with("(") ? ")" : ""));
    }
  }
  return result;
}

struct Clause {
  std::string_view text;
  std::vector<Mention> studies;
  std::vector<Mention> directions;
  std::vector<Number> numbers;
  std::vector<Mention> names;  // studies, cause, outcome: words in them say nothing else
};

class Reader {
 public:
  explicit Reader(const ReviewTruth& truth) : truth_(truth) {
    for (size_t i = 0; i < truth.studies.size(); ++i) {
      for (std::string& form : forms(truth.studies[i])) {
        studies_.push_back({std::move(form), static_cast<int>(i)});
      }
      for (const std::string& author : truth.studies[i].authors) families_.push_back({author, 0});
    }
    // A direction word inside the names of cause and outcome says nothing.
    names_ = {{truth.cause, kCause}, {truth.outcome, kOutcome}};
    described_.resize(truth.studies.size());
    grouped_.resize(truth.studies.size());
  }

  Verdict read(std::string_view text) {
    for (const std::string_view part : clauses(text)) {
      const Clause clause = clause_of(part);
      // Names that are no correct citation: an author dropped, a wrong year.
      for (const Mention& family : find_mentions(part, families_)) {
        const bool inside =
            std::any_of(clause.studies.begin(), clause.studies.end(), [&](const Mention& study) {
              return family.begin >= study.begin && family.end <= study.end;
            });
        if (!inside) return failed("not a correct citation in '" + std::string(part) + "'");
      }
      Verdict verdict = passed();
      if (has_any(part, "review.overall_word", clause.names)) {
        verdict = read_overall(clause);
      } else if (has_any(part, "review.conflict_word", clause.names) ||
                 has_any(part, "review.agree_word", clause.names)) {
        verdict = read_agreement(clause);
      } else if (clause.studies.size() == 1 && !clause.numbers.empty()) {
        verdict = read_study(clause);
      } else {
        verdict = read_group(clause);
      }
      if (!verdict.success) return verdict;
    }
    return complete();
  }

 private:
  static constexpr int kCause = 0, kOutcome = 1;

  Clause clause_of(std::string_view part) const {
    Clause clause{part, find_mentions(part, studies_), {}, {}, {}};
    clause.names = find_mentions(part, names_);
    clause.names.insert(clause.names.end(), clause.studies.begin(), clause.studies.end());
    clause.directions = find_directions(part, clause.names);
    clause.numbers = find_numbers(part, clause.names);
    return clause;
  }

  // "Okafor (2019): n = 48 seedlings, field trial, decrease"
  Verdict read_study(const Clause& clause) {
    const auto which = static_cast<size_t>(clause.studies[0].id);
    const Study& study = truth_.studies[which];
    const std::string name = cited(study);
    const bool number_right =
        clause.numbers.size() == 1 && same_number(clause.numbers[0].text, std::to_string(study.n));
    if (!number_right) return failed("the sample of " + name + " is " + std::to_string(study.n));
    const std::vector<Pattern> facts = {{study.subjects, 0}, {study.method, 1}};
    const std::vector<Mention> found = find_mentions(clause.text, facts);
    for (const Pattern& fact : facts) {
      const bool there = std::any_of(found.begin(), found.end(),
                                     [&](const Mention& each) { return each.id == fact.id; });
      if (!there) return failed("'" + fact.text + "' is missing for " + name);
    }
    Verdict verdict = check_direction(clause);
    if (verdict.success) described_[which] = true;
    return verdict;
  }

  // "Increase: Okafor (2019), Lind (2020)", or "Okafor (2019) and Lind (2020) found an increase"
  Verdict read_group(const Clause& clause) {
    if (!clause.numbers.empty()) {
      return failed("a number out of place: " + std::string(clause.numbers[0].text));
    }
    if (clause.studies.empty()) {
      if (clause.text.starts_with("Effect of ")) return read_subject(clause);
      // "Decrease: none"; no claim that all studies went one way may hide here.
      const bool says_none = has_any(clause.text, "review.none_word", clause.names);
      if (clause.directions.empty() || !says_none) return passed();
      const int direction = clause.directions[0].id;
      const bool really =
          std::none_of(truth_.studies.begin(), truth_.studies.end(),
                       [&](const Study& study) { return study.direction == direction; });
      return really ? passed()
                    : failed("some studies found " + std::string(direction_name(direction)));
    }
    Verdict verdict = check_direction(clause);
    if (!verdict.success) return verdict;
    for (const Mention& study : clause.studies) grouped_[static_cast<size_t>(study.id)] = true;
    return passed();
  }

  // "Effect of shade depth on leaf area"
  Verdict read_subject(const Clause& clause) const {
    const bool right = clause.names.size() == 2 && clause.names[0].id == kCause &&
                       clause.names[1].id == kOutcome;
    return right ? passed()
                 : failed("the effect is that of " + truth_.cause + " on " + truth_.outcome);
  }

  Verdict check_direction(const Clause& clause) const {
    if (clause.directions.empty()) {
      return failed("no direction in '" + std::string(clause.text) + "'");
    }
    for (const Mention& direction : clause.directions) {
      for (const Mention& study : clause.studies) {
        const Study& truth = truth_.studies[static_cast<size_t>(study.id)];
        if (direction.id != truth.direction) {
          return failed(cited(truth) + " found " + std::string(direction_name(truth.direction)));
        }
      }
    }
    return passed();
  }

  // "mostly increase (2 of 3)", "no majority"
  Verdict read_overall(const Clause& clause) {
    const Overall truth = overall(truth_.studies);
    has_overall_ = true;
    if (truth.count == 0) {
      const bool right = has_any(clause.text, "review.mixed_word", clause.names) &&
                         clause.numbers.empty() && clause.directions.empty();
      return right ? read_agreement(clause, false) : failed("no direction has a majority");
    }
    const std::string expected = std::string(direction_name(truth.direction)) + " (" +
                                 std::to_string(truth.count) + " of " +
                                 std::to_string(truth_.studies.size()) + ")";
    const bool counts_right =
        clause.numbers.size() == 2 &&
        same_number(clause.numbers[0].text, std::to_string(truth.count)) &&
        same_number(clause.numbers[1].text, std::to_string(truth_.studies.size()));
    const bool direction_right =
        !clause.directions.empty() &&
        std::all_of(clause.directions.begin(), clause.directions.end(),
                    [&](const Mention& direction) { return direction.id == truth.direction; });
    const bool mostly_right =
        !truth.agree || !has_any(clause.text, "review.mostly_word", clause.names);
    if (!counts_right || !direction_right || !mostly_right ||
        has_any(clause.text, "review.mixed_word", clause.names)) {
      return failed("overall: expected " + expected);
    }
    return read_agreement(clause, false);
  }

  // "the studies conflict"
  Verdict read_agreement(const Clause& clause, bool required = true) {
    const bool conflict = has_any(clause.text, "review.conflict_word", clause.names);
    const bool agree = has_any(clause.text, "review.agree_word", clause.names);
    if (!conflict && !agree) {
      return required ? failed("agree or conflict?") : passed();
    }
    if (conflict && agree) return failed("the studies cannot both agree and conflict");
    const bool truly_agree = overall(truth_.studies).agree;
    has_agreement_ = true;
    if (!clause.studies.empty()) return failed("agreement is stated for all studies together");
    if (required && !clause.numbers.empty()) return failed("a number out of place");
    if (agree == truly_agree) return passed();
    return failed(truly_agree ? "the studies agree" : "the studies conflict");
  }

  Verdict complete() const {
    for (size_t i = 0; i < truth_.studies.size(); ++i) {
      if (truth_.skill != ReviewSkill::kSynthesise && !described_[i]) {
        return failed(cited(truth_.studies[i]) + " with its sample is missing");
      }
      if (truth_.skill != ReviewSkill::kExtract && !grouped_[i]) {
        return failed(cited(truth_.studies[i]) + " is in no group");
      }
    }
    if (truth_.skill == ReviewSkill::kExtract) return passed();
    if (!has_overall_) return failed("the overall finding is missing");
    return has_agreement_ ? passed() : failed("whether the studies agree is missing");
  }

  const ReviewTruth& truth_;
  std::vector<Pattern> studies_;
  std::vector<Pattern> families_;
  std::vector<Pattern> names_;
  std::vector<bool> described_;
  std::vector<bool> grouped_;
  bool has_overall_ = false;
  bool has_agreement_ = false;
};

}  // namespace

Verdict check_review(const ReviewTruth& truth, std::string_view answer) {
  return Reader(truth).read(without_markup(answer));
}

}  // namespace ac::tasks
