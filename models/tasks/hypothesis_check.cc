#include <algorithm>

#include "models/tasks/hypothesis.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

// What one clause says: which quantities it names and which way each goes.
struct Clause {
  std::string_view text;
  std::vector<Mention> names;  // ids: place in the chain; below 0: off it, -1 the first of `others`
  std::vector<Mention> directions;
};

// The direction word that belongs to names[i]: the first one between it and the next name, or (as
// in "higher A, lower B") the last one between it and the name before. 2 when there is none.
constexpr int kUnsaid = 2;
int direction_after(const Clause& clause, size_t i) {
  const size_t limit = i + 1 < clause.names.size() ? clause.names[i + 1].begin : clause.text.size();
  for (const Mention& direction : clause.directions) {
    if (direction.begin >= clause.names[i].end && direction.end <= limit) return direction.id;
  }
  return kUnsaid;
}
int direction_before(const Clause& clause, size_t i) {
  const size_t limit = i > 0 ? clause.names[i - 1].end : 0;
  int found = kUnsaid;
  for (const Mention& direction : clause.directions) {
    if (direction.begin >= limit && direction.end <= clause.names[i].begin) found = direction.id;
  }
  return found;
}

bool is_whole_chain(const Clause& clause, size_t n) {
  if (clause.names.size() < n) return false;
  for (size_t i = 0; i < n; ++i) {
    if (clause.names[i].id != static_cast<int>(i)) return false;
  }
  return clause.names.size() == n;
}

Verdict check_chain(const HypothesisTruth& truth, const Clause& clause) {
  bool after = true;
  bool before = true;
  for (size_t i = 0; i < truth.chain.size(); ++i) {
    after = after && direction_after(clause, i) == truth.directions[i];
    before = before && direction_before(clause, i) == truth.directions[i];
  }
  if (after || before) return passed();
  for (size_t i = 0; i < truth.chain.size(); ++i) {
    const int said = direction_after(clause, i);
    if (said == truth.directions[i]) continue;
    return failed("in the chain, '" + truth.chain[i] + "' should " +
                  (truth.directions[i] == kRises ? "rise" : "fall") +
                  (said == kUnsaid ? "; no direction is given" : ""));
  }
  return failed("the chain's directions cannot be told");
}

// "A lowers B": two names and one direction word between them.
bool is_relation(const Clause& clause) {
  return clause.names.size() == 2 && clause.directions.size() == 1 &&
         clause.directions[0].begin >= clause.names[0].end &&
         clause.directions[0].end <= clause.names[1].begin;
}
bool is_link(const Clause& clause) {
  return is_relation(clause) && clause.names[0].id >= 0 &&
         clause.names[1].id == clause.names[0].id + 1;
}
bool is_aside(const Clause& clause) {
  return is_relation(clause) && (clause.names[0].id < 0 || clause.names[1].id < 0);
}

Verdict check_sign(const Clause& clause, int sign, const std::string& from, const std::string& to) {
  if (clause.directions[0].id == sign) return passed();
  return failed("'" + from + "' " + (sign == kRises ? "raises" : "lowers") + " '" + to + "'");
}

Verdict check_link_sign(const HypothesisTruth& truth, const Clause& clause) {
  const auto at = static_cast<size_t>(clause.names[0].id);
  return check_sign(clause, truth.directions[at] * truth.directions[at + 1], truth.chain[at],
                    truth.chain[at + 1]);
}

const std::string& name_of(const HypothesisTruth& truth, const Mention& name) {
  return name.id < 0 ? truth.others[static_cast<size_t>(-1 - name.id)]
                     : truth.chain[static_cast<size_t>(name.id)];
}

// Of a quantity off the chain, only what the material says of it.
Verdict check_aside(const HypothesisTruth& truth, const Clause& clause) {
  const std::string& from = name_of(truth, clause.names[0]);
  const std::string& to = name_of(truth, clause.names[1]);
  for (const Relation& relation : truth.relations) {
    if (relation.from != from || relation.to != to) continue;
    return check_sign(clause, relation.sign, from, to);
  }
  return failed("nothing is said of what '" + from + "' does to '" + to + "'");
}

// "Question: A falls, what of D?"
Verdict check_question(const HypothesisTruth& truth, const Clause& clause) {
  const int last = static_cast<int>(truth.chain.size()) - 1;
  const bool right = clause.names.size() == 2 && clause.names[0].id == 0 &&
                     clause.names[1].id == last && clause.directions.size() == 1 &&
                     direction_after(clause, 0) == truth.directions.front();
  if (right) return passed();
  return failed("the question is what '" + truth.chain.back() + "' does when '" +
                truth.chain.front() + "' " +
                (truth.directions.front() == kRises ? "rises" : "falls"));
}

Verdict check_prediction(const HypothesisTruth& truth, const Clause& clause) {
  const int last = static_cast<int>(truth.chain.size()) - 1;
  for (size_t i = clause.names.size(); i-- > 0;) {
    if (clause.names[i].id != last) continue;
    int said = direction_after(clause, i);
    if (said == kUnsaid) said = direction_before(clause, i);
    if (said == truth.directions.back()) return passed();
    return failed("the prediction for '" + truth.chain.back() + "' should be that it " +
                  (truth.directions.back() == kRises ? "rises" : "falls"));
  }
  return failed("the prediction does not name '" + truth.chain.back() + "'");
}

