#include "runtime/server/embeddings.h"

#include <bit>
#include <nlohmann/json.hpp>

#include "runtime/core/json.h"
#include "runtime/server/base64.h"

namespace ac {
namespace {

constexpr size_t kMaxTexts = 2048;
constexpr size_t kMaxModelBytes = 128;

ChatRefusal refused(std::string param, std::string message) {
  return {.status = 400, .message = std::move(message), .param = std::move(param), .code = {}};
}

}  // namespace

std::variant<EmbeddingsRequest, ChatRefusal> read_embeddings_request(std::string_view body) {
  const auto parsed = parse_json(body);
  if (!parsed) return refused("", parsed.error().message);
  const Json& object = *parsed;
  if (!object.is_object()) {
    return refused("", fmt::format("the body is a {}, expected an object", object.type_name()));
  }
  EmbeddingsRequest request;
  const auto model = json_string(object, "model");
  if (!model || model->empty() || model->size() > kMaxModelBytes) {
    return refused("model",
                   fmt::format("'model' must be a string of 1 to {} bytes", kMaxModelBytes));
  }
  request.model = *model;
  const auto add = [&](const Json& one) {
    const auto* text = one.get_ptr<const std::string*>();
    if (text == nullptr || text->empty()) return false;
    request.texts.push_back(*text);
    return true;
  };
  const Json* input = json_find(object, "input");
  bool good = input != nullptr;
  if (good && input->is_array()) {
    good = !input->empty() && input->size() <= kMaxTexts;
    for (const Json& one : *input) good = good && add(one);
  } else if (good) {
    good = add(*input);
  }
  if (!good) {
    return refused("input",
                   fmt::format("'input' must be a text or a list of 1 to {} texts, none of them "
                               "empty; tokens cannot be read here (LangChain: "
                               "check_embedding_ctx_length=False)",
                               kMaxTexts));
  }
  if (const Json* format = json_find(object, "encoding_format"); format != nullptr) {
    if (*format != "float" && *format != "base64") {
      return refused("encoding_format", "'encoding_format' must be float or base64");
    }
    request.base64 = *format == "base64";
  }
  if (json_find(object, "dimensions") != nullptr) {
    return refused("dimensions", "vectors have the model's dimensions ('dimensions')");
  }
  return request;
}

std::string base64_of(std::span<const float> values) {
  std::vector<unsigned char> bytes;
  bytes.reserve(values.size() * sizeof(float));
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) {
      bytes.push_back(static_cast<unsigned char>(bits >> shift));
    }
  }
  return base64_of(std::span<const unsigned char>(bytes));
}

std::string embeddings_body(std::string_view model, std::span<const std::vector<float>> vectors,
                            bool base64, int64_t prompt_tokens) {
  OrderedJson data = OrderedJson::array();
  for (size_t i = 0; i < vectors.size(); ++i) {
    OrderedJson one{{"object", "embedding"}, {"index", i}};
    if (base64) {
      one["embedding"] = base64_of(vectors[i]);
    } else {
      one["embedding"] = vectors[i];
    }
    data.push_back(std::move(one));
  }
  return json_line(
      OrderedJson{{"object", "list"},
                  {"data", std::move(data)},
                  {"model", model},
                  {"usage", {{"prompt_tokens", prompt_tokens}, {"total_tokens", prompt_tokens}}}});
}

}  // namespace ac
