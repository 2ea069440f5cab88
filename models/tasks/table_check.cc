#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "models/tasks/mentions.h"
#include "models/tasks/table.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

struct Clause {
  std::string_view text;
  std::vector<Mention> rows;       // ids: rows of the table
  std::vector<Mention> variables;  // ids: columns
  std::vector<Mention> directions;
  std::vector<Number> numbers;
  bool says_highest = false;
  bool says_lowest = false;
  bool is_running = false;  // "highest leaf area, against that of ..."
};

// One or two digits; -1: neither.
int to_digits(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = error == std::errc() && end == text.data() + text.size() && text.size() <= 2;
  return good ? value : -1;
}

// Where a number's row and variable are looked for.
enum class Side { kBefore, kAfter };

std::optional<size_t> neighbour(const std::vector<Mention>& mentions, const Number& number,
                                Side side) {
  std::optional<size_t> found;
  for (const Mention& mention : mentions) {
    if (side == Side::kBefore && mention.end <= number.begin) {
      found = static_cast<size_t>(mention.id);
    }
    if (side == Side::kAfter && mention.begin >= number.end) return static_cast<size_t>(mention.id);
  }
  return found;
}

// The unit stands right behind the number and ends there: "g" is not the "g" of "g/L" or "gram".
bool has_unit(const Clause& clause, const Number& number, std::string_view unit) {
  std::string_view rest = clause.text.substr(number.end);
  if (rest.starts_with(' ')) rest.remove_prefix(1);
  if (!rest.starts_with(unit)) return false;
  rest.remove_prefix(unit.size());
  return rest.empty() || !(is_letter(rest[0]) || is_digit(rest[0]) || rest[0] == '/' ||
                           rest[0] == '^' || rest[0] == '%');
}

class Reader {
 public:
  explicit Reader(const TableTruth& truth)
      : truth_(truth),
        said_(truth.table.rows.size(), std::vector<bool>(truth.table.columns.size())),
        answered_(truth.asked.size()) {
    for (size_t row = 0; row < truth.table.rows.size(); ++row) {
      names_.push_back({truth.table.rows[row], static_cast<int>(row)});
    }
    const int n_rows = static_cast<int>(names_.size());
    for (size_t column = 0; column < truth.table.columns.size(); ++column) {
      names_.push_back({truth.table.columns[column].variable, n_rows + static_cast<int>(column)});
    }
  }

  Verdict read(std::string_view text) {
    for (const std::string_view part : clauses(text)) {
      const Clause clause = clause_of(part);
      if (clause.numbers.empty() && clause.rows.empty()) continue;  // "Here you are:"
      Verdict verdict = is_working(clause) ? read_working(clause)
                        : clause.says_highest && clause.says_lowest
                            ? failed("two comparisons in one clause")
                        : clause.is_running          ? read_run(clause)
                        : clause.says_highest        ? read_extreme(clause, Operation::kHighest)
                        : clause.says_lowest         ? read_extreme(clause, Operation::kLowest)
                        : is_pair(clause)            ? read_pair(clause)
                        : !clause.directions.empty() ? read_difference(clause)
                                                     : read_values(clause);
      if (!verdict.success) return verdict;
    }
    return complete();
  }

 private:
  Clause clause_of(std::string_view part) const {
    Clause clause;
    clause.text = part;
    const std::vector<Mention> names = find_mentions(part, names_);
    const int n_rows = static_cast<int>(truth_.table.rows.size());
    for (Mention name : names) {
      if (name.id < n_rows) {
        clause.rows.push_back(name);
      } else {
        name.id -= n_rows;
        clause.variables.push_back(name);
      }
    }
    clause.directions = find_directions(part, names);
    clause.says_highest = has_any(part, "compare.highest", names);
    clause.says_lowest = has_any(part, "compare.lowest", names);
    clause.is_running = (clause.says_highest || clause.says_lowest) &&
                        has_any(part, "compare.running", names);
    clause.numbers = find_numbers(part, names);
    return clause;
  }

  std::string value_of(size_t row, size_t column) const {
    return decimal(truth_.table.values[row][column], truth_.table.columns[column].decimals);
  }

  // The column that a number is about, by the variable named beside it or by its unit alone.
  std::optional<size_t> column_of(const Clause& clause, const Number& number, Side side) const {
    if (const auto named = neighbour(clause.variables, number, side)) return named;
    if (!clause.variables.empty()) return std::nullopt;
    std::optional<size_t> only;
    for (const size_t column : truth_.used) {
      if (!has_unit(clause, number, truth_.table.columns[column].unit)) continue;
      if (only) return std::nullopt;
      only = column;
    }
    return only;
  }

  bool is_used(size_t column) const {
    return std::find(truth_.used.begin(), truth_.used.end(), column) != truth_.used.end();
  }

