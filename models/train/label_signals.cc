#include "models/train/label_signals.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace ac {
namespace {

constexpr size_t kMaxHidden = 1u << 16;
constexpr double kMostMagnitude = 1e30;

struct NumberField {
  const char* key;
  float DraftSignals::*member;
};
constexpr NumberField kNumbers[] = {{"entropy", &DraftSignals::entropy},
                                    {"margin", &DraftSignals::margin},
                                    {"mean_logprob", &DraftSignals::mean_logprob},
                                    {"low_logprob", &DraftSignals::low_logprob},
                                    {"least_logprob", &DraftSignals::least_logprob}};
struct CountField {
  const char* key;
  int32_t DraftSignals::*member;
};
constexpr CountField kCounts[] = {{"tokens", &DraftSignals::n_tokens},
                                  {"ungrounded", &DraftSignals::n_ungrounded},
                                  {"wrong_sums", &DraftSignals::n_wrong_sums}};
struct FlagField {
  const char* key;
  bool DraftSignals::*member;
};
constexpr FlagField kFlags[] = {{"repeats", &DraftSignals::repeats},
                                {"cut_off", &DraftSignals::cut_off}};

// More digits than a label is worth would only make the file larger.
double rounded(float value) {
  return std::round(static_cast<double>(value) * 1e4) / 1e4;
}

Status read_hidden(const Json& object, std::vector<float>& out) {
  const Json* hidden = json_find(object, "hidden");
  if (hidden == nullptr) return {};
  if (!hidden->is_array() || hidden->size() > kMaxHidden) {
    return fail(ErrorCode::kCorruptFile, "field 'hidden': expected an array of at most {} numbers",
                kMaxHidden);
  }
  for (const Json& value : *hidden) {
    const double number = value.is_number() ? value.get<double>() : INFINITY;
    if (!(std::fabs(number) < kMostMagnitude)) {
      return fail(ErrorCode::kCorruptFile, "field 'hidden': a {}, expected finite numbers",
                  value.type_name());
    }
    out.push_back(static_cast<float>(number));
  }
  return {};
}

}  // namespace

OrderedJson signals_to_json(const DraftSignals& signals) {
  OrderedJson object;
  for (const NumberField& field : kNumbers) object[field.key] = signals.*field.member;
  for (const CountField& field : kCounts) object[field.key] = signals.*field.member;
  for (const FlagField& field : kFlags) object[field.key] = signals.*field.member;
  if (signals.hidden.empty()) return object;
  OrderedJson hidden = OrderedJson::array();
  for (const float value : signals.hidden) hidden.push_back(rounded(value));
  object["hidden"] = std::move(hidden);
  return object;
}

Result<DraftSignals> signals_from_json(const Json& object) {
  DraftSignals signals;
  if (!object.is_object()) {
    return fail(ErrorCode::kCorruptFile, "a {}, expected an object", object.type_name());
  }
  for (const NumberField& field : kNumbers) {
    AC_TRY(const double value, json_number(object, field.key));
    if (std::fabs(value) > kMostMagnitude) {
      return fail(ErrorCode::kCorruptFile, "field '{}': {} is too large", field.key, value);
    }
    signals.*field.member = static_cast<float>(value);
  }
  for (const CountField& field : kCounts) {
    AC_TRY(const int64_t value, json_integer(object, field.key, 0, INT32_MAX));
    signals.*field.member = static_cast<int32_t>(value);
  }
  for (const FlagField& field : kFlags) {
    AC_TRY(signals.*field.member, json_bool(object, field.key));
  }
  AC_TRY_STATUS(read_hidden(object, signals.hidden));
  return signals;
}

}  // namespace ac
