// Engines of small random models on the plain backend, whose arithmetic is exact, so that tokens can
// be compared.
#pragma once

#include <gtest/gtest.h>

#include "runtime/engine/session.h"
#include "tests/support/plain_backend.h"
#include "tests/support/random_model.h"

namespace ac::test {

inline Checkpoint tiny(std::string_view family = "llama", uint64_t seed = 21) {
  return random_model({.family = family, .seed = seed, .tokenizer = true, .n_layers = 2});
}

inline std::unique_ptr<Engine> plain_engine(const EngineOptions& options = {}, uint64_t seed = 21,
                                     std::string_view family = "llama") {
  auto engine = Engine::load_on(make_plain_backend(), tiny(family, seed), options);
  EXPECT_TRUE(engine.has_value()) << engine.error().message;
  return engine ? std::move(*engine) : nullptr;
}

inline Generation generate(Engine& engine, std::span<const int32_t> prompt,
                    const GenerateOptions& options) {
  auto made = engine.generate(prompt, options);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return made ? std::move(*made) : Generation{};
}

}  // namespace ac::test
