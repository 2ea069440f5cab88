// bench: how fast this machine reads a prompt and writes an answer with one model.
#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "cpu/bandwidth.h"
#include "cpu/threads.h"
#include "models/arch/model.h"
#include "models/store/gguf.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/clock.h"
#include "runtime/core/json.h"
#include "runtime/core/rng.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    Option{"--model", "FILE", "the model"},
    Option{"--level", "N", "of a nested model: precision, 0 (4 bits) to 100 (8 bits)"},
    Option{"--prompt-tokens", "N", "length of the prompt (512)"},
    Option{"--decode-tokens", "N", "length of the answer (128)"},
    Option{"--repeat", "N", "runs of which the best counts (3)"},
    Option{"--json", "", "as JSON"},
};

struct Speed {
  double prefill_tokens_per_s = 0;
  double decode_tokens_per_s = 0;
};

// Any ids will do: speed does not depend on the words. The first differs from run to run, so that
// no run finds its prompt in the cache of the one before.
std::vector<int32_t> make_prompt(int32_t n_tokens, int32_t n_vocab, int32_t run) {
  Rng rng(42 + static_cast<uint64_t>(run));
  std::vector<int32_t> prompt(static_cast<size_t>(n_tokens));
  for (int32_t& id : prompt) {
    id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(n_vocab)));
  }
  prompt[0] = run % n_vocab;
  return prompt;
}

Result<Generation> generate(Engine& engine, const std::vector<int32_t>& prompt,
                            const GenerateOptions& options) {
  AC_TRY(Generation answer, engine.generate(prompt, options));
  if (answer.finish == FinishReason::kCancelled) return Error{ErrorCode::kCancelled, ""};
  return answer;
}

// Prefill of a whole prompt, and decoding from an empty context, each by itself.
Result<Speed> measure(Engine& engine, int32_t n_prompt, int32_t n_decode, int32_t n_runs) {
  GenerateOptions options;
  options.cancel = &interrupted();
  for (int32_t id = 0; id < engine.config().n_vocab; ++id) {
    if (engine.tokenizer().ends_generation(id)) {
      options.sampler.logit_bias.emplace_back(id, -std::numeric_limits<float>::infinity());
    }
  }
  const int32_t n_vocab = engine.config().n_vocab;
  Speed best;
  // Run 0 only touches every page of the weights.
  for (int32_t i = 0; i <= n_runs; ++i) {
    options.max_tokens = 1;
    AC_TRY(const Generation read,
           generate(engine, make_prompt(i == 0 ? 8 : n_prompt, n_vocab, i), options));
    // The first token of an answer comes out of prefill.
    options.max_tokens = i == 0 ? 2 : n_decode + 1;
    AC_TRY(const Generation written,
           generate(engine, make_prompt(1, n_vocab, n_runs + 1 + i), options));
    if (i == 0) continue;
    if (read.prefill_s > 0) {
      best.prefill_tokens_per_s =
          std::max(best.prefill_tokens_per_s, static_cast<double>(n_prompt) / read.prefill_s);
    }
    const double n_written = static_cast<double>(written.tokens.size()) - 1;
    if (written.decode_s > 0) {
      best.decode_tokens_per_s = std::max(best.decode_tokens_per_s, n_written / written.decode_s);
    }
  }
  return best;
}

struct Measured {
  std::string backend;  // that answered, and on what
  std::string architecture;
  double load_s = 0;
  Speed speed;
};

Result<Measured> measure_on(const std::string& backend, const std::string& path,
                            std::optional<int32_t> level, EngineOptions options,
                            const std::function<Result<Speed>(Engine& engine)>& measure_engine) {
  AC_TRY(Checkpoint checkpoint, open_checkpoint(path));
  if (level) AC_TRY_STATUS(set_checkpoint_level(checkpoint, *level));
  options.backend = backend;
  const auto begin = system_clock().now();
  AC_TRY(const auto engine, Engine::load(std::move(checkpoint), options));
  Measured made;
  made.architecture = engine->config().architecture;
  made.load_s = seconds_between(begin, system_clock().now());
  AC_TRY(made.speed, measure_engine(*engine));
  made.backend = engine->backend_name();
  const std::string_view device = engine->device();
  if (!device.empty()) made.backend += fmt::format(" on {}", device);
  return made;
}

