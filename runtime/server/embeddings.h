// POST /v1/embeddings: texts in, vectors out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/server/chat_request.h"

namespace ac {

struct EmbeddingsRequest {
  std::string model;
  std::vector<std::string> texts;
  bool base64 = false;  // vectors as the base64 of little-endian floats
};

// `input` is a text or a list of texts; tokens instead of text are refused, and so is a number of
// `dimensions`, which a model's vectors have as many of as they have.
std::variant<EmbeddingsRequest, ChatRefusal> read_embeddings_request(std::string_view body);

// `vectors` [texts][d_model].
std::string embeddings_body(std::string_view model, std::span<const std::vector<float>> vectors,
                            bool base64, int64_t prompt_tokens);

// RFC 4648, of the bytes of `values` in little-endian order.
std::string base64_of(std::span<const float> values);

}  // namespace ac
