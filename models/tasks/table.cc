#include "models/tasks/table.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "models/tasks/request.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

constexpr size_t kMostCells = 9;

int to_int(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  AC_CHECK(error == std::errc() && end == text.data() + text.size());
  return number;
}

// "leaf area|cm²|1|4|80": variable, unit, decimals, least and greatest value.
struct Quantity {
  Column column;
  int64_t low = 0, high = 0;
};
Quantity parse_quantity(std::string_view line) {
  const std::vector<std::string_view> parts = split(line, '|');
  AC_CHECK(parts.size() == 5);
  Quantity quantity{{std::string(parts[0]), std::string(parts[1]), to_int(parts[2])}, 0, 0};
  int64_t scale = 1;
  for (int i = 0; i < quantity.column.decimals; ++i) scale *= 10;
  quantity.low = to_int(parts[3]) * scale;
  quantity.high = to_int(parts[4]) * scale;
  return quantity;
}

// Different values in a column, so that every comparison has one answer.
void draw_column(Draw& draw, Table& table, size_t column, const Quantity& quantity) {
  std::set<int64_t> taken;
  for (auto& row : table.values) {
    int64_t value = 0;
    do {
      value = quantity.low + static_cast<int64_t>(
                                 draw.below(static_cast<size_t>(quantity.high - quantity.low + 1)));
    } while (!taken.insert(value).second);
    row[column] = value;
  }
}

std::vector<std::string> draw_codes(Draw& draw, size_t n, std::vector<std::string> taken) {
  std::vector<std::string> rows;
  while (rows.size() < n) {
    std::string code = draw.code();
    if (std::find(taken.begin(), taken.end(), code) != taken.end()) continue;
    taken.push_back(code);
    rows.push_back(std::move(code));
  }
  return rows;
}

void draw_rows(Draw& draw, Table& table, size_t n, bool coded) {
  constexpr double kCoded = 0.5;
  const double kind = coded ? kCoded : draw.uniform();
  if (kind < 0.25) {
    table.is_series = true;
    table.row_header = draw.word("table.series");
    int at = draw.range(0, 3);
    for (size_t i = 0; i < n; ++i) {
      table.rows.push_back(table.row_header + " " + std::to_string(at));
      at += draw.range(1, 7);
    }
  } else if (kind < 0.6) {
    table.row_header = draw.word("table.coded");
    table.rows = draw_codes(draw, n, {});
  } else {
    // "species: oak; beech; maple"
    const std::string& line = draw.word("table.named");
    const size_t colon = line.find(':');
    AC_CHECK(colon != std::string::npos);
    table.row_header = line.substr(0, colon);
    std::vector<std::string> names;
    for (const std::string_view name : split(std::string_view(line).substr(colon + 1), ';')) {
      names.emplace_back(trim(name));
    }
    AC_CHECK(names.size() >= n);
    draw.shuffle(names);
    names.resize(n);
    table.rows = std::move(names);
  }
}

std::string asked_words(Draw& draw, const Table& table, const Asked& asked) {
  std::string_view key;
  switch (asked.operation) {
    case Operation::kHighest:
      key = "table.ask.highest";
      break;
    case Operation::kLowest:
      key = "table.ask.lowest";
      break;
    case Operation::kDifference:
      key = "table.ask.difference";
      break;
    case Operation::kChange:
      key = "table.ask.change";
      break;
  }
  return draw.filled(key, {{"header", table.row_header},
                           {"variable", table.columns[asked.column].variable},
                           {"a", table.rows[asked.a]},
                           {"b", table.rows[asked.b]}});
}

std::string task_words(Draw& draw, const TableTruth& truth) {
  std::vector<std::string> parts;
  switch (truth.layout) {
    case Layout::kSentences:
      parts.push_back(draw.filled("table.layout.sentences", {{"header", truth.table.row_header}}));
      break;
    case Layout::kBullets:
      parts.push_back(draw.filled("table.layout.bullets", {{"header", truth.table.row_header}}));
      break;
    case Layout::kOneSentence:
      parts.push_back(
          draw.filled("table.layout.one_sentence", {{"header", truth.table.row_header}}));
      break;
    case Layout::kNone:
      parts.push_back(draw.word("table.layout.none"));
      break;
  }
  if (truth.layout != Layout::kNone && truth.used.size() < truth.table.columns.size()) {
    std::vector<std::string> variables;
    for (const size_t column : truth.used)
      variables.push_back(truth.table.columns[column].variable);
    parts.push_back(draw.filled("table.only", {{"variables", join(variables, Joins{})}}));
  }
  for (const Asked& asked : truth.asked) parts.push_back(asked_words(draw, truth.table, asked));
  return join(parts, " ");
}

