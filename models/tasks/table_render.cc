// Tables as they are pasted, and the canonical sentences about them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <span>

#include "models/tasks/table.h"
#include "models/tasks/text.h"
#include "runtime/core/json.h"

namespace ac::tasks {
namespace {

std::string cell(const Table& table, size_t row, size_t column) {
  return decimal(table.values[row][column], table.columns[column].decimals);
}

std::string header(const Column& column) { return column.variable + " (" + column.unit + ")"; }

std::string csv(const Table& table) {
  std::string text = table.row_header;
  for (const Column& column : table.columns) text += "," + header(column);
  for (size_t row = 0; row < table.rows.size(); ++row) {
    text += "\n" + table.rows[row];
    for (size_t column = 0; column < table.columns.size(); ++column) {
      text += "," + cell(table, row, column);
    }
  }
  return text;
}

std::string markdown(const Table& table) {
  std::string text = "| " + table.row_header + " |";
  for (const Column& column : table.columns) text += " " + header(column) + " |";
  text += "\n|---|";
  for (size_t column = 0; column < table.columns.size(); ++column) text += "---|";
  for (size_t row = 0; row < table.rows.size(); ++row) {
    text += "\n| " + table.rows[row] + " |";
    for (size_t column = 0; column < table.columns.size(); ++column) {
      text += " " + cell(table, row, column) + " |";
    }
  }
  return text;
}

std::string pairs(const Table& table) {
  std::string text;
  for (size_t row = 0; row < table.rows.size(); ++row) {
    if (row > 0) text += "\n";
    text += table.row_header + ": " + table.rows[row];
    for (size_t column = 0; column < table.columns.size(); ++column) {
      text += "; " + table.columns[column].variable + ": " +
              with_unit(table.values[row][column], table.columns[column]);
    }
  }
  return text;
}

std::string json(const Table& table) {
  std::string text = "{\"units\": {";
  for (size_t column = 0; column < table.columns.size(); ++column) {
    text += (column > 0 ? ", " : "") + json_quote(table.columns[column].variable) + ": " +
            json_quote(table.columns[column].unit);
  }
  text += "},\n\"rows\": [";
  for (size_t row = 0; row < table.rows.size(); ++row) {
    text += (row > 0 ? ",\n{" : "\n{") + json_quote(table.row_header) + ": " +
            json_quote(table.rows[row]);
    for (size_t column = 0; column < table.columns.size(); ++column) {
      text += ", " + json_quote(table.columns[column].variable) + ": " + cell(table, row, column);
    }
    text += "}";
  }
  return text + "]}";
}

// "The dose for A was 5 g, for B it was 7 g and for C it was 9 g."
std::string one_sentence(const Table& table, size_t column, std::span<const size_t> rows) {
  std::vector<std::string> parts;
  for (const size_t row : rows) {
    parts.push_back("for " + table.rows[row] + (parts.empty() ? " was " : " it was ") +
                    with_unit(table.values[row][column], table.columns[column]));
  }
  return "The " + table.columns[column].variable + " " + join(parts, Joins{}) + ".";
}

std::string row_sentence(const TableTruth& truth, size_t row) {
  const Table& table = truth.table;
  std::vector<std::string> parts;
  for (const size_t column : truth.used) {
    const std::string of = parts.empty() ? " for " + table.rows[row] : "";
    parts.push_back("the " + table.columns[column].variable + of + " was " +
                    with_unit(table.values[row][column], table.columns[column]));
  }
  return capitalised(join(parts, Joins{})) + ".";
}

std::string row_bullet(const TableTruth& truth, size_t row) {
  const Table& table = truth.table;
  std::vector<std::string> parts;
  for (const size_t column : truth.used) {
    parts.push_back(table.columns[column].variable + " " +
                    with_unit(table.values[row][column], table.columns[column]));
  }
  return "- " + table.rows[row] + ": " + join(parts, ", ");
}

// "Highest leaf area, against that of A, 3 cm²: B at 2 cm² is lower, C at 5 cm² is higher, against that
// of C, 5 cm²: no other." The last of those that the others stood against is the answer, and stands
// there as the answer will name it.
std::string one_after_the_other(const Table& table, const Asked& asked) {
  const Column& column = table.columns[asked.column];
  const bool highest = asked.operation == Operation::kHighest;
  const auto value = [&](size_t row) { return table.values[row][asked.column]; };
  const auto against = [&](size_t row) {
    return ", against that of " + table.rows[row] + ", " + with_unit(value(row), column) + ":";
  };
  size_t best = 0;
  std::string text = (highest ? "Highest " : "Lowest ") + column.variable + against(best);
  bool is_first = true;  // after a colon
  for (size_t row = 1; row < table.rows.size(); ++row) {
    const bool above = value(row) > value(best);
    text += (is_first ? " " : ", ") + table.rows[row] + " at " + with_unit(value(row), column) +
            (above ? " is higher" : " is lower");
    is_first = above == highest;
    if (!is_first) continue;
    best = row;
    text += against(best);
  }
  return text + (is_first ? " no other." : ".");
}

// A difference as it is done on paper: "37.2 - 20.4 from the right: 12-4=8, 6-0=6, 3-2=1."
std::string written_difference(int64_t a, int64_t b, int decimals) {
  int64_t more = std::max(a, b), less = std::min(a, b);
  std::string text = decimal(more, decimals) + " - " + decimal(less, decimals) + " from the right: ";
  for (int64_t borrowed = 0; more > 0;) {
    const int64_t digit = more % 10 - borrowed;
    const int64_t other = less % 10;
    borrowed = digit < other ? 1 : 0;
    const int64_t from = digit + 10 * borrowed;
    text += fmt::format("{}-{}={}{}", from, other, from - other, more >= 10 ? ", " : ".");
    more /= 10;
    less /= 10;
  }
  return text;
}

// "The dose for A was 5 g and for B it was 7 g, which is higher. 7 - 5 from the right: 7-5=2. "
std::string operands(const Table& table, size_t column, size_t first, size_t second) {
  const auto value = [&](size_t row) { return table.values[row][column]; };
  std::string text = one_sentence(table, column, std::array{first, second});
  text.pop_back();
  return text + (value(second) > value(first) ? ", which is higher. " : ", which is lower. ") +
         written_difference(value(first), value(second), table.columns[column].decimals) + " ";
}

// What is compared stands before the comparison, a row before its value, which is higher before by
// how much, and the way to a result before the result: whoever reads it can follow, and whoever
// writes it token by token has at hand what comes next.
std::string comparison(const Table& table, const Asked& asked) {
  const Column& column = table.columns[asked.column];
  const auto value = [&](size_t row) { return table.values[row][asked.column]; };
  switch (asked.operation) {
    case Operation::kHighest:
    case Operation::kLowest: {
      const size_t row = extreme_row(table, asked.column, asked.operation);
      return one_after_the_other(table, asked) +
             (asked.operation == Operation::kHighest ? " The highest " : " The lowest ") +
             column.variable + " was that of " + table.rows[row] + ", " +
             with_unit(value(row), column) + ".";
    }
    case Operation::kDifference: {
      const int64_t difference = value(asked.a) - value(asked.b);
      // The one that the result speaks of comes second: what is said there of it is said again.
      return operands(table, asked.column, asked.b, asked.a) + "The " + column.variable + " for " +
             table.rows[asked.a] + " was " + (difference > 0 ? "higher" : "lower") + " than for " + table.rows[asked.b] + " by " +
             with_unit(std::abs(difference), difference_column(column)) + ".";
    }
    case Operation::kChange: {
      const int64_t change = value(asked.b) - value(asked.a);
      return operands(table, asked.column, asked.a, asked.b) + "The " + column.variable +
             (change > 0 ? " rose by " : " fell by ") +
             with_unit(std::abs(change), difference_column(column)) + " from " +
             table.rows[asked.a] + " to " + table.rows[asked.b] + ".";
    }
  }
  AC_CHECK(false);
}

}  // namespace

bool asks_for_difference(const TableTruth& truth) {
  return std::any_of(truth.asked.begin(), truth.asked.end(), [](const Asked& asked) {
    return asked.operation == Operation::kDifference || asked.operation == Operation::kChange;
  });
}

std::string decimal(int64_t value, int decimals) {
  std::string digits = std::to_string(std::abs(value));
  const auto places = static_cast<size_t>(decimals);
  if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
  if (places > 0) digits.insert(digits.size() - places, ".");
  return value < 0 ? "-" + digits : digits;
}

std::string with_unit(int64_t value, const Column& column) {
  return decimal(value, column.decimals) + (column.unit == "%" ? "" : " ") + column.unit;
}

Column difference_column(const Column& column) {
  Column result = column;
  if (column.unit == "%") result.unit = "percentage points";
  return result;
}

size_t extreme_row(const Table& table, size_t column, Operation operation) {
  size_t best = 0;
  for (size_t row = 1; row < table.rows.size(); ++row) {
    const int64_t here = table.values[row][column];
    const int64_t there = table.values[best][column];
    if (operation == Operation::kHighest ? here > there : here < there) best = row;
  }
  return best;
}

std::string print_table(const Table& table, TableFormat format) {
  switch (format) {
    case TableFormat::kCsv:
      return csv(table);
    case TableFormat::kMarkdown:
      return markdown(table);
    case TableFormat::kPairs:
      return pairs(table);
    case TableFormat::kJson:
      return json(table);
  }
  AC_CHECK(false);
}

std::string describe(const TableTruth& truth) {
  std::vector<std::string> parts;
  switch (truth.layout) {
    case Layout::kNone:
      return "";
    case Layout::kOneSentence: {
      std::vector<size_t> rows(truth.table.rows.size());
      std::iota(rows.begin(), rows.end(), size_t{0});
      return one_sentence(truth.table, truth.used[0], rows);
    }
    case Layout::kSentences:
      for (size_t row = 0; row < truth.table.rows.size(); ++row) {
        parts.push_back(row_sentence(truth, row));
      }
      return join(parts, " ");
    case Layout::kBullets:
      for (size_t row = 0; row < truth.table.rows.size(); ++row) {
        parts.push_back(row_bullet(truth, row));
      }
      return join(parts, "\n");
  }
  AC_CHECK(false);
}

std::string table_answer(const TableTruth& truth) {
  std::vector<std::string> comparisons;
  for (const Asked& asked : truth.asked) comparisons.push_back(comparison(truth.table, asked));
  std::string text = describe(truth);
  if (!text.empty() && !comparisons.empty()) text += "\n";
  return text + join(comparisons, " ");
}

}  // namespace ac::tasks
