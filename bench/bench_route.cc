// How long the whole decision takes, prompt by prompt: features, prediction, policy; on one thread.
//
//   bench_route PROMPTS.jsonl...
//
// Each line is an object with a "prompt" or the "turns" of a conversation (the first is taken). The
// predictor's weights are random: they change what it says, not how long it takes.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/predictor/network.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/rng.h"
#include "runtime/route/policy.h"

namespace {

using ac::Json;
using Clock = std::chrono::steady_clock;

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
  const ac::Predictor predictor = random_predictor();
  const std::vector<ac::VariantCost> variants = {
      {"q4_0", 0.25, 2048}, {"q8_0", 0.5, 2048}, {"f16", 1.0, 2048}};
  std::vector<double> features_us, predict_us, policy_us, whole_us;
  size_t n_remote = 0;
  constexpr int kRounds = 5;
  for (int round = 0; round < kRounds; ++round) {
    for (const std::string& prompt : prompts) {
      const auto start = Clock::now();
      const ac::PromptFeatures features = ac::prompt_features(prompt);
      const auto read = Clock::now();
      const ac::Prediction prediction = predictor.predict(features);
      const auto predicted = Clock::now();
      const auto candidates = ac::candidates_for(predictor.tiers(), prediction, variants);
      const auto route = ac::decide({.locals = candidates,
                                     .has_prediction = true,
                                     .remote_success = ac::full_model_success(prediction),
                                     .remote_configured = true});
      const auto decided = Clock::now();
      if (route.has_value() && route->place == ac::Place::kRemote) ++n_remote;
      if (round == 0) continue;  // caches are still cold
      features_us.push_back(microseconds(start, read));
      predict_us.push_back(microseconds(read, predicted));
      policy_us.push_back(microseconds(predicted, decided));
      whole_us.push_back(microseconds(start, decided));
    }
  }
  fmt::print("{} prompts, {} decisions timed, {} parameters, {:.0f} % remote\n", prompts.size(),
             whole_us.size(), predictor.n_parameters(),
             100.0 * static_cast<double>(n_remote) /
                 static_cast<double>(prompts.size() * static_cast<size_t>(kRounds)));
  print_row("features", std::move(features_us));
  print_row("predict", std::move(predict_us));
  print_row("policy", std::move(policy_us));
  print_row("decision", std::move(whole_us));
  return 0;
}