Difficulty rate(const TableTruth& truth) {
  constexpr double kMostAsked = 3;
  const size_t n_cells =
      truth.layout == Layout::kNone ? 0 : truth.table.rows.size() * truth.used.size();
  const size_t n_left_out = truth.table.columns.size() - truth.used.size();
  int n_digits = 0;
  for (const auto& row : truth.table.values) {
    for (const int64_t value : row) {
      n_digits = std::max(n_digits, static_cast<int>(std::to_string(value).size()));
    }
  }
  int n_arithmetic = 0;
  for (const Asked& asked : truth.asked) {
    n_arithmetic +=
        asked.operation == Operation::kDifference || asked.operation == Operation::kChange;
  }
  const double level =
      0.3 * std::min(1.0, static_cast<double>(truth.table.rows.size() - 2) / 5) +
      0.15 * std::min(1.0, static_cast<double>(n_cells) / kMostCells) +
      0.3 * std::min(1.0, (static_cast<double>(truth.asked.size()) + n_arithmetic) / kMostAsked) +
      0.15 * std::min(1.0, (n_digits - 1) / 3.0) + 0.1 * (n_left_out > 0 ? 1 : 0);
  return {level, static_cast<int>(std::max(n_cells, truth.table.rows.size())),
          static_cast<int>(truth.asked.size()), static_cast<int>(n_left_out)};
}

Layout draw_layout(Draw& draw, size_t n_used) {
  const double u = draw.uniform();
  if (n_used == 1 && u < 0.25) return Layout::kOneSentence;
  return u < 0.7 ? Layout::kSentences : Layout::kBullets;
}

// What other programs write, for training: tabs or semicolons between cells, JSON in one line.
std::string exported(Draw& draw, std::string text, TableFormat format) {
  if (!draw.is_respelled()) return text;
  if (format == TableFormat::kJson && draw.chance(0.35)) {
    std::erase(text, '\n');
  } else if (format == TableFormat::kCsv && draw.chance(0.25)) {
    std::replace(text.begin(), text.end(), ',', draw.chance(0.6) ? '\t' : ';');
  }
  return text;
}

}  // namespace

Table draw_table(Draw& draw, const TableShape& shape) {
  Table table;
  draw_rows(draw, table, shape.n_rows, shape.coded);
  std::vector<std::string> lines = draw.list("table.variable");
  draw.shuffle(lines);
  table.values.assign(shape.n_rows, std::vector<int64_t>(shape.n_columns));
  for (const std::string& line : lines) {
    if (table.columns.size() == shape.n_columns) break;
    const Quantity quantity = parse_quantity(line);
    // Of two that were "surface area" and "leaf area", respelling may have left "area".
    const bool is_taken = std::any_of(
        table.columns.begin(), table.columns.end(),
        [&](const Column& other) { return other.variable == quantity.column.variable; });
    if (is_taken) continue;
    table.columns.push_back(quantity.column);
    draw_column(draw, table, table.columns.size() - 1, quantity);
  }
  AC_CHECK(table.columns.size() == shape.n_columns);
  return table;
}

Table draw_sibling(Draw& draw, const Table& like, size_t n_rows,
                   const std::vector<std::string>& taken) {
  Table table;
  table.row_header = like.row_header;
  table.columns = like.columns;
  table.rows = draw_codes(draw, n_rows, taken);
  table.values.assign(n_rows, std::vector<int64_t>(like.columns.size()));
  for (const std::string& line : draw.list("table.variable")) {
    const Quantity quantity = parse_quantity(line);
    for (size_t column = 0; column < like.columns.size(); ++column) {
      if (like.columns[column].variable != quantity.column.variable) continue;
      // Values that no row of the other table has either, so that comparisons across have one
      // answer.
      const auto is_taken = [&] {
        return std::any_of(table.values.begin(), table.values.end(), [&](const auto& row) {
          return std::any_of(like.values.begin(), like.values.end(),
                             [&](const auto& other) { return other[column] == row[column]; });
        });
      };
      do draw_column(draw, table, column, quantity);
      while (is_taken());
    }
  }
  return table;
}

