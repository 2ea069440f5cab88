// tokenize: text to token ids and back, with a model's tokenizer alone; no weights are read.
#include <array>
#include <nlohmann/json.hpp>

#include "models/store/gguf.h"
#include "models/text/tokenizer.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"

namespace ac::cli {
namespace {

constexpr uint64_t kTextBytes = 256u << 20;

constexpr std::array kOptions = {
    Option{"--decode", "", "the other way: a JSON array of ids on standard input to text"},
    Option{"--special", "", "recognise special tokens in the text, or show them when decoding"},
    Option{"--bos", "", "begin with the token that begins a text, where the model wants one"},
};

Result<std::vector<int32_t>> parse_ids(std::string_view text, int32_t n_vocab) {
  auto parsed = parse_json(text, {.max_bytes = kTextBytes, .max_depth = 1});
  if (!parsed) return with_context(parsed.error(), "standard input");
  if (!parsed->is_array()) {
    return fail(ErrorCode::kInvalidArgument, "standard input: expected a JSON array of token ids");
  }
  std::vector<int32_t> ids;
  ids.reserve(parsed->size());
  for (const Json& entry : *parsed) {
    const bool is_id = entry.is_number_unsigned() &&
                       entry.get<uint64_t>() < static_cast<uint64_t>(std::max(n_vocab, 0));
    if (!is_id) {
      return fail(ErrorCode::kInvalidArgument,
                  "standard input: {} is not a token id, expected 0 to {}", json_line(entry),
                  n_vocab - 1);
    }
    ids.push_back(entry.get<int32_t>());
  }
  return ids;
}

Result<int> run(const Invocation& invocation) {
  AC_TRY(const Checkpoint checkpoint, open_checkpoint(invocation.arguments()[0]));
  AC_TRY(const auto tokenizer, Tokenizer::from_checkpoint(checkpoint));
  AC_TRY(const std::string text, read_stdin(kTextBytes));
  const bool special = invocation.has("--special");
  if (invocation.has("--decode")) {
    AC_TRY(const std::vector<int32_t> ids, parse_ids(text, tokenizer->n_vocab()));
    output().write_line(tokenizer->decode(ids, special));
    return 0;
  }
  std::vector<int32_t> ids;
  if (invocation.has("--bos") && tokenizer->adds_bos() && tokenizer->bos()) {
    ids.push_back(*tokenizer->bos());
  }
  const std::vector<int32_t> encoded =
      special ? tokenizer->encode_marked({text, {{0, text.size()}}}) : tokenizer->encode(text);
  ids.insert(ids.end(), encoded.begin(), encoded.end());
  std::string line = "[";
  for (const int32_t id : ids) line += fmt::format("{}{}", line.size() == 1 ? "" : ",", id);
  output().write_line(line + "]");
  return 0;
}

}  // namespace

constinit const Verb kTokenize = {
    .name = "tokenize",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "text on standard input to token ids as JSON, and back",
    .options = kOptions,
    .run = run,
};

}  // namespace ac::cli
