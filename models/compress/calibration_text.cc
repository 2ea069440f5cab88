#include "models/compress/calibration_text.h"

#include <xxhash.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "models/train/sequences.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"

namespace ac {
namespace {

constexpr size_t kHeldOutPeriod = 10;
constexpr std::string_view kBlank = " \t\r\n\v\f";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

void add_document(std::vector<TextDocument>& documents, std::string_view text) {
  const std::string_view core = trimmed(text);
  if (core.empty()) return;
  documents.push_back({.text = std::string(core), .hash = XXH3_64bits(core.data(), core.size())});
}

void add_answer(std::vector<TextDocument>& documents, std::string_view prompt,
                std::string_view answer) {
  const std::string_view asked = trimmed(prompt), said = trimmed(answer);
  if (said.empty()) return;
  if (asked.empty()) return add_document(documents, answer);
  const std::string both = fmt::format("{}\n\n{}", asked, said);
  documents.push_back({.text = std::string(said),
                       .prompt = std::string(asked),
                       .hash = XXH3_64bits(both.data(), both.size())});
}

template <class Line>
Status for_each_line(std::string_view text, const Line& line) {
  int64_t number = 1;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    AC_TRY_STATUS(line(text.substr(0, end), number++));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

}  // namespace

Result<std::vector<TextDocument>> split_documents(std::string_view text, std::string_view origin) {
  std::vector<TextDocument> documents;
  if (origin.ends_with(".jsonl")) {
    AC_TRY_STATUS(for_each_line(text, [&](std::string_view line, int64_t number) -> Status {
      if (trimmed(line).empty()) return {};
      const auto located = [&](const Error& error) {
        return with_context(error, fmt::format("{}:{}", origin, number));
      };
      const Result<Json> json = parse_json(line);
      if (!json) return located(json.error());
      if (!json->is_object()) {
        return located(fail(ErrorCode::kCorruptFile, "is not a JSON object"));
      }
      if (json->contains("prompt")) {
        const Result<std::string> prompt = json_string(*json, "prompt");
        if (!prompt) return located(prompt.error());
        const Result<std::string> answer = json_string(*json, "answer");
        if (!answer) return located(answer.error());
        add_answer(documents, *prompt, *answer);
        return {};
      }
      const Result<std::string> document = json_string(*json, "text");
      if (!document) return located(document.error());
      add_document(documents, *document);
      return {};
    }));
    return documents;
  }
  size_t begin = 0;
  AC_TRY_STATUS(for_each_line(text, [&](std::string_view line, int64_t) -> Status {
    if (!trimmed(line).empty()) return {};
    const auto at = static_cast<size_t>(line.data() - text.data());
    add_document(documents, text.substr(begin, at - begin));
    begin = at;
    return {};
  }));
  add_document(documents, text.substr(begin));
  return documents;
}

Result<std::vector<TextDocument>> read_documents(const std::string& path) {
  AC_TRY(const std::string text, read_file(path, kMaxTextBytes));
  return split_documents(text, path);
}

Result<TokenWindows> pack_documents(std::span<const TextDocument> documents,
                                    const Tokenizer& tokenizer, std::string_view chat_template,
                                    int32_t window, size_t max_tokens) {
  AC_CHECK(window >= 2);
  std::optional<SequenceMaker> maker;
  const bool has_prompts = std::any_of(documents.begin(), documents.end(),
                                       [](const TextDocument& one) { return !one.prompt.empty(); });
  if (has_prompts) {
    if (chat_template.empty()) {
      return fail(ErrorCode::kUnsupported,
                  "the text has prompts, and the model has no chat template to put them in");
    }
    AC_TRY(SequenceMaker made,
           SequenceMaker::create(tokenizer, chat_template,
                                 {.prompt_weight = 0, .context = window - 1}));
    maker.emplace(std::move(made));
  }
  const auto length = static_cast<size_t>(window);
  const std::optional<int32_t> bos = tokenizer.adds_bos() ? tokenizer.bos() : std::nullopt;
  TokenWindows packed;
  std::vector<int32_t> current;
  const auto push = [&](int32_t token) {
    if (current.empty() && bos && token != *bos) current.push_back(*bos);
    current.push_back(token);
    if (current.size() < length) return;
    packed.add(current);
    current.clear();
  };
  for (const TextDocument& document : documents) {
    if (packed.tokens.size() + current.size() >= max_tokens) break;
    if (!document.prompt.empty()) {
      AC_TRY(const std::vector<Sequence> sequences,
             maker->sequences({.prompt = document.prompt, .answer = document.text}));
      for (const Sequence& sequence : sequences) {
        if (packed.tokens.size() + sequence.tokens.size() > max_tokens) break;
        packed.add(sequence.tokens, sequence.weights);
      }
      continue;
    }
    if (bos) push(*bos);
    for (const int32_t token : tokenizer.encode(document.text)) {
      if (packed.tokens.size() + current.size() >= max_tokens) break;
      push(token);
    }
  }
  if (current.size() >= 2) packed.add(current);  // a lone token is followed by nothing to judge
  return packed;
}

SplitText split_held_out(std::vector<TextDocument> documents) {
  SplitText split;
  std::unordered_set<uint64_t> held_out;
  for (size_t i = kHeldOutPeriod - 1; i < documents.size(); i += kHeldOutPeriod) {
    if (held_out.insert(documents[i].hash).second) split.held_out.push_back(documents[i]);
  }
  for (TextDocument& document : documents) {
    if (!held_out.contains(document.hash)) split.calibration.push_back(std::move(document));
  }
  return split;
}

Status check_apart(std::span<const TextDocument> calibration,
                   std::span<const TextDocument> held_out) {
  std::unordered_set<uint64_t> seen;
  for (const TextDocument& document : calibration) seen.insert(document.hash);
  size_t n_shared = 0;
  std::string_view example;
  for (const TextDocument& document : held_out) {
    if (!seen.contains(document.hash)) continue;
    if (n_shared++ == 0) example = std::string_view(document.text).substr(0, 60);
  }
  if (n_shared == 0) return {};
  return fail(
      ErrorCode::kInvalidArgument,
      "{} of {} held-out documents are in the calibration text too, such as '{}': what made "
      "a variant cannot judge it",
      n_shared, held_out.size(), example);
}

uint64_t hash_of(std::span<const TextDocument> documents) {
  std::vector<uint64_t> hashes;
  for (const TextDocument& document : documents) hashes.push_back(document.hash);
  return XXH3_64bits(hashes.data(), hashes.size() * sizeof(uint64_t));
}

}  // namespace ac