Table stacked(const Table& first, const Table& second) {
  Table table = first;
  table.is_series = false;
  table.rows.insert(table.rows.end(), second.rows.begin(), second.rows.end());
  table.values.insert(table.values.end(), second.values.begin(), second.values.end());
  return table;
}

std::vector<Asked> draw_asked(Draw& draw, const Table& table, const std::vector<size_t>& columns,
                              size_t n) {
  std::vector<Asked> asked;
  std::vector<Operation> operations = {
      Operation::kHighest, Operation::kLowest,
      table.is_series ? Operation::kChange : Operation::kDifference};
  // Arithmetic is the harder half; it comes as often as the two others together.
  if (draw.chance(0.4)) {
    std::swap(operations[0], operations[2]);
  } else if (draw.chance(0.5)) {
    std::swap(operations[0], operations[1]);
  }
  for (size_t i = 0; i < std::min(n, operations.size()); ++i) {
    Asked each;
    each.operation = operations[i];
    each.column = draw.pick(columns);
    each.a = draw.below(table.rows.size());
    do each.b = draw.below(table.rows.size());
    while (each.b == each.a);
    if (each.operation == Operation::kChange && each.a > each.b) std::swap(each.a, each.b);
    asked.push_back(each);
  }
  return asked;
}

Made<TableTruth> make_description(Draw& draw, const TableTruth& truth) {
  const auto format = static_cast<TableFormat>(draw.below(kTableFormats));
  Made<TableTruth> made;
  made.truth = truth;
  made.answer = table_answer(truth);
  const std::string task = task_words(draw, truth);
  const std::string material = exported(draw, print_table(truth.table, format), format);
  made.prompt = request(draw, "table.request", {{"task", task}, {"material", material}});
  made.difficulty = rate(truth);
  return made;
}

Made<TableTruth> make_comparison(Draw& draw, const TableTruth& truth, const std::string& material) {
  Made<TableTruth> made;
  made.truth = truth;
  made.answer = table_answer(truth);
  std::vector<std::string> parts;
  for (const Asked& asked : truth.asked) parts.push_back(asked_words(draw, truth.table, asked));
  made.prompt =
      request(draw, "table.compare", {{"task", join(parts, " ")}, {"material", material}});
  made.difficulty = rate(truth);
  return made;
}

Made<TableTruth> make_table_task(Draw& draw) {
  const double level = draw.uniform();
  const size_t n_rows = static_cast<size_t>(draw.range(2, 3 + static_cast<int>(4.99 * level)));
  TableTruth truth;
  const bool from_notes = draw.chance(0.12);
  const size_t most = std::min<size_t>(3, kMostCells / n_rows);
  const bool left_out = !from_notes && draw.chance(0.25 * level);
  size_t n_used = static_cast<size_t>(draw.range(1, static_cast<int>(most)));
  if (from_notes) n_used = 1;
  const size_t n_columns = std::min<size_t>(3, n_used + (left_out ? 1 : 0));
  truth.table = draw_table(draw, {level, n_rows, n_columns});
  std::vector<size_t> columns(n_columns);
  for (size_t i = 0; i < n_columns; ++i) columns[i] = i;
  if (n_columns > n_used) {
    columns.erase(columns.begin() + static_cast<long>(draw.below(n_columns)));
  }
  truth.used = columns;
  truth.layout = draw_layout(draw, truth.used.size());
  size_t n_asked = static_cast<size_t>(draw.range(0, static_cast<int>(3.6 * level)));
  if (from_notes || draw.chance(0.15)) {
    n_asked = std::max<size_t>(n_asked, 1);
    truth.asked = draw_asked(draw, truth.table, truth.used, n_asked);
    if (from_notes) {
      const std::string notes = describe(truth);
      truth.layout = Layout::kNone;
      return make_comparison(draw, truth, notes);
    }
    truth.layout = Layout::kNone;
    return make_description(draw, truth);
  }
  truth.asked = draw_asked(draw, truth.table, truth.used, n_asked);
  return make_description(draw, truth);
}

}  // namespace ac::tasks
