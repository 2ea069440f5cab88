#include "runtime/route/use_labels.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/core/file.h"
#include "runtime/core/file_lock.h"
#include "runtime/core/json.h"

namespace ac {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;
constexpr JsonLimits kLineLimits = {.max_bytes = 1u << 20, .max_depth = 4};

Result<UseLabelRow> parse_row(std::string_view line) {
  AC_TRY(const Json object, parse_json(line, kLineLimits));
  if (!object.is_object()) return fail(ErrorCode::kCorruptFile, "expected an object");
  UseLabelRow row;
  AC_TRY(row.gate, json_string(object, "gate"));
  AC_TRY(row.source, json_string(object, "source"));
  AC_TRY(row.label.tier, json_string(object, "tier"));
  AC_TRY(row.label.success, json_number(object, "success"));
  AC_TRY(row.label.weight, json_number(object, "weight"));
  const Json* features = json_find(object, "features");
  if (features == nullptr || !features->is_array()) {
    return fail(ErrorCode::kCorruptFile, "field 'features': expected an array of pairs");
  }
  for (const Json& pair : *features) {
    const bool good = pair.is_array() && pair.size() == 2 && pair[0].is_number_unsigned() &&
                      pair[0].get<uint64_t>() < kNgramBuckets && pair[1].is_number();
    if (!good) {
      return fail(ErrorCode::kCorruptFile, "field 'features': expected pairs of a bucket below {} "
                                           "and a number", kNgramBuckets);
    }
    row.label.features.push_back({pair[0].get<uint16_t>(), pair[1].get<float>()});
  }
  return row;
}

// Digits beyond these would only make the file larger.
double rounded(double value) { return std::round(value * 1e4) / 1e4; }

// Lines with their ends; a last one without an end was cut off while it was written.
std::vector<std::string_view> whole_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    lines.push_back(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  return lines;
}

Result<std::string> text_of(const std::string& path) {
  auto text = read_file(path, kMaxFileBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::string();
  return text;
}

}  // namespace

void round_features(UseLabel& label) {
  for (NgramFeatures::Entry& entry : label.features) {
    entry.value = static_cast<float>(rounded(static_cast<double>(entry.value)));
  }
}

Result<std::vector<UseLabelRow>> read_use_labels(const std::string& path) {
  AC_TRY(const std::string text, text_of(path));
  const std::vector<std::string_view> lines = whole_lines(text);
  std::vector<UseLabelRow> rows;
  for (size_t i = lines.size() - std::min(lines.size(), kMostUseLabels); i < lines.size(); ++i) {
    auto row = parse_row(lines[i]);
    if (!row) {
      return fail(ErrorCode::kCorruptFile, "{}:{}: {}", path, i + 1, row.error().message);
    }
    rows.push_back(std::move(*row));
  }
  return rows;
}

Status append_use_label(const std::string& path, const UseLabelRow& row) {
  OrderedJson features = OrderedJson::array();
  for (const NgramFeatures::Entry& entry : row.label.features) {
    features.push_back({entry.bucket, rounded(static_cast<double>(entry.value))});
  }
  const std::string line = json_line(OrderedJson{{"gate", row.gate},
                                                 {"tier", row.label.tier},
                                                 {"success", row.label.success},
                                                 {"weight", row.label.weight},
                                                 {"source", row.source},
                                                 {"features", std::move(features)}}) +
                           "\n";
  AC_TRY(const FileLock lock, FileLock::take(path + ".lock"));
  return append_line(path, line);
}

Result<size_t> take_back_use_labels(const std::string& path, size_t n) {
  AC_TRY(const FileLock lock, FileLock::take(path + ".lock"));
  AC_TRY(const std::string text, text_of(path));
  const std::vector<std::string_view> lines = whole_lines(text);
  const size_t taken = std::min(n, lines.size());
  if (taken == 0) return taken;
  std::string kept;
  for (size_t i = 0; i + taken < lines.size(); ++i) kept += lines[i];
  AC_TRY_STATUS(write_file(path, kept));
  return taken;
}

}  // namespace ac
