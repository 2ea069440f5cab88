#include "models/train/labels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <unordered_set>

#include "models/train/label_signals.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"

namespace ac {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;
constexpr size_t kMaxRows = 1'000'000;
constexpr size_t kMaxModels = 256;
constexpr size_t kMaxModelNameBytes = 256;
constexpr size_t kMaxOptions = 64;
constexpr JsonLimits kLineLimits = {.max_bytes = 4u << 20, .max_depth = 8};

// Pairs for label files that many use. The cheap one is a model of the size that a laptop holds,
// the dear one is what a server would answer with; both have sensible scores.
struct KnownPair {
  const char* small;
  const char* full;
};
constexpr KnownPair kKnownPairs[] = {
    // LLMRouter's 14-task mix. Not its llama3-chatqa-1.5-70b: 21 % against 58 % of an 8B model is a
    // failure of format, not of knowledge.
    {"llama-3.1-8b-instruct", "llama-3.1-nemotron-51b-instruct"},
    // MMLU-Pro: one family at two sizes.
    {"Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct"},
    // ZeroEval's GSM8K: the same family, 8B and 405B.
    {"Meta-Llama-3.1-8B-Instruct", "Llama-3.1-405B-Instruct-Turbo"},
    {"claude-3-haiku-20240307", "gemini-2.0-flash-001"},
};

// A missing field is a broken file, not a missing one.
Error at_line(size_t line, const Error& error) {
  return fail(ErrorCode::kCorruptFile, "line {}: {}", line, error.message);
}

Result<Split> split_of(const std::string& name) {
  if (name == "train") return Split::kTrain;
  if (name == "validation" || name == "val" || name == "dev") return Split::kValidation;
  if (name == "test") return Split::kTest;
  return fail(ErrorCode::kCorruptFile, "field 'split': '{}', expected train, validation or test",
              name.substr(0, 64));
}

Status append_options(const Json& object, std::string& prompt) {
  const Json* options = json_find(object, "options");
  if (options == nullptr) return {};
  if (!options->is_array() || options->size() > kMaxOptions) {
    return fail(ErrorCode::kCorruptFile, "field 'options': expected an array of at most {} strings",
                kMaxOptions);
  }
  for (size_t i = 0; i < options->size(); ++i) {
    const auto* text = (*options)[i].get_ptr<const std::string*>();
    if (text == nullptr) {
      return fail(ErrorCode::kCorruptFile, "field 'options': element {} is a {}, expected a string",
                  i, (*options)[i].type_name());
    }
    prompt += '\n';
    prompt += *text;
  }
  return {};
}

// One row whose scores and answers are still by name.
struct NamedRow {
  LabelRow row;
  std::vector<std::pair<std::string, float>> scores;
  std::vector<std::pair<std::string, std::string>> answers;
  std::vector<std::pair<std::string, DraftSignals>> signals;
};

Status read_answers(const Json& object, NamedRow& out) {
  const Json* answers = json_find(object, "answers");
  if (answers == nullptr || answers->is_null()) return {};
  if (!answers->is_object() || answers->size() > kMaxModels) {
    return fail(ErrorCode::kCorruptFile, "field 'answers': expected an object of at most {} texts",
                kMaxModels);
  }
  for (const auto& [model, value] : answers->items()) {
    if (value.is_null()) continue;
    const auto* text = value.get_ptr<const std::string*>();
    if (text == nullptr) {
      return fail(ErrorCode::kCorruptFile, "field 'answers.{}': a {}, expected a string",
                  model.substr(0, 64), value.type_name());
    }
    out.answers.emplace_back(model, *text);
  }
  return {};
}

Status read_signals(const Json& object, NamedRow& out) {
  const Json* signals = json_find(object, "signals");
  if (signals == nullptr) return {};
  if (!signals->is_object() || signals->size() > kMaxModels) {
    return fail(ErrorCode::kCorruptFile,
                "field 'signals': expected an object of at most {} objects", kMaxModels);
  }
  for (const auto& [model, value] : signals->items()) {
    if (value.is_null()) continue;
    auto read = signals_from_json(value);
    if (!read) {
      return with_context(read.error(), fmt::format("field 'signals.{}'", model.substr(0, 64)));
    }
    out.signals.emplace_back(model, std::move(*read));
  }
  return {};
}

Status read_scores(const Json& object, NamedRow& out) {
  const Json* scores = json_find(object, "scores");
  if (scores == nullptr) return fail(ErrorCode::kCorruptFile, "field 'scores' is missing");
  if (!scores->is_object()) {
    return fail(ErrorCode::kCorruptFile, "field 'scores': a {}, expected an object",
                scores->type_name());
  }
  if (scores->empty() || scores->size() > kMaxModels) {
    return fail(ErrorCode::kCorruptFile, "field 'scores': {} models, expected 1 to {}",
                scores->size(), kMaxModels);
  }
  for (const auto& [model, value] : scores->items()) {
    const std::string shown = model.substr(0, 64);
    if (model.empty() || model.size() > kMaxModelNameBytes) {
      return fail(ErrorCode::kCorruptFile,
                  "field 'scores': a model name of {} bytes, expected 1 to {}", model.size(),
                  kMaxModelNameBytes);
    }
    if (value.is_null()) continue;
    if (!value.is_number()) {
      return fail(ErrorCode::kCorruptFile, "field 'scores.{}': a {}, expected a number", shown,
                  value.type_name());
    }
    const auto score = value.get<double>();
    if (!(score >= -1.0 && score <= 1.0)) {
      return fail(ErrorCode::kCorruptFile, "field 'scores.{}': {}, expected a share in [0, 1]",
                  shown, score);
    }
    out.scores.emplace_back(model, static_cast<float>(std::max(0.0, score)));
  }
  return {};
}

Result<NamedRow> parse_row(std::string_view line) {
  AC_TRY(const Json object, parse_json(line, kLineLimits));
  if (!object.is_object()) {
    return fail(ErrorCode::kCorruptFile, "a {}, expected an object", object.type_name());
  }
  NamedRow named;
  AC_TRY(named.row.prompt, json_string(object, "prompt"));
  AC_TRY_STATUS(append_options(object, named.row.prompt));
  if (json_find(object, "task") != nullptr) {
    AC_TRY(named.row.task, json_string(object, "task"));
  }
  if (json_find(object, "split") != nullptr) {
    AC_TRY(const std::string split, json_string(object, "split"));
    AC_TRY(named.row.split, split_of(split));
    named.row.has_split = true;
  }
  AC_TRY_STATUS(read_scores(object, named));
  AC_TRY_STATUS(read_answers(object, named));
  AC_TRY_STATUS(read_signals(object, named));
  return named;
}

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) {
    line.remove_suffix(1);
  }
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  return line;
}

