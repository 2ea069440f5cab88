// logits: the scores after each position, for comparing with other engines.
#include <array>
#include <bit>
#include <charconv>

#include "models/store/gguf.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/log.h"

namespace ac::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "rows are written as they lie in memory");

constexpr std::array kOptions = {
    Option{"--tokens", "IDS", "token ids, separated by commas"},
    Option{"--out", "FILE", "where to write the rows: float32, little-endian, one per position"},
};

Result<std::vector<int32_t>> parse_tokens(const Verb& verb, std::string_view text,
                                          int32_t n_vocab) {
  std::vector<int32_t> tokens;
  while (true) {
    const std::string_view one = text.substr(0, text.find(','));
    int32_t id = -1;
    const auto [at, error] = std::from_chars(one.data(), one.data() + one.size(), id);
    if (error != std::errc() || at != one.data() + one.size() || id < 0 || id >= n_vocab) {
      return usage_error(verb, fmt::format("--tokens: '{}' is not a token id, expected 0 to {}",
                                           one.substr(0, 40), n_vocab - 1));
    }
    tokens.push_back(id);
    if (one.size() == text.size()) return tokens;
    text.remove_prefix(one.size() + 1);
  }
}

Result<int> run(const Invocation& invocation) {
  const auto tokens_text = invocation.value("--tokens");
  const auto out = invocation.value("--out");
  if (!tokens_text || !out)
    return usage_error(invocation.verb(), "expected --tokens IDS and --out FILE");
  AC_TRY(const Settings settings, invocation.load_settings());
  const EngineOptions options = engine_options(settings);
  AC_TRY(Checkpoint checkpoint, open_checkpoint(invocation.arguments()[0]));
  AC_TRY(const auto engine, Engine::load(std::move(checkpoint), options));
  const int32_t n_vocab = engine->config().n_vocab;
  AC_TRY(const std::vector<int32_t> tokens, parse_tokens(invocation.verb(), *tokens_text, n_vocab));
  AC_TRY(const std::vector<float> rows, engine->logits(tokens));
  AC_TRY(const auto writer, create_file(*out));
  AC_TRY_STATUS(writer->write(std::as_bytes(std::span(rows))));
  AC_TRY_STATUS(writer->commit());
  note_line(fmt::format("{}: {} rows of {} float32", *out, tokens.size(), n_vocab));
  return 0;
}

}  // namespace

constinit const Verb kLogits = {
    .name = "logits",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "write the scores of every token after each position",
    .options = kOptions,
    .sections = "engine log",
    .run = run,
};

}  // namespace ac::cli