  // All numbers of the clause read with rows and variables on the given sides; empty if one is
  // wrong.
  std::vector<std::pair<size_t, size_t>> cells_if(const Clause& clause, Side row_side,
                                                  Side column_side) const {
    std::vector<std::pair<size_t, size_t>> cells;
    for (const Number& number : clause.numbers) {
      const auto row = neighbour(clause.rows, number, row_side);
      const auto column = column_of(clause, number, column_side);
      const bool right = row && column && is_used(*column) &&
                         same_number(number.text, value_of(*row, *column)) &&
                         has_unit(clause, number, truth_.table.columns[*column].unit);
      if (!right) return {};
      cells.emplace_back(*row, *column);
    }
    return cells;
  }

  Verdict read_values(const Clause& clause) {
    if (clause.numbers.empty()) return failed("a row is named without a value");
    for (const Side row_side : {Side::kBefore, Side::kAfter}) {
      for (const Side column_side : {Side::kBefore, Side::kAfter}) {
        const auto cells = cells_if(clause, row_side, column_side);
        if (cells.empty()) continue;
        // Every row named has a value here.
        const bool all_used =
            std::all_of(clause.rows.begin(), clause.rows.end(), [&](const Mention& name) {
              return std::any_of(cells.begin(), cells.end(), [&](const auto& cell) {
                return cell.first == static_cast<size_t>(name.id);
              });
            });
        if (!all_used) continue;
        for (const auto& [row, column] : cells) said_[row][column] = true;
        return passed();
      }
    }
    return failed("wrong value, unit, row or variable in '" + std::string(clause.text) + "'");
  }

  // "The dose for A was 5 g and for B it was 7 g, which is higher": of the second.
  static bool is_pair(const Clause& clause) {
    return clause.rows.size() == 2 && clause.numbers.size() == 2 &&
           clause.directions.size() == 1 &&
           clause.directions[0].begin >= clause.numbers[1].end;
  }
  Verdict read_pair(const Clause& clause) {
    const Verdict values = read_values(clause);
    if (!values.success) return values;
    const auto column = compared_column(clause);
    if (!column) return failed("what is compared is not clear");
    const auto value = [&](size_t i) {
      return truth_.table.values[static_cast<size_t>(clause.rows[i].id)][*column];
    };
    const bool right = value(0) != value(1) &&
                       clause.directions[0].id == (value(1) > value(0) ? kRises : kFalls);
    return right ? passed() : failed("the direction is the other way round");
  }

  std::optional<size_t> compared_column(const Clause& clause) const {
    std::optional<size_t> column;
    for (const Mention& variable : clause.variables) {
      const auto here = static_cast<size_t>(variable.id);
      if (column && *column != here) return std::nullopt;
      column = here;
    }
    if (!column && truth_.used.size() == 1) column = truth_.used[0];
    return column;
  }

  static bool is_working(const Clause& clause) {
    for (size_t i = 0; i < clause.numbers.size(); ++i) {
      if (stands_between(clause, i, "=")) return true;
    }
    return false;
  }

  // Two values and what their digits come to: "37.2 - 20.4 from the right: 12-4=8, 6-0=6, 3-2=1".
  Verdict read_working(const Clause& clause) const {
    size_t i = 0;
    for (; i < clause.numbers.size() && !stands_between(clause, i, "-"); ++i) {
      if (!is_a_value(clause.numbers[i])) return failed("a number out of place in a calculation");
    }
    for (; i + 2 < clause.numbers.size(); i += 3) {
      const auto digits = [&](size_t at) { return to_digits(clause.numbers[at].text); };
      const int from = digits(i), taken = digits(i + 1);
      const bool right = stands_between(clause, i, "-") && stands_between(clause, i + 1, "=") &&
                         taken >= 0 && from >= taken && from - taken == digits(i + 2);
      if (!right) return failed("wrong calculation in '" + std::string(clause.text) + "'");
    }
    return i == clause.numbers.size() ? passed() : failed("a calculation that breaks off");
  }

  // Whether number `i` and the next are joined by `sign` alone.
  static bool stands_between(const Clause& clause, size_t i, std::string_view sign) {
    if (i + 1 >= clause.numbers.size()) return false;
    const size_t begin = clause.numbers[i].end;
    return clause.text.substr(begin, clause.numbers[i + 1].begin - begin) == sign;
  }

  bool is_a_value(const Number& number) const {
    for (size_t row = 0; row < truth_.table.rows.size(); ++row) {
      for (const size_t column : truth_.used) {
        if (same_number(number.text, value_of(row, column))) return true;
      }
    }
    return false;
  }