std::string models_with_means(const Labels& labels) {
  const std::vector<double> means = mean_scores(labels);
  std::vector<size_t> order(labels.models.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&means](size_t a, size_t b) { return means[a] < means[b]; });
  std::string text;
  for (const size_t i : order) {
    text += fmt::format("{}{} {:.3f}", text.empty() ? "" : ", ", labels.models[i], means[i]);
  }
  return text;
}

std::optional<size_t> column_of(const Labels& labels, std::string_view model) {
  const auto found = std::lower_bound(labels.models.begin(), labels.models.end(), model);
  if (found == labels.models.end() || *found != model) return std::nullopt;
  return static_cast<size_t>(found - labels.models.begin());
}

}  // namespace

Result<Labels> parse_labels(std::string_view text, std::string name,
                            const LabelsProgress& progress) {
  std::vector<NamedRow> named_rows;
  std::set<std::string, std::less<>> models;
  size_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trimmed(text.substr(at, end - at));
    at = end + 1;
    ++line_number;
    if (progress && line_number % 256 == 0) progress(std::min(at, text.size()), text.size());
    if (line.empty()) continue;
    if (named_rows.size() == kMaxRows) {
      return fail(ErrorCode::kInvalidArgument, "line {}: more than {} rows", line_number, kMaxRows);
    }
    auto row = parse_row(line);
    if (!row) return with_context(at_line(line_number, row.error()), name);
    for (const auto& score : row->scores) models.insert(score.first);
    if (models.size() > kMaxModels) {
      return fail(ErrorCode::kInvalidArgument, "{}: line {}: more than {} models", name,
                  line_number, kMaxModels);
    }
    named_rows.push_back(std::move(*row));
  }
  if (named_rows.empty()) return fail(ErrorCode::kCorruptFile, "{}: no rows", name);
  if (models.empty()) return fail(ErrorCode::kCorruptFile, "{}: no scores", name);

  Labels labels;
  labels.name = std::move(name);
  labels.models.assign(models.begin(), models.end());
  labels.rows.reserve(named_rows.size());
  for (NamedRow& named : named_rows) {
    named.row.scores.assign(labels.models.size(), std::numeric_limits<float>::quiet_NaN());
    for (const auto& [model, score] : named.scores) {
      named.row.scores[*column_of(labels, model)] = score;
    }
    if (!named.answers.empty()) named.row.answers.resize(labels.models.size());
    for (auto& [model, answer] : named.answers) {
      if (const auto column = column_of(labels, model)) {
        named.row.answers[*column] = std::move(answer);
      }
    }
    if (!named.signals.empty()) named.row.signals.resize(labels.models.size());
    for (auto& [model, signals] : named.signals) {
      if (const auto column = column_of(labels, model)) {
        named.row.signals[*column] = std::move(signals);
      }
    }
    labels.rows.push_back(std::move(named.row));
  }
  return labels;
}

Result<Labels> read_labels(const std::string& path, const LabelsProgress& progress) {
  AC_TRY(const std::string text, read_file(path, kMaxFileBytes));
  const size_t slash = path.rfind('/');
  return parse_labels(text, slash == std::string::npos ? path : path.substr(slash + 1), progress);
}

