// From settings to the parts that answer: engine options, remote options, models, a router. What
// the command line and the library have in common; neither flags nor a terminal are known here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/core/settings.h"
#include "runtime/engine/session.h"
#include "runtime/route/router.h"

namespace ac {

// Takes over the log level, of the whole process, and logs what looks like a mistake in the
// settings.
void use_log_settings(const Settings& settings);

// Errors: kUnsupported for a device that the backend does not have.
EngineOptions engine_options(const Settings& settings);
// max_tokens and sampling.
GenerateOptions generation_from(const Settings& settings);
// The key is read here. Errors: kInvalidArgument for a file or variable that was asked for and is
// not there, kIo.
Result<RemoteOptions> remote_options(const Settings& settings);

// What may answer here: local variants of one model or of the zoo, with the zoo's predictor.
struct Models {
  std::shared_ptr<const Gates> gates;       // nullptr: none
  std::unique_ptr<VariantSource> variants;  // nullptr: no local model
  std::shared_ptr<const Zoo> zoo{};         // that they are of; nullptr: of none
};
// `model_file`: a GGUF file or Hugging Face folder that answers without a zoo. Nothing is loaded
// yet. `n_slots`: answers that each engine can make at once. Errors: those of opening the files.
Result<Models> open_models(const Settings& settings, const std::optional<std::string>& model_file,
                           int32_t n_slots = 1);

// RouterOptions's, as far as they are not settings.
struct RouterRun {
  std::string workflow_file{};
  std::string source{};
};
// Errors: those of Router::create.
Result<std::unique_ptr<Router>> make_router(Models models, RemoteOptions remote,
                                            const Settings& settings, RouterRun run = {});

std::string without_blanks_around(std::string_view text);
// Of the XDG specification; empty without a home.
std::string state_folder();
// Empty without a home folder.
std::string ledger_path(const Settings& settings);
// Where what was learned from use is kept; empty without a home folder.
std::string learned_path(const Settings& settings);
// Of [remote], or else what its accelerator costs by [cost].
TokenPrices full_model_prices(const Settings& settings);

}  // namespace ac