Result<int> run(const Invocation& invocation) {
  const auto path = invocation.value("--model");
  if (!path) return usage_error(invocation.verb(), "expected --model FILE");
  constexpr int64_t kMaxTokens = 1 << 20;
  AC_TRY(const int64_t n_prompt, invocation.integer("--prompt-tokens", 512, 1, kMaxTokens));
  AC_TRY(const int64_t n_decode, invocation.integer("--decode-tokens", 128, 1, kMaxTokens));
  AC_TRY(const int64_t n_runs, invocation.integer("--repeat", 3, 1, 1000));
  AC_TRY(const Settings settings, invocation.load_settings());
  EngineOptions options = engine_options(settings);
  std::optional<int32_t> level;
  if (invocation.has("--level")) {
    AC_TRY(const int64_t given, invocation.integer("--level", 0, 0, kFullLevel));
    level = static_cast<int32_t>(given);
  }
  ModelCost cost;
  {
    AC_TRY(Checkpoint checkpoint, open_checkpoint(*path));
    if (level) AC_TRY_STATUS(set_checkpoint_level(checkpoint, *level));
    AC_TRY(cost, model_cost(checkpoint));
  }
  if (options.n_threads == 0) options.n_threads = cpu::allowed_cores().usable;
  if (options.n_context == 0) options.n_context = static_cast<int32_t>(n_prompt + n_decode + 1);
  watch_interrupts();
  const auto measure_engine = [&](Engine& engine) {
    return measure(engine, static_cast<int32_t>(n_prompt), static_cast<int32_t>(n_decode),
                   static_cast<int32_t>(n_runs));
  };
  AC_TRY(const Measured chosen,
         measure_on(options.backend, *path, level, options, measure_engine));
  // Beside a device the CPU, so that one sees what it brings.
  std::optional<Measured> beside;
  if (!chosen.backend.starts_with("cpu")) {
    AC_TRY(beside, measure_on("cpu", *path, level, options, measure_engine));
  }
  const Speed& speed = chosen.speed;
  cpu::ThreadTeam team({.n_threads = options.n_threads});
  AC_TRY(const double roof_gb_per_s, cpu::read_bandwidth_gb_per_s(team));
  const double gb_per_s =
      speed.decode_tokens_per_s * static_cast<double>(cost.bytes_per_token) / 1e9;
  if (invocation.has("--json")) {
    OrderedJson object;
    object["model"] = *path;
    object["architecture"] = chosen.architecture;
    object["backend"] = chosen.backend;
    object["threads"] = options.n_threads;
    object["prompt_tokens"] = n_prompt;
    object["decode_tokens"] = n_decode;
    object["load_s"] = chosen.load_s;
    object["prefill_tokens_per_s"] = speed.prefill_tokens_per_s;
    object["decode_tokens_per_s"] = speed.decode_tokens_per_s;
    object["bytes_per_token"] = cost.bytes_per_token;
    object["macs_per_token"] = cost.macs_per_token;
    object["decode_weight_gb_per_s"] = gb_per_s;
    object["read_bandwidth_gb_per_s"] = roof_gb_per_s;
    object["bandwidth_share"] = gb_per_s / roof_gb_per_s;
    if (beside) {
      object["beside"] = OrderedJson{{"backend", beside->backend},
                                     {"prefill_tokens_per_s", beside->speed.prefill_tokens_per_s},
                                     {"decode_tokens_per_s", beside->speed.decode_tokens_per_s}};
    }
    output().write_line(json_line(object));
    return 0;
  }
  print("model    {} ({}), {:.1f} M weights, {:.1f} MB read per token\n", *path,
        chosen.architecture, static_cast<double>(cost.parameters) / 1e6,
        static_cast<double>(cost.bytes_per_token) / 1e6);
  print("backend  {}, {} threads\n", chosen.backend, options.n_threads);
  print("load     {:.3f} s\n", chosen.load_s);
  print("prefill  {:.1f} tok/s ({} tokens)\n", speed.prefill_tokens_per_s, n_prompt);
  print("decode   {:.1f} tok/s ({} tokens), weights read at {:.1f} of {:.1f} GB/s ({:.0f} %)\n",
        speed.decode_tokens_per_s, n_decode, gb_per_s, roof_gb_per_s,
        100 * gb_per_s / roof_gb_per_s);
  if (beside) {
    print("beside   {}: prefill {:.1f} tok/s, decode {:.1f} tok/s\n", beside->backend,
          beside->speed.prefill_tokens_per_s, beside->speed.decode_tokens_per_s);
  }
  return 0;
}

}  // namespace

constinit const Verb kBench = {
    .name = "bench",
    .summary = "measure prefill and decode of a model on this machine",
    .options = kOptions,
    .sections = "engine log",
    .run = run,
};

}  // namespace ac::cli
