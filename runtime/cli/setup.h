// From flags to what they mean for the parts that answer: models, a router, a prompt. What settings
// alone say is in runtime/assemble.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/assemble/assemble.h"
#include "runtime/cli/verb.h"
#include "runtime/core/checkpoint.h"
#include "runtime/engine/session.h"
#include "runtime/route/router.h"

namespace ac::cli {

// max_tokens and sampling, stopped by Ctrl-C.
GenerateOptions generate_options(const Settings& settings);

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

// From --model or the zoo, with the zoo's predictor. Nothing is loaded yet. Errors: kInvalidArgument
// when there is neither a local model nor a remote. `n_slots`: answers that each engine can make at
// once.
Result<Models> open_models(const Invocation& invocation, const Settings& settings,
                           int32_t n_slots = 1);
// From models and remote of the settings; --workflow, where the verb has it, is remembered on disk,
// and answers are written down as the verb's.
Result<std::unique_ptr<Router>> make_router(const Invocation& invocation, const Settings& settings);
// Errors: kInvalidArgument (no place for one), kNotFound (nothing was written down yet), those of
// Ledger::open.
Result<std::shared_ptr<Ledger>> open_ledger(const Invocation& invocation,
                                            const Settings& settings);
// When the day (UTC) began that lies `days` before today's.
int64_t days_ago_ms(int64_t days);
// Today and the days before it, `days` in all; 0: all there are.
LedgerSpan last_days(int64_t days);
// The kernel is told, too, that nothing is to be reached from now on (offline = yes), and that nobody may
// look into the memory of a process that holds a key.
void harden(const Settings& settings, const RemoteOptions& remote);
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