Verdict check_link(const HypothesisTruth& truth, const Clause& clause) {
  const bool right = clause.names.size() == 2 && clause.names[0].id == truth.untested &&
                     clause.names[1].id == truth.untested + 1;
  if (right) return passed();
  const auto at = static_cast<size_t>(truth.untested);
  return failed("the untested link is '" + truth.chain[at] + "' to '" + truth.chain[at + 1] + "'");
}

// "vary A and measure B": the first name after each keyword.
Verdict check_design(const HypothesisTruth& truth, const Clause& clause) {
  std::vector<Pattern> keywords;
  for (const std::string& word : lexicon().list("experiment.vary", Split::kTrain)) {
    keywords.push_back({word, 0});
  }
  for (const std::string& word : lexicon().list("experiment.measure", Split::kTrain)) {
    keywords.push_back({word, 1});
  }
  const std::vector<Mention> said = find_mentions(clause.text, keywords);
  for (int role = 0; role < 2; ++role) {
    const auto keyword = std::find_if(said.begin(), said.end(),
                                      [&](const Mention& each) { return each.id == role; });
    if (keyword == said.end()) {
      return failed(role == 0 ? "the experiment varies nothing"
                              : "the experiment measures nothing");
    }
    const auto name = std::find_if(clause.names.begin(), clause.names.end(),
                                   [&](const Mention& each) { return each.begin >= keyword->end; });
    if (name == clause.names.end() || name->id != truth.untested + role) {
      return failed("the experiment should " + std::string(role == 0 ? "vary '" : "measure '") +
                    truth.chain[static_cast<size_t>(truth.untested + role)] + "'");
    }
  }
  return passed();
}

// "raising A should lower B", after the design.
Verdict check_expectation(const HypothesisTruth& truth, const Clause& clause) {
  const bool named = clause.names.size() == 2 && clause.names[0].id == truth.untested &&
                     clause.names[1].id == truth.untested + 1;
  if (!named) return failed("what the experiment should show is not said of the untested link");
  int cause = direction_before(clause, 0);
  int effect = direction_before(clause, 1);
  if (cause == kUnsaid) {  // "if A is raised, B should fall"
    cause = direction_after(clause, 0);
    effect = direction_after(clause, 1);
  }
  if (cause == kUnsaid || effect == kUnsaid || cause * effect != truth.link_sign()) {
    return failed("the experiment should show that raising the one " +
                  std::string(truth.link_sign() == kRises ? "raises" : "lowers") + " the other");
  }
  return passed();
}

std::vector<Clause> read(const HypothesisTruth& truth, std::string_view text) {
  std::vector<Pattern> names;
  for (size_t i = 0; i < truth.chain.size(); ++i) {
    names.push_back({truth.chain[i], static_cast<int>(i)});
  }
  for (size_t i = 0; i < truth.others.size(); ++i) {
    names.push_back({truth.others[i], -1 - static_cast<int>(i)});
  }
  std::vector<Clause> result;
  for (const std::string_view part : clauses(text)) {
    Clause clause{part, find_mentions(part, names), {}};
    clause.directions = find_directions(part, clause.names);
    result.push_back(std::move(clause));
  }
  return result;
}

}  // namespace

Verdict check_hypothesis(const HypothesisTruth& truth, std::string_view answer) {
  const std::string text = without_markup(answer);
  int n_chains = 0;
  int n_predictions = 0;
  int n_links = 0;
  int n_designs = 0;
  int n_expectations = 0;
  for (const Clause& clause : read(truth, text)) {
    const bool states_aside = truth.skill != HypothesisSkill::kExperiment && is_aside(clause);
    const bool names_other = std::any_of(clause.names.begin(), clause.names.end(),
                                         [](const Mention& name) { return name.id < 0; });
    if (names_other && !states_aside) return failed("a quantity off the chain is named");
    if (!find_numbers(clause.text, clause.names).empty()) {
      return failed("a number that nobody gave");
    }
    Verdict verdict = passed();
    if (has_any(clause.text, "hypothesis.question", clause.names)) {
      verdict = check_question(truth, clause);
    } else if (has_any(clause.text, "experiment.measure", clause.names)) {
      verdict = check_design(truth, clause);
      ++n_designs;
    } else if (has_any(clause.text, "untested.word", clause.names)) {
      verdict = check_link(truth, clause);
      ++n_links;
    } else if (truth.skill == HypothesisSkill::kExperiment) {
      verdict = check_expectation(truth, clause);
      ++n_expectations;
    } else if (states_aside) {
      verdict = check_aside(truth, clause);
    } else if (is_link(clause)) {
      verdict = check_link_sign(truth, clause);
    } else if (is_whole_chain(clause, truth.chain.size()) && n_chains == 0) {
      verdict = check_chain(truth, clause);
      ++n_chains;
    } else {
      verdict = check_prediction(truth, clause);
      ++n_predictions;
    }
    if (!verdict.success) return verdict;
  }
  if (n_designs != 1) return failed("expected one experiment");
  if (truth.skill == HypothesisSkill::kExperiment) {
    return n_expectations == 1 ? passed() : failed("what the experiment should show is missing");
  }
  if (n_chains != 1) return failed("the chain is missing or not in order");
  if (n_predictions < 1) return failed("the prediction is missing");
  if (n_links != 1) return failed("the untested link is missing");
  return passed();
}

}  // namespace ac::tasks
