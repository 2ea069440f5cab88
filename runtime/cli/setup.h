// From settings and flags to the parts that answer: engine options, remote options, a router.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cli/verb.h"
#include "runtime/core/checkpoint.h"
#include "runtime/engine/session.h"
#include "runtime/route/router.h"

namespace ac::cli {

// Errors: kUnsupported for a device that the backend does not have.
Result<EngineOptions> engine_options(const Settings& settings);
// max_tokens and sampling, stopped by Ctrl-C.
GenerateOptions generate_options(const Settings& settings);
// The key is read here. Errors: kInvalidArgument for a file or variable that was asked for and is
// not there, kIo.
Result<RemoteOptions> remote_options(const Settings& settings);

// Flags that ask, chat and route share, beside the settings.
inline constexpr Option kModelOption = {
    "--model", "FILE", "answer with this GGUF file or Hugging Face folder, without a zoo"};
inline constexpr Option kVariantOption = {"--variant", "ID", "answer with this variant of the zoo"};
inline constexpr Option kLocalOption = {"--local", "", "answer on this machine"};
inline constexpr Option kRemoteOption = {"--remote", "", "answer with the remote full model"};
inline constexpr Option kSystemOption = {"--system", "TEXT",
                                         "instructions that precede the conversation"};

inline constexpr Option kWorkflowOption = {
    "--workflow", "ID", "a step of this workflow: steps share risk and budget"};

// What may answer here: local variants from --model or the zoo, with the zoo's predictor.
struct Models {
  std::shared_ptr<const Gates> gates;       // nullptr: none
  std::unique_ptr<VariantSource> variants;     // nullptr: no local model
};
// Nothing is loaded yet. Errors: kInvalidArgument when there is neither a local model nor a remote.
// `n_slots`: answers that each engine can make at once.
Result<Models> open_models(const Invocation& invocation, const Settings& settings,
                           int32_t n_slots = 1);
// RouterOptions's, as far as they are not settings.
struct RouterRun {
  std::string workflow_file{};
  std::string source{};
};
// Errors: those of Router::create.
Result<std::unique_ptr<Router>> make_router(Models models, RemoteOptions remote,
                                            const Settings& settings, RouterRun run = {});
// From models and remote of the settings; --workflow, where the verb has it, is remembered on disk,
// and answers are written down as the verb's.
Result<std::unique_ptr<Router>> make_router(const Invocation& invocation, const Settings& settings);
std::string without_blanks_around(std::string_view text);
// Empty without a home folder.
std::string ledger_path(const Settings& settings);
// Errors: kInvalidArgument (no place for one), kNotFound (nothing was written down yet), those of
// Ledger::open.
Result<std::shared_ptr<Ledger>> open_ledger(const Invocation& invocation,
                                            const Settings& settings);
// When the day (UTC) began that lies `days` before today's.
int64_t days_ago_ms(int64_t days);
// Today and the days before it, `days` in all; 0: all there are.
LedgerSpan last_days(int64_t days);
// Of [remote], or else what its accelerator costs by [cost].
TokenPrices full_model_prices(const Settings& settings);
// Where what was learned from use is kept; empty without a home folder.
std::string learned_path(const Settings& settings);
// Where steps of --workflow are remembered; empty without --workflow. Errors: kInvalidArgument (a bad
// id, no folder for state).
Result<std::string> workflow_file(const Invocation& invocation);
// What --variant, --local and --remote pin. Errors: kInvalidArgument when two of them are given.
Result<std::optional<std::string>> pinned(const Invocation& invocation);

// A reason in words, for people.
std::string_view reason_words(RouteReason reason);

// The prompt: the arguments joined by spaces, or standard input where there are none.
Result<std::string> read_prompt(const Invocation& invocation);
inline constexpr uint64_t kPromptBytes = 64u << 20;

}  // namespace ac::cli
