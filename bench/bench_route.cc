// How long the whole decision takes, prompt by prompt: features, prediction, policy; on one thread.
//
//   bench_route PROMPTS.jsonl...
//
// Each line is an object with a "prompt" or the "turns" of a conversation (the first is taken). The
// weights of both gates are random: they change what is said, not how long it takes.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/predictor/network.h"
#include "models/predictor/ngram_gate.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/rng.h"
#include "runtime/route/policy.h"

namespace {

using ac::Json;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 5;

ac::Result<std::string> prompt_of(const Json& object) {
  if (ac::json_find(object, "prompt") != nullptr) return ac::json_string(object, "prompt");
  const Json* turns = ac::json_find(object, "turns");
  if (turns == nullptr || !turns->is_array() || turns->empty()) {
    return ac::fail(ac::ErrorCode::kCorruptFile, "neither 'prompt' nor 'turns'");
  }
  if (turns->front().is_string()) return turns->front().get<std::string>();
  return ac::json_string(turns->front(), "content");
}

ac::Status read_prompts(const std::string& path, std::vector<std::string>& prompts) {
  AC_TRY(const std::string text, ac::read_file(path, uint64_t{1} << 30));
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (line.empty()) continue;
    AC_TRY(const Json object, ac::parse_json(line));
    AC_TRY(std::string prompt, prompt_of(object));
    prompts.push_back(std::move(prompt));
  }
  return {};
}

ac::Predictor random_predictor() {
  ac::Rng rng(1);
  ac::Predictor::Parts parts;
  parts.tiers = {"small", "mid", "full"};
  parts.parameters.resize(static_cast<size_t>(ac::predictor::offsets_for(3).total));
  for (float& value : parts.parameters) value = static_cast<float>(0.6 * rng.uniform() - 0.3);
  parts.scale = {1, 1, 1};
  parts.shift = {0, 0, 0};
  return std::move(*ac::Predictor::create(std::move(parts)));
}

double microseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

void print_row(const char* what, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  const auto at = [&times](double share) {
    return times[static_cast<size_t>(share * static_cast<double>(times.size() - 1))];
  };
  fmt::print("{:<12} p50 {:6.2f}  p90 {:6.2f}  p99 {:6.2f}  p99.9 {:6.2f}  us\n", what, at(0.5),
             at(0.9), at(0.99), at(0.999));
}

// Random weights of the n-gram gate.
ac::NgramGate random_gate() {
  ac::Rng rng(2);
  ac::NgramGate::Parts parts;
  parts.tiers = {"small", "mid", "full"};
  parts.weights.resize(ac::kNgramBuckets * 3);
  for (float& value : parts.weights) value = static_cast<float>(rng.normal());
  parts.bias = {0, 0, 0.5f};
  parts.seen.assign(ac::kSeenBits / 32, 0x0f0f0f0f);
  parts.calibration.n_tiers = 3;
  return std::move(*ac::NgramGate::create(std::move(parts)));
}

struct Times {
  std::vector<double> features_us, predict_us, policy_us, whole_us;
  size_t n_remote = 0;
};

// `judge(prompt, read)` returns the prediction and sets `read` to when the features were there.
template <class JudgePrompt>
Times time_decisions(std::span<const std::string> prompts, std::span<const std::string> tiers,
                     std::optional<double> allowance, JudgePrompt judge) {
  const std::vector<ac::VariantCost> variants = {
      {"q4_0", 0.25, 2048}, {"q8_0", 0.5, 2048}, {"f16", 1.0, 2048}};
  Times times;
  for (int round = 0; round < kRounds; ++round) {
    for (const std::string& prompt : prompts) {
      const auto start = Clock::now();
      Clock::time_point read;
      const ac::Prediction prediction = judge(prompt, read);
      const auto predicted = Clock::now();
      const auto candidates = ac::candidates_for(tiers, prediction, variants);
      const auto route = ac::decide({.locals = candidates,
                                     .has_prediction = true,
                                     .remote_success = ac::full_model_success(prediction),
                                     .allowance = allowance,
                                     .remote_configured = true});
      const auto decided = Clock::now();
      if (route.has_value() && route->place == ac::Place::kRemote) ++times.n_remote;
      if (round == 0) continue;  // caches are still cold
      times.features_us.push_back(microseconds(start, read));
      times.predict_us.push_back(microseconds(read, predicted));
      times.policy_us.push_back(microseconds(predicted, decided));
      times.whole_us.push_back(microseconds(start, decided));
    }
  }
  return times;
}

void print_times(const char* gate, int n_parameters, size_t n_prompts, Times times) {
  fmt::print("{} gate: {} parameters, {} prompts, {} decisions timed, {:.0f} % remote\n", gate,
             n_parameters, n_prompts, times.whole_us.size(),
             100.0 * static_cast<double>(times.n_remote) /
                 static_cast<double>(n_prompts * static_cast<size_t>(kRounds)));
  print_row("features", std::move(times.features_us));
  print_row("predict", std::move(times.predict_us));
  print_row("policy", std::move(times.policy_us));
  print_row("decision", std::move(times.whole_us));
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> prompts;
  for (int i = 1; i < argc; ++i) {
    if (const auto status = read_prompts(argv[i], prompts); !status) {
      fmt::print(stderr, "bench_route: {}: {}\n", argv[i], status.error().message);
      return 2;
    }
  }
  if (prompts.empty()) {
    fmt::print(stderr, "usage: bench_route PROMPTS.jsonl...\n");
    return 2;
  }
  const ac::NgramGate gate = random_gate();
  ac::NgramReader reader;
  print_times("default", gate.n_parameters(), prompts.size(),
              time_decisions(prompts, gate.tiers(), 0.01,
                             [&](const std::string& prompt, Clock::time_point& read) {
                               const ac::NgramFeatures& features = reader.read(prompt);
                               read = Clock::now();
                               ac::Prediction prediction = gate.predict(features);
                               if (gate.novelty(features) > 1) prediction.success[0] = 0;
                               return prediction;
                             }));
  const ac::Predictor predictor = random_predictor();
  print_times("paper", predictor.n_parameters(), prompts.size(),
              time_decisions(prompts, predictor.tiers(), std::nullopt,
                             [&](const std::string& prompt, Clock::time_point& read) {
                               const ac::PromptFeatures features = ac::prompt_features(prompt);
                               read = Clock::now();
                               return predictor.predict(features);
                             }));
  return 0;
}