  // Rows one after the other: "against that of A, 3 cm²: B at 2 cm² is lower". What has no direction
  // behind it is what the next ones stand against.
  Verdict read_run(const Clause& clause) const {
    const auto column = compared_column(clause);
    if (!column) return failed("what is compared row by row is not clear");
    const Verdict wrong = failed("wrong row by row in '" + std::string(clause.text) + "'");
    if (clause.rows.size() < 2 || clause.numbers.size() != clause.rows.size()) return wrong;
    size_t n_directions = 0;
    int64_t reference = 0;
    for (size_t i = 0; i < clause.rows.size(); ++i) {
      const auto row = static_cast<size_t>(clause.rows[i].id);
      const Number& number = clause.numbers[i];
      const size_t end = i + 1 < clause.rows.size() ? clause.rows[i + 1].begin : clause.text.size();
      const bool in_order = clause.rows[i].end <= number.begin && number.end <= end;
      if (!in_order || !same_number(number.text, value_of(row, *column)) ||
          !has_unit(clause, number, truth_.table.columns[*column].unit)) {
        return wrong;
      }
      const int64_t value = truth_.table.values[row][*column];
      const bool is_compared = n_directions < clause.directions.size() &&
                               clause.directions[n_directions].begin >= number.end &&
                               clause.directions[n_directions].end <= end;
      if (!is_compared) {
        reference = value;
        continue;
      }
      const int sign = value > reference ? kRises : kFalls;
      if (i == 0 || value == reference || clause.directions[n_directions].id != sign) return wrong;
      ++n_directions;
    }
    if (n_directions == 0 || n_directions != clause.directions.size()) return wrong;
    const auto operation = clause.says_highest ? Operation::kHighest : Operation::kLowest;
    const bool is_asked = std::any_of(
        truth_.asked.begin(), truth_.asked.end(), [&](const Asked& asked) {
          return asked.operation == operation && asked.column == *column;
        });
    return is_asked ? passed() : failed("a comparison that nobody asked for");
  }

  Verdict read_extreme(const Clause& clause, Operation operation) {
    const auto column = compared_column(clause);
    const std::string_view word = operation == Operation::kHighest ? "highest" : "lowest";
    if (!column) return failed("what is " + std::string(word) + " is not clear");
    const size_t row = extreme_row(truth_.table, *column, operation);
    const bool row_right = clause.rows.size() == 1 && static_cast<size_t>(clause.rows[0].id) == row;
    if (!row_right) {
      return failed("the " + std::string(word) + " " + truth_.table.columns[*column].variable +
                    " is that of " + truth_.table.rows[row]);
    }
    const bool value_right =
        clause.numbers.size() == 1 && same_number(clause.numbers[0].text, value_of(row, *column)) &&
        has_unit(clause, clause.numbers[0], truth_.table.columns[*column].unit);
    if (!value_right) return failed("the " + std::string(word) + " value with its unit is missing");
    return answer([&](const Asked& asked) {
      return asked.operation == operation && asked.column == *column;
    });
  }

  Verdict read_difference(const Clause& clause) {
    const auto column = compared_column(clause);
    if (!column || clause.rows.size() != 2 || clause.directions.size() != 1 ||
        clause.numbers.size() != 1) {
      return failed("a comparison needs one variable, two rows, one direction and one value");
    }
    const auto first = static_cast<size_t>(clause.rows[0].id);
    const auto second = static_cast<size_t>(clause.rows[1].id);
    if (first == second) return failed("a row is compared with itself");
    const int64_t difference =
        truth_.table.values[first][*column] - truth_.table.values[second][*column];
    const Column unit = difference_column(truth_.table.columns[*column]);
    const bool value_right =
        same_number(clause.numbers[0].text, decimal(std::abs(difference), unit.decimals)) &&
        has_unit(clause, clause.numbers[0], unit.unit);
    if (!value_right) {
      return failed("the difference is " + with_unit(std::abs(difference), unit));
    }
    // "rose from A to B" is about B, "A was higher than B" about A.
    const std::string_view before = trim(clause.text.substr(0, clause.rows[0].begin));
    const bool is_change = before.ends_with("from") || before.ends_with("between");
    const int sign = (difference > 0) == is_change ? kFalls : kRises;
    if (clause.directions[0].id != sign) return failed("the direction is the other way round");
    return answer([&](const Asked& asked) {
      const bool pair =
          (asked.a == first && asked.b == second) || (asked.a == second && asked.b == first);
      return (asked.operation == Operation::kDifference || asked.operation == Operation::kChange) &&
             pair && asked.column == *column;
    });
  }

  template <class Match>
  Verdict answer(const Match& match) {
    bool found = false;
    for (size_t i = 0; i < truth_.asked.size(); ++i) {
      if (!match(truth_.asked[i])) continue;
      answered_[i] = true;
      found = true;
    }
    return found ? passed() : failed("a comparison that nobody asked for");
  }

  Verdict complete() const {
    if (truth_.layout != Layout::kNone) {
      for (size_t row = 0; row < said_.size(); ++row) {
        for (const size_t column : truth_.used) {
          if (said_[row][column]) continue;
          return failed("the " + truth_.table.columns[column].variable + " of " +
                        truth_.table.rows[row] + " is missing");
        }
      }
    }
    if (std::find(answered_.begin(), answered_.end(), false) != answered_.end()) {
      return failed("a comparison that was asked for is missing");
    }
    return passed();
  }

  const TableTruth& truth_;
  std::vector<Pattern> names_;           // rows, then variables
  std::vector<std::vector<bool>> said_;  // [rows][columns]
  std::vector<bool> answered_;
};

}  // namespace

Verdict check_table(const TableTruth& truth, std::string_view answer) {
  return Reader(truth).read(without_markup(answer));
}

}  // namespace ac::tasks
