#include "models/train/base_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/text/tokenizer.h"
#include "runtime/core/rng.h"

namespace ac {

Result<BpeVocabulary> train_tokenizer(const BaseRecipe& recipe, const DocumentSource& source) {
  BpeOptions options{.n_vocab = recipe.n_vocab, .first_letters = recipe.first_letters};
  // Of the known ones that read digits one by one, the one that leaves brackets and quotation marks in front of
  // words too.
  if (recipe.first_letters) options.pre_tokenizer = "qwen2";
  AC_TRY(BpeTrainer trainer, BpeTrainer::create(std::move(options)));
  int64_t n_bytes = 0;
  const uint64_t size = source.size();
  for (uint64_t i = 0; n_bytes < recipe.tokenizer_bytes && (size == 0 || i < size); ++i) {
    const Document document = source.document(i);
    trainer.add_text(document.prompt);
    trainer.add_text(document.answer);
    n_bytes += static_cast<int64_t>(document.prompt.size() + document.answer.size());
  }
  // What the template puts around a prompt.
  for (const char* role : {"user", "assistant", "system"}) trainer.add_text(role);
  return trainer.train();
}

Result<Checkpoint> make_base_model(const BaseRecipe& recipe, const BpeVocabulary& vocabulary) {
  const BaseRecipe::ModelShape& shape = recipe.model;
  Checkpoint model;
  model.origin = shape.name;
  model.set_string("general.architecture", "llama");
  model.set_string("general.name", shape.name);
  const auto uint = [&model](std::string_view key, int32_t value) {
    model.set_uint(fmt::format("llama.{}", key), static_cast<uint32_t>(value));
  };
  const auto d_head = shape.d_model / shape.n_heads;
  uint("block_count", shape.n_layers);
  uint("context_length", shape.context);
  uint("embedding_length", shape.d_model);
  uint("feed_forward_length", shape.d_ff);
  uint("attention.head_count", shape.n_heads);
  uint("attention.head_count_kv", shape.n_kv_heads);
  uint("rope.dimension_count", d_head);
  uint("vocab_size", static_cast<int32_t>(vocabulary.tokens.size()));
  model.set_float("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  model.set_float("llama.rope.freq_base", static_cast<float>(shape.rope_base));
  write_tokenizer(vocabulary, &model);

  Rng rng(recipe.seed);
  const auto add = [&](const std::string& name, std::span<const int64_t> axes, double mean,
                       double deviation) -> Status {
    AC_TRY(const std::span<std::byte> bytes, model.add_tensor(name, WeightFormat::kF32, axes));
    for (size_t i = 0; i < bytes.size() / sizeof(float); ++i) {
      const auto value = static_cast<float>(deviation > 0 ? mean + deviation * rng.normal() : mean);
      std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
    }
    return {};
  };
  const auto vector = [&](const std::string& name, int64_t n) -> Status {
    const int64_t axes[] = {n};
    return add(name, axes, 1, 0);
  };
  const auto matrix = [&](const std::string& name, int64_t n_out, int64_t n_in,
                          double deviation) -> Status {
    const int64_t axes[] = {n_out, n_in};
    return add(name, axes, 0, deviation);
  };
  const int64_t d = shape.d_model;
  const int64_t kv = int64_t{shape.n_kv_heads} * d_head;
  const double in = 1 / std::sqrt(static_cast<double>(d));
  const double residual = 1 / std::sqrt(2.0 * shape.n_layers);
  AC_TRY_STATUS(
      matrix("token_embd.weight", static_cast<int64_t>(vocabulary.tokens.size()), d, 0.02));
  AC_TRY_STATUS(vector("output_norm.weight", d));
  for (int32_t i = 0; i < shape.n_layers; ++i) {
    const auto name = [i](std::string_view rest) { return fmt::format("blk.{}.{}.weight", i, rest); };
    AC_TRY_STATUS(vector(name("attn_norm"), d));
    AC_TRY_STATUS(matrix(name("attn_q"), d, d, in));
    AC_TRY_STATUS(matrix(name("attn_k"), kv, d, in));
    AC_TRY_STATUS(matrix(name("attn_v"), kv, d, in));
    AC_TRY_STATUS(matrix(name("attn_output"), d, d, in * residual));
    AC_TRY_STATUS(vector(name("ffn_norm"), d));
    AC_TRY_STATUS(matrix(name("ffn_gate"), shape.d_ff, d, in));
    AC_TRY_STATUS(matrix(name("ffn_up"), shape.d_ff, d, in));
    AC_TRY_STATUS(matrix(name("ffn_down"), d, shape.d_ff,
                         residual / std::sqrt(static_cast<double>(shape.d_ff))));
  }
  return model;
}

Status take_weights(const Checkpoint& from, const BpeVocabulary& vocabulary, Parameters* to) {
  AC_TRY(const std::unique_ptr<Parameters> given, Parameters::create(from));
  AC_TRY(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::from_checkpoint(from));
  const std::span<const float> source = std::as_const(*given).values();
  const std::span<float> target = to->values();
  for (const Parameters::Entry& entry : to->entries()) {
    const auto found = std::ranges::find(given->entries(), entry.name, &Parameters::Entry::name);
    const bool is_embedding = entry.name == "token_embd.weight";
    if (found == given->entries().end() || (!is_embedding && found->shape != entry.shape)) {
      return fail(ErrorCode::kCorruptFile, "{}: no tensor {} of the shape of this model", from.origin,
                  entry.name);
    }
    const std::span<const float> values = source.subspan(found->offset, found->size);
    if (!is_embedding) {
      std::ranges::copy(values, target.begin() + static_cast<ptrdiff_t>(entry.offset));
      continue;
    }
    const auto width = static_cast<size_t>(entry.shape[1]);
    for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
      const std::string& text = vocabulary.tokens[id];
      std::vector<int32_t> parts;
      if (id < vocabulary.n_special) {
        if (const auto same = tokenizer->find_special(text)) parts = {*same};
      } else {
        parts = tokenizer->encode(text);
      }
      if (parts.empty()) continue;  // stays as it was drawn
      const std::span<float> row = target.subspan(entry.offset + id * width, width);
      std::ranges::fill(row, 0.0f);
      for (const int32_t part : parts) {
        const auto of_part = values.subspan(static_cast<size_t>(part) * width, width);
        for (size_t i = 0; i < width; ++i) row[i] += of_part[i] / static_cast<float>(parts.size());
      }
    }
  }
  return {};
}

}  // namespace ac
