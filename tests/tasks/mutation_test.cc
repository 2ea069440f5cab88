// Canonical answers with one fact changed: every change of meaning is caught.
#include <gtest/gtest.h>

#include <algorithm>

#include <functional>
#include <map>

#include "models/tasks/task.h"
#include "models/tasks/text.h"
#include "runtime/core/rng.h"

namespace ac::tasks {
namespace {

// A mutation returns the changed answer, or "" where it does not apply.
using Mutation = std::function<std::string(const Task&, Rng&)>;
struct Named {
  const char* name;
  Mutation change;
};

std::string once(const std::string& text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) return "";
  return text.substr(0, at) + std::string(to) + text.substr(at + from.size());
}

// The two swapped wherever they stand.
std::string exchanged(const std::string& text, const std::string& a, const std::string& b) {
  return replaced(replaced(replaced(text, a, "\x02"), b, a), "\x02", b);
}

std::string other_digit(const std::string& text, Rng& rng) {
  std::vector<size_t> digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_digit(text[i])) digits.push_back(i);
  }
  if (digits.empty()) return "";
  std::string changed = text;
  char& digit = changed[digits[rng.below(digits.size())]];
  digit = static_cast<char>('0' + (digit - '0' + 1 + static_cast<int>(rng.below(9))) % 10);
  return changed;
}

std::string without_line(const std::string& text, Rng& rng) {
  std::vector<std::string> lines;
  for (const std::string_view line : split_lines(text)) lines.emplace_back(line);
  if (lines.size() < 2) return "";
  lines.erase(lines.begin() + static_cast<long>(rng.below(lines.size())));
  return join(lines, "\n");
}

// Sentences about rows and comparisons.
std::string without_sentence(const std::string& text, Rng& rng) {
  std::vector<size_t> begins = {0};
  for (size_t at = text.find(". "); at != std::string::npos; at = text.find(". ", at + 1)) {
    begins.push_back(at + 2);
  }
  if (begins.size() < 2) return "";
  const size_t which = rng.below(begins.size() - 1);
  return text.substr(0, begins[which]) + text.substr(begins[which + 1]);
}

// Runs every mutation on many instances and demands that each applies often and never passes.
void expect_all_caught(TaskKind kind, const std::vector<Named>& mutations, int at_least) {
  EXPECT_GE(mutations.size(), 10u);
  std::map<std::string, int> applied;
  for (uint64_t seed = 0; seed < 1200; ++seed) {
    const Task task = make_task(kind, static_cast<Field>(seed % kFields),
                                static_cast<Split>(seed / kFields % kSplits), seed);
    for (const Named& mutation : mutations) {
      Rng rng(seed);
      const std::string changed = mutation.change(task, rng);
      if (changed.empty() || changed == task.answer) continue;
      ++applied[mutation.name];
      EXPECT_FALSE(check(task, changed).success) << mutation.name << "\n"
                                                 << task.answer << "\n->\n"
                                                 << changed;
    }
  }
  for (const Named& mutation : mutations)
    EXPECT_GE(applied[mutation.name], at_least) << mutation.name;
}

TEST(Mutation, Citation) {
  const auto replace = [](std::string_view from, std::string_view to) {
    return [from, to](const Task& task, Rng&) { return once(task.answer, from, to); };
  };
  const auto reference = [](const Task& task) -> const Reference& {
    return std::get<CitationTruth>(task.truth).references[0];
  };
  expect_all_caught(
      TaskKind::kCitation,
      {{"a digit", [](const Task& task, Rng& rng) { return other_digit(task.answer, rng); }},
       {"first author dropped",
        [&](const Task& task, Rng&) {
          return once(task.answer, reference(task).authors[0].family, "");
        }},
       {"two authors exchanged",
        [&](const Task& task, Rng&) {
          const auto& authors = reference(task).authors;
          if (authors.size() < 2) return std::string();
          return exchanged(task.answer, authors[0].family, authors[1].family);
        }},
       {"a comma less", replace(", ", " ")},
       {"a period less", replace(". ", " ")},
       {"hyphen for dash", replace("–", "-")},
       {"straight quotes", replace("“", "\"")},
       {"and for ampersand", replace(" & ", " and ")},
       {"et al. dropped", replace(" et al.", "")},
       {"year dropped",
        [&](const Task& task, Rng&) {
          if (!reference(task).year) return std::string();
          return once(task.answer, std::to_string(*reference(task).year), "");
        }},
       {"volume label changed", replace("vol.", "volume")},
       {"DOI without its prefix", replace("https://doi.org/", "")},
       {"initial dropped", replace(" J.", "")},
       {"title in capitals",
        [](const Task& task, Rng&) {
          std::string text = task.answer;
          for (char& c : text) c = upper(c);
          return text;
        }},
       {"diacritics dropped", replace("é", "e")},
       {"emphasis in the wrong place",
        [](const Task& task, Rng&) { return "*" + task.answer + "*"; }},
       {"two letters exchanged",
        [](const Task& task, Rng& rng) {
          std::string text = task.answer;
          const size_t at = rng.below(text.size() - 1);
          std::swap(text[at], text[at + 1]);
          return text;
        }},
       {"text added", [](const Task& task, Rng&) { return task.answer + "\nHope this helps!"; }}},
      5);
}

