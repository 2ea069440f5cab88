// A small zoo, before and after it is written.
#pragma once

#include <gtest/gtest.h>

#include "models/store/zoo.h"
#include "tests/store/gguf_builder.h"
#include "tests/store/store_test_util.h"

namespace ac::testing {

inline Checkpoint tokenizer() {
  Checkpoint c;
  c.set_string("general.architecture", "llama");
  c.set_strings("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
  return c;
}

inline Checkpoint weights(float value) {
  Checkpoint c;
  c.set_string("general.architecture", "llama");
  const int64_t shape[] = {3, 5};
  const auto bytes = c.add_tensor("w", WeightFormat::kF32, shape);
  AC_CHECK(bytes.has_value());
  for (size_t i = 0; i < 15; ++i) std::memcpy(bytes->data() + 4 * i, &value, 4);
  return c;
}

// Owns what a draft points to.
struct Draft {
  Checkpoint words = tokenizer(), cheap = weights(1), dear = weights(2);
  std::string predictor = gguf_text(weights(3));
  ZooDraft draft;
  Draft() {
    draft.manifest.base = "base";
    draft.manifest.architecture = "llama";
    draft.manifest.n_context = 128;
    draft.manifest.variants = {{.id = "cheap",
                                .member = "variants/cheap.gguf",
                                .techniques = {"quantize q4_0"},
                                .parameters = 15,
                                .macs_per_token = 15,
                                .weight_bytes = 60,
                                .bytes_per_token = 60,
                                .formats = {{"f32", 1}},
                                .notes = {"w: stays f32"}},
                               {.id = "dear", .member = "variants/dear.gguf"}};
    draft.members = {
        {"tokenizer.gguf", &words, {}},
        {"variants/cheap.gguf", &cheap, {}},
        {"variants/dear.gguf", &dear, {}},
        {"predictor.gguf", nullptr, std::as_bytes(std::span(std::string_view(predictor)))}};
  }
};

inline std::string small_zoo() {
  const TemporaryFolder folder;
  const Draft d;
  const Status status = write_zoo(folder / "small.zoo", d.draft);
  EXPECT_TRUE(status) << status.error().message;
  return slurp(folder / "small.zoo");
}

}  // namespace ac::testing