Result<TierSource> parse_tier_source(std::string_view text) {
  const size_t equals = text.find('=');
  TierSource source;
  if (equals != std::string_view::npos && equals > 0) {
    source.tier = std::string(text.substr(0, equals));
    std::string_view rest = text.substr(equals + 1);
    for (bool more = true; more;) {
      const size_t plus = rest.find('+');
      more = plus != std::string_view::npos;
      source.models.emplace_back(rest.substr(0, plus));
      if (more) rest.remove_prefix(plus + 1);
    }
  }
  const auto is_empty = [](const std::string& model) { return model.empty(); };
  if (source.models.empty() || std::any_of(source.models.begin(), source.models.end(), is_empty)) {
    return fail(ErrorCode::kInvalidArgument, "tier '{}': expected tier=model or tier=model+model",
                text);
  }
  return source;
}

std::string models_of(const TierSource& tier) {
  std::string text;
  for (const std::string& model : tier.models) text += (text.empty() ? "" : "+") + model;
  return text;
}

std::vector<double> mean_scores(const Labels& labels) {
  std::vector<double> means(labels.models.size(), 0);
  for (size_t m = 0; m < means.size(); ++m) {
    size_t n = 0;
    for (const LabelRow& row : labels.rows) {
      if (std::isnan(row.scores[m])) continue;
      means[m] += static_cast<double>(row.scores[m]);
      ++n;
    }
    means[m] = n == 0 ? 0 : means[m] / static_cast<double>(n);
  }
  return means;
}

Result<std::vector<TierSource>> default_tiers(const Labels& labels) {
  for (const KnownPair& pair : kKnownPairs) {
    if (column_of(labels, pair.small) && column_of(labels, pair.full)) {
      return std::vector<TierSource>{{"small", {pair.small}}, {"full", {pair.full}}};
    }
  }
  if (labels.models.size() == 2) {
    const std::vector<double> means = mean_scores(labels);
    const size_t small = means[0] <= means[1] ? 0 : 1;
    return std::vector<TierSource>{{"small", {labels.models[small]}},
                                   {"full", {labels.models[1 - small]}}};
  }
  return fail(
      ErrorCode::kInvalidArgument,
      "{}: no tiers given; choose with --tier small=MODEL --tier full=MODEL, cheapest first. "
      "Models and their mean scores: {}",
      labels.name, models_with_means(labels));
}

Result<size_t> model_column(const Labels& labels, std::string_view model) {
  if (const auto column = column_of(labels, model)) return *column;
  return fail(ErrorCode::kInvalidArgument, "{}: no model '{}'. Models and their mean scores: {}",
              labels.name, model, models_with_means(labels));
}

Result<std::vector<TierRow>> tier_rows(const Labels& labels, std::span<const TierSource> tiers) {
  std::vector<std::vector<size_t>> columns;
  for (const TierSource& tier : tiers) {
    columns.emplace_back();
    for (const std::string& model : tier.models) {
      AC_TRY(const size_t column, model_column(labels, model));
      columns.back().push_back(column);
    }
  }
  const std::vector<Split> splits = assign_splits(labels);
  std::vector<TierRow> rows;
  for (size_t r = 0; r < labels.rows.size(); ++r) {
    TierRow row;
    row.row = r;
    row.split = splits[r];
    for (const std::vector<size_t>& of_tier : columns) {
      float sum = 0;
      for (const size_t column : of_tier) sum += labels.rows[r].scores[column];
      row.scores.push_back(sum / static_cast<float>(of_tier.size()));
    }
    // A missing score has made the sum a NaN.
    const auto is_missing = [](float score) { return std::isnan(score); };
    if (std::none_of(row.scores.begin(), row.scores.end(), is_missing)) {
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

uint64_t prompt_hash(std::string_view prompt) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : prompt) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  hash ^= hash >> 32;
  hash *= 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 32);
}

std::vector<Split> assign_splits(const Labels& labels) {
  const auto in_file = [&labels](Split split) {
    return std::any_of(labels.rows.begin(), labels.rows.end(), [split](const LabelRow& row) {
      return row.has_split && row.split == split;
    });
  };
  const bool has_test = in_file(Split::kTest);
  const bool has_validation = in_file(Split::kValidation);

  std::vector<Split> splits(labels.rows.size());
  std::unordered_set<std::string_view> test, validation;
  for (size_t r = 0; r < splits.size(); ++r) {
    const LabelRow& row = labels.rows[r];
    const uint64_t percent = prompt_hash(row.prompt) % 100;
    splits[r] = row.has_split ? row.split : Split::kTrain;
    if (!has_test && percent < 20) splits[r] = Split::kTest;
    if (!has_validation && splits[r] == Split::kTrain && percent >= 20 && percent < 30) {
      splits[r] = Split::kValidation;
    }
    if (splits[r] == Split::kTest) test.insert(row.prompt);
    if (splits[r] == Split::kValidation) validation.insert(row.prompt);
  }
  for (size_t r = 0; r < splits.size(); ++r) {
    const std::string_view prompt = labels.rows[r].prompt;
    if (splits[r] != Split::kTest && test.contains(prompt)) splits[r] = Split::kUnused;
    if (splits[r] == Split::kTrain && validation.contains(prompt)) splits[r] = Split::kUnused;
  }
  return splits;
}

}  // namespace ac