TEST(Mutation, Table) {
  const auto truth = [](const Task& task) -> const TableTruth& {
    return std::get<TableTruth>(task.truth);
  };
  const auto replace = [](std::string_view from, std::string_view to) {
    return [from, to](const Task& task, Rng&) { return once(task.answer, from, to); };
  };
  // Digits of values only: row labels hold digits too, and those are changed below.
  const auto value_of = [&](const Task& task, size_t row) {
    const Table& table = truth(task).table;
    const size_t column = truth(task).used[0];
    return with_unit(table.values[row][column], table.columns[column]);
  };
  expect_all_caught(
      TaskKind::kDataToText,
      {{"a digit of a value",
        [&](const Task& task, Rng& rng) {
          const std::string value = value_of(task, 0);
          return once(task.answer, value, other_digit(value, rng));
        }},
       {"values of two rows exchanged",
        [&](const Task& task, Rng&) {
          if (truth(task).layout == Layout::kNone) return std::string();
          return exchanged(task.answer, value_of(task, 0), value_of(task, 1));
        }},
       {"rows exchanged",
        [&](const Task& task, Rng&) {
          if (truth(task).layout == Layout::kNone) return std::string();
          const Table& table = truth(task).table;
          return exchanged(task.answer, table.rows[0], table.rows[1]);
        }},
       {"a unit dropped",
        [&](const Task& task, Rng&) {
          const std::string value = value_of(task, 0);
          const Column& column = truth(task).table.columns[truth(task).used[0]];
          std::string bare = value.substr(0, value.size() - column.unit.size());
          return once(task.answer, value, trim(bare));
        }},
       {"a wrong unit",
        [&](const Task& task, Rng&) {
          const std::string value = value_of(task, 0);
          return once(task.answer, value, value + "/s");
        }},
       {"two variables exchanged",
        [&](const Task& task, Rng&) {
          const TableTruth& table = truth(task);
          if (table.used.size() < 2 || table.layout == Layout::kNone) return std::string();
          return exchanged(task.answer, table.table.columns[table.used[0]].variable,
                           table.table.columns[table.used[1]].variable);
        }},
       {"a row left out",
        [&](const Task& task, Rng& rng) {
          // Values that are subtracted are said once more.
          const std::string described = describe(truth(task));
          if (described.empty() || asks_for_difference(truth(task))) return std::string();
          return (truth(task).layout == Layout::kBullets ? without_line(described, rng)
                                                         : without_sentence(described, rng)) +
                 task.answer.substr(described.size());
        }},
       {"the last comparison left out",
        [&](const Task& task, Rng&) {
          const size_t last = task.answer.rfind("The ");
          const bool is_comparison = !truth(task).asked.empty() && last != std::string::npos;
          return is_comparison ? std::string(trim(task.answer.substr(0, last))) : std::string();
        }},
       {"highest for lowest", replace("The highest", "The lowest")},
       {"lowest for highest", replace("The lowest", "The highest")},
       {"higher for lower", replace("higher than", "lower than")},
       {"lower for higher", replace("lower than", "higher than")},
       {"rose for fell", replace("rose", "fell")},
       {"fell for rose", replace("fell", "rose")},
       {"a comparison left out",
        [&](const Task& task, Rng&) {
          if (truth(task).asked.empty() || truth(task).layout == Layout::kNone)
            return std::string();
          return describe(truth(task));
        }},
       {"another row is the highest",
        [&](const Task& task, Rng&) {
          const size_t at = task.answer.find("The highest");
          if (at == std::string::npos) return std::string();
          const Asked* highest = nullptr;
          for (const Asked& asked : truth(task).asked) {
            if (asked.operation == Operation::kHighest) highest = &asked;
          }
          const Table& table = truth(task).table;
          const size_t row = extreme_row(table, highest->column, Operation::kHighest);
          const std::string& wrong = table.rows[(row + 1) % table.rows.size()];
          return task.answer.substr(0, at) +
                 once(task.answer.substr(at), "that of " + table.rows[row], "that of " + wrong);
        }},
       {"a made-up value", [](const Task& task, Rng&) { return task.answer + " It was 7.77 zg."; }},
       {"a made-up mean",
        [](const Task& task, Rng&) { return task.answer + "\nThe average was 12."; }}},
      20);
}

