// Which pre-tokenizer a tokenizer.json describes: its steps are compared with those of the families
// that the tokenizer knows by name. The patterns are what identifies them; they are never run.
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "models/store/byte_reader.h"
#include "models/store/hf_tokenizer.h"

namespace ac {
namespace {

constexpr size_t kMaxSteps = 16;

// One step as a line: "split <pattern>", "digits one by one", "bytes with pattern".
using Steps = std::vector<std::string>;

std::string step_of(const Json& step) {
  const Json* type = json_find(step, "type");
  const std::string name = type != nullptr && type->is_string() ? type->get<std::string>() : "";
  const auto flag = [&](std::string_view key, bool missing) {
    const Json* value = json_find(step, key);
    return value != nullptr && value->is_boolean() ? value->get<bool>() : missing;
  };
  if (name == "ByteLevel") return flag("use_regex", true) ? "bytes with pattern" : "bytes";
  if (name == "Digits") return flag("individual_digits", false) ? "digits one by one" : "digits";
  if (name == "Punctuation") return "punctuation";
  if (name == "Split") {
    const Json* pattern = json_find(step, "pattern");
    const Json* text = pattern == nullptr ? nullptr : json_find(*pattern, "Regex");
    if (text == nullptr && pattern != nullptr) text = json_find(*pattern, "String");
    if (text != nullptr && text->is_string()) return "split " + text->get<std::string>();
  }
  return name;
}

Result<Steps> steps_of(const Json& pre_tokenizer) {
  const Json* list = json_find(pre_tokenizer, "pretokenizers");
  Steps steps;
  if (list == nullptr) {
    steps.push_back(step_of(pre_tokenizer));
    return steps;
  }
  if (!list->is_array() || list->size() > kMaxSteps) {
    return fail(ErrorCode::kUnsupported, "a pre-tokenizer of more than {} steps", kMaxSteps);
  }
  for (const Json& step : *list) steps.push_back(step_of(step));
  return steps;
}

struct Known {
  std::string_view name;
  std::vector<std::string_view> steps;  // a step ending in "..." matches any that begins so
};

// clang-format off
const std::vector<Known>& known() {
  static const std::vector<Known> kKnown = {
      {"gpt-2", {"bytes with pattern"}},
      {"smollm", {"digits one by one", "bytes with pattern"}},
      {"llama-bpe",
       {R"(split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        "bytes"}},
      {"qwen2",
       {R"(split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        "bytes"}},
      {"falcon", {"punctuation", "bytes with pattern", "digits", "split [0-9][0-9][0-9]"}},
      {"deepseek-llm",
       {"split [\r\n]", R"(split \s?[A-Za-z...)", R"(split \s?[!-/:-~...)", R"(split \s+$)", "split [...",
        "digits one by one", "bytes"}},
      {"deepseek-coder",
       {"split [\r\n]", R"(split \s?\p{L}+)", R"(split \s?\p{P}+)", "split [...", "digits one by one",
        "bytes"}},
      {"deepseek-v3", {R"(split \p{N}{1,3})", "split [...", "split [...", "bytes"}},
  };
  return kKnown;
}
// clang-format on

bool matches(std::string_view step, std::string_view wanted) {
  if (!wanted.ends_with("...")) return step == wanted;
  return step.starts_with(wanted.substr(0, wanted.size() - 3));
}

}  // namespace

Result<std::string> recognise_pre_tokenizer(const Json& pre_tokenizer, bool splits_digits) {
  AC_TRY(const Steps steps, steps_of(pre_tokenizer));
  for (const Known& candidate : known()) {
    if (candidate.steps.size() != steps.size()) continue;
    bool all = true;
    for (size_t i = 0; i < steps.size(); ++i) all = all && matches(steps[i], candidate.steps[i]);
    if (!all) continue;
    if (candidate.name == "gpt-2" && splits_digits) return std::string("smollm");
    return std::string(candidate.name);
  }
  std::string shown;
  for (const std::string& step : steps) shown += (shown.empty() ? "" : ", ") + printable(step);
  return fail(ErrorCode::kUnsupported, "the pre-tokenizer is not a known one: {}", shown);
}

}  // namespace ac
