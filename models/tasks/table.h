// Data-to-text: rows with units to sentences that carry every value, and the comparisons asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/tasks/draw.h"
#include "models/tasks/made.h"

namespace ac::tasks {

struct Column {
  std::string variable;  // "leaf area"
  std::string unit;      // "cm²"
  int decimals = 0;
};

// Values are whole multiples of 10^-decimals, so that differences are exact.
struct Table {
  std::string row_header;  // "strain"
  std::vector<std::string> rows;
  std::vector<Column> columns;
  std::vector<std::vector<int64_t>> values;  // [rows][columns]
  bool is_series = false;                    // rows are days, weeks, ... in order
};

enum class TableFormat { kCsv, kMarkdown, kPairs, kJson };
inline constexpr int kTableFormats = 4;
std::string print_table(const Table& table, TableFormat format);

enum class Layout { kSentences, kBullets, kOneSentence, kNone };
enum class Operation { kHighest, kLowest, kDifference, kChange };
struct Asked {
  Operation operation = Operation::kHighest;
  size_t column = 0;
  size_t a = 0, b = 0;  // rows: a compared with b; the change from a to b
};

struct TableTruth {
  Table table;
  Layout layout = Layout::kSentences;
  std::vector<size_t> used;  // columns that the description covers, in order
  std::vector<Asked> asked;
};

// Whether one of the comparisons is a difference or a change.
bool asks_for_difference(const TableTruth& truth);

std::string decimal(int64_t value, int decimals);
std::string with_unit(int64_t value, const Column& column);  // "5.2 mm", "12%"
// What differences of the column are in: percentage points for percentages.
Column difference_column(const Column& column);
size_t extreme_row(const Table& table, size_t column, Operation operation);

std::string describe(const TableTruth& truth);      // the rows, "" for Layout::kNone
std::string table_answer(const TableTruth& truth);  // and what was asked

Made<TableTruth> make_table_task(Draw& draw);

// The makers that workflows use.
struct TableShape {
  double level = 0.5;
  size_t n_rows = 3;
  size_t n_columns = 1;
  bool coded = false;  // rows are labels such as "KL-42", of which there are always more
};
Table draw_table(Draw& draw, const TableShape& shape);
// Rows of `second` below those of `first`, which has the same columns. REQUIRES: no row twice.
Table stacked(const Table& first, const Table& second);
// As `like`, with other rows.
Table draw_sibling(Draw& draw, const Table& like, size_t n_rows,
                   const std::vector<std::string>& taken);
std::vector<Asked> draw_asked(Draw& draw, const Table& table, const std::vector<size_t>& columns,
                              size_t n);
Made<TableTruth> make_description(Draw& draw, const TableTruth& truth);
// From descriptions instead of a table. `material` as it stands in the prompt.
Made<TableTruth> make_comparison(Draw& draw, const TableTruth& truth, const std::string& material);

// Other wordings pass when every value stands with its unit beside its row and variable, every
// comparison is right and carries its value, and no other number occurs.
Verdict check_table(const TableTruth& truth, std::string_view answer);

}  // namespace ac::tasks