TEST(Mutation, Review) {
  const auto truth = [](const Task& task) -> const ReviewTruth& {
    return std::get<ReviewTruth>(task.truth);
  };
  const auto replace = [](std::string_view from, std::string_view to) {
    return [from, to](const Task& task, Rng&) { return once(task.answer, from, to); };
  };
  expect_all_caught(
      TaskKind::kReview,
      {{"a digit", [](const Task& task, Rng& rng) { return other_digit(task.answer, rng); }},
       {"increase for decrease", replace(", decrease.", ", increase.")},
       {"decrease for increase", replace(", increase.", ", decrease.")},
       {"effect for none", replace(", no effect.", ", increase.")},
       {"directions of two studies exchanged",
        [&](const Task& task, Rng&) {
          const auto& studies = truth(task).studies;
          if (truth(task).skill != ReviewSkill::kFull) return std::string();
          if (studies[0].direction == studies[1].direction) return std::string();
          ReviewTruth wrong = truth(task);
          std::swap(wrong.studies[0].direction, wrong.studies[1].direction);
          return review_answer(wrong);
        }},
       {"samples of two studies exchanged",
        [&](const Task& task, Rng&) {
          if (truth(task).skill != ReviewSkill::kFull) return std::string();
          ReviewTruth wrong = truth(task);
          std::swap(wrong.studies[0].n, wrong.studies[1].n);
          return review_answer(wrong);
        }},
       {"second author dropped",
        [&](const Task& task, Rng&) {
          const auto& authors = truth(task).studies[0].authors;
          return authors.size() == 2 ? once(task.answer, " and " + authors[1], "") : "";
        }},
       {"et al. dropped", replace(" et al.", "")},
       {"a line dropped",
        [](const Task& task, Rng& rng) {
          const std::string changed = without_line(task.answer, rng);
          // What it is all about need not be said again.
          if (task.answer.starts_with("Effect of ") != changed.starts_with("Effect of ")) {
            return std::string();
          }
          // "Decrease: none." says nothing that the other groups do not.
          size_t n_none = 0;
          size_t n_left = 0;
          for (const std::string_view line : split_lines(task.answer))
            n_none += line.ends_with(": none.");
          for (const std::string_view line : split_lines(changed))
            n_left += line.ends_with(": none.");
          return n_left < n_none ? std::string() : changed;
        }},
       {"cause and outcome swapped",
        [&](const Task& task, Rng&) {
          if (!task.answer.starts_with("Effect of ")) return std::string();
          return "Effect of " + truth(task).outcome + " on " + truth(task).cause +
                 task.answer.substr(task.answer.find(".\n"));
        }},
       {"a study moved to another group",
        [&](const Task& task, Rng&) {
          if (truth(task).skill == ReviewSkill::kExtract) return std::string();
          ReviewTruth wrong = truth(task);
          wrong.studies[0].direction = wrong.studies[0].direction == kFalls ? kRises : kFalls;
          // The group lines of the wrong synthesis above the right overall line.
          const std::string right = synthesis(truth(task));
          const std::string moved = synthesis(wrong);
          return once(task.answer, right.substr(0, right.find("Overall")),
                      moved.substr(0, moved.find("Overall")));
        }},
       {"a study dropped from its group",
        [&](const Task& task, Rng&) {
          if (truth(task).skill == ReviewSkill::kExtract) return std::string();
          const size_t at = task.answer.find("Increase:");
          return task.answer.substr(0, at) +
                 once(task.answer.substr(at), cited(truth(task).studies[0]), "");
        }},
       {"a study claimed absent",
        [&](const Task& task, Rng&) {
          const size_t at = task.answer.find("\nIncrease: ");
          if (at == std::string::npos) return std::string();
          const size_t end = task.answer.find('\n', at + 1);
          return task.answer.substr(0, at) + "\nIncrease: none." + task.answer.substr(end);
        }},
       {"overall turned round", replace("Overall: mostly increase", "Overall: mostly decrease")},
       {"overall for no majority", replace("no majority", "mostly increase")},
       {"mostly for all", replace("Overall: increase", "Overall: mostly increase")},
       {"agree for conflict", replace("the studies conflict", "the studies agree")},
       {"conflict for agree", replace("the studies agree", "the studies conflict")},
       {"method dropped",
        [&](const Task& task, Rng&) {
          return once(task.answer, " " + truth(task).studies[0].method + ",", "");
        }},
       {"subjects dropped",
        [&](const Task& task, Rng&) {
          return once(task.answer, " " + truth(task).studies[0].subjects, "");
        }},
       {"a study invented",
        [](const Task& task, Rng&) {
          return task.answer + "\nMiller (1803): n = 12 mice, survey, increase.";
        }}},
      10);
}

TEST(Mutation, Hypothesis) {
  const auto truth = [](const Task& task) -> const HypothesisTruth& {
    return std::get<HypothesisTruth>(task.truth);
  };
  // The canonical answer to a truth that was tampered with.
  const auto tampered = [&](std::function<void(HypothesisTruth&, Rng&)> change) {
    return [&truth, change](const Task& task, Rng& rng) {
      HypothesisTruth wrong = truth(task);
      change(wrong, rng);
      return hypothesis_answer(wrong);
    };
  };
  const auto line = [](std::string_view label, std::function<std::string(std::string)> change) {
    return [label, change](const Task& task, Rng&) {
      std::string result;
      bool found = false;
      for (const std::string_view each : split_lines(task.answer)) {
        const bool here = each.starts_with(label);
        found = found || here;
        const std::string text = here ? change(std::string(each)) : std::string(each);
        if (!text.empty()) result += text + "\n";
      }
      return found ? result : std::string();
    };
  };
  const auto turned = [](const std::string& text) {
    return text.find(" rises.") != std::string::npos ? once(text, " rises.", " falls.")
                                                     : once(text, " falls.", " rises.");
  };
  const auto dropped = [](const std::string&) { return std::string(); };
  const auto first_sign_turned = [](const std::string& text) {
    return text.find(" raises ") != std::string::npos ? once(text, " raises ", " lowers ")
                                                      : once(text, " lowers ", " raises ");
  };
  expect_all_caught(
      TaskKind::kHypothesis,
      {{"one direction of the chain", tampered([](HypothesisTruth& wrong, Rng& rng) {
          wrong.directions[rng.below(wrong.directions.size())] *= -1;
        })},
       {"all directions",
        line("Chain", [](const std::string& text) { return exchanged(text, " rises", " falls"); })},
       {"a relation's sign", line("Relations", first_sign_turned)},
       {"a link's sign", line("Links", first_sign_turned)},
       {"the sign of a relation beside the chain",
        [&](const Task& task, Rng&) {
          const HypothesisTruth& right = truth(task);
          const auto aside =
              std::find_if(right.relations.begin(), right.relations.end(),
                           [](const Relation& relation) { return relation.aside; });
          if (aside == right.relations.end()) return std::string();
          const bool raises = aside->sign == kRises;
          return once(task.answer, aside->from + (raises ? " raises " : " lowers ") + aside->to,
                      aside->from + (raises ? " lowers " : " raises ") + aside->to);
        }},
       {"prediction turned", line("Prediction", turned)},
       {"prediction dropped", line("Prediction", dropped)},
       {"chain dropped", line("Chain", dropped)},
       {"link dropped", line("Untested", dropped)},
       {"experiment dropped", line("Experiment", dropped)},
       {"a step dropped",
        [&](const Task& task, Rng&) {
          const HypothesisTruth& right = truth(task);
          const std::string step =
              right.chain[1] + (right.directions[1] == kRises ? " rises" : " falls");
          return once(task.answer, ", so " + step, "");
        }},
       {"two steps exchanged",
        tampered([](HypothesisTruth& wrong, Rng&) { std::swap(wrong.chain[0], wrong.chain[1]); })},
       {"another link", tampered([](HypothesisTruth& wrong, Rng&) {
          const int n_links = static_cast<int>(wrong.chain.size()) - 1;
          wrong.untested = (wrong.untested + 1) % n_links;
        })},
       {"link turned round", line("Untested",
                                  [](const std::string& text) {
                                    const size_t colon = text.find(": ");
                                    const size_t to = text.find(" to ");
                                    return text.substr(0, colon + 2) +
                                           text.substr(to + 4, text.size() - to - 5) + " to " +
                                           text.substr(colon + 2, to - colon - 2) + ".";
                                  })},
       {"vary and measure exchanged",
        line("Experiment",
             [](const std::string& text) { return exchanged(text, "vary", "measure"); })},
       {"nothing measured",
        line("Experiment",
             [](const std::string& text) { return text.substr(0, text.find(" and measure")); })},
       {"expectation turned",
        [&](const Task& task, Rng&) {
          if (truth(task).skill != HypothesisSkill::kExperiment) return std::string();
          return exchanged(task.answer, "should raise", "should lower");
        }},
       {"expectation dropped",
        [&](const Task& task, Rng&) {
          if (truth(task).skill != HypothesisSkill::kExperiment) return std::string();
          return task.answer.substr(0, task.answer.find(';'));
        }},
       {"a quantity off the chain",
        [&](const Task& task, Rng&) {
          if (truth(task).others.empty()) return std::string();
          return once(task.answer, truth(task).chain.back(), truth(task).others[0]);
        }},
       {"a number", [](const Task& task, Rng&) { return task.answer + "\nBy about 40 percent."; }}},
      20);
}

}  // namespace
}  // namespace ac::tasks
