// Writes a GGUF file with the shape of a well-known model and random weights, for measuring speed
// where no download is possible. Speed does not depend on the values; the file loads in any GGUF
// reader.
//
// usage: write_random_model SHAPE MIX FILE
//   SHAPE: smollm2-135m | tinyllama-1.1b     MIX: q8_0 | q4_0 | q4_k_m | f16 | nested
//
// As in files that people download, 4-bit files keep the output matrix wider: q4_0 files in q8_0.
// q4_k_m is the mix of llama.cpp's quantiser: q4_k, but q6_k for the output and, in half of the
// layers, for attn_v and ffn_down; where blocks of 256 do not fit the width, q5_0 instead of q4_k
// and q8_0 instead of q6_k. nested is q4_0 with a residual for each matrix of the layers.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/formats/f16.h"
#include "models/store/gguf.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

struct Shape {
  const char* name;
  int64_t n_layers, d_model, n_heads, n_kv_heads, d_ff, n_vocab, n_context;
  bool tied;
  float rope_base;
};

constexpr Shape kShapes[] = {
    {"smollm2-135m", 30, 576, 9, 3, 1536, 49152, 8192, true, 100000.0f},
    {"tinyllama-1.1b", 22, 2048, 32, 4, 5632, 32000, 2048, false, 10000.0f},
};

void put_half(std::byte* at, float value) {
  const uint16_t bits = cpu::f32_to_f16(value);
  std::memcpy(at, &bits, sizeof bits);
}

// Random quants with a scale that keeps activations near unit variance: weights of variance 1 /
// n_in.
void fill(std::span<std::byte> bytes, WeightFormat format, int64_t n_in, Rng* rng) {
  const float deviation = 1.0f / std::sqrt(static_cast<float>(n_in));
  if (format == WeightFormat::kF16) {
    for (size_t i = 0; i < bytes.size(); i += 2) {
      put_half(&bytes[i], deviation * static_cast<float>(rng->uniform() * 3.46 - 1.73));
    }
    return;
  }
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const uint64_t word = rng->next();
    std::memcpy(&bytes[i], &word, sizeof word);
  }
  const size_t block_bytes = weight_format_info(format).block_bytes;
  for (size_t i = 0; i < bytes.size(); i += block_bytes) {
    switch (format) {
      case WeightFormat::kQ8_0:  // uniform int8: deviation 73.9
        put_half(&bytes[i], deviation / 73.9f);
        break;
      case WeightFormat::kQ4_0:  // uniform -8..7: deviation 4.6
        put_half(&bytes[i], deviation / 4.6f);
        break;
      case WeightFormat::kQ5_0:  // uniform -16..15: deviation 9.2
        put_half(&bytes[i], deviation / 9.2f);
        break;
      case WeightFormat::kQ4_K:  // scale up to 63, quants up to 15
        put_half(&bytes[i], deviation / (4.6f * 32));
        put_half(&bytes[i + 2], deviation * 7.5f / (4.6f * 32));
        break;
      case WeightFormat::kQ6_K:  // int8 scales, deviation 73.9, times -32..31, deviation 18.5
        put_half(&bytes[i + block_bytes - 2], deviation / (73.9f * 18.5f));
        break;
      default:
        AC_CHECK(false);
    }
  }
}

struct Mix {
  const char* name;
  WeightFormat most;
  WeightFormat output;
  WeightFormat more;  // attn_v and ffn_down of the layers that gets_more_bits names
  bool nested = false;
};

constexpr Mix kMixes[] = {
    {"q8_0", WeightFormat::kQ8_0, WeightFormat::kQ8_0, WeightFormat::kQ8_0},
    {"q4_0", WeightFormat::kQ4_0, WeightFormat::kQ8_0, WeightFormat::kQ4_0},
    {"q4_k_m", WeightFormat::kQ4_K, WeightFormat::kQ6_K, WeightFormat::kQ6_K},
    {"f16", WeightFormat::kF16, WeightFormat::kF16, WeightFormat::kF16},
    {"nested", WeightFormat::kQ4_0, WeightFormat::kQ8_0, WeightFormat::kQ4_0, true},
};

// The first and the last eighth of the layers, and every third one between them.
bool gets_more_bits(int64_t layer, int64_t n_layers) {
  return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
}

WeightFormat that_fits(WeightFormat format, int64_t n_in) {
  if (n_in % weight_format_info(format).block_weights == 0) return format;
  return format == WeightFormat::kQ4_K ? WeightFormat::kQ5_0 : WeightFormat::kQ8_0;
}

Status add_matrix(Checkpoint* model, const std::string& name, WeightFormat format, int64_t n_out,
                  int64_t n_in, Rng* rng) {
  format = that_fits(format, n_in);
  const int64_t shape[] = {n_out, n_in};
  AC_TRY(auto bytes, model->add_tensor(name, format, shape));
  fill(bytes, format, n_in, rng);
  return {};
}

Status add_ones(Checkpoint* model, const std::string& name, int64_t n) {
  const int64_t shape[] = {n};
  AC_TRY(auto bytes, model->add_tensor(name, WeightFormat::kF32, shape));
  const std::vector<float> ones(static_cast<size_t>(n), 1.0f);
  std::memcpy(bytes.data(), ones.data(), bytes.size());
  return {};
}

// A SentencePiece vocabulary: three control tokens, 256 bytes, then numbered words.
void add_vocabulary(Checkpoint* model, int64_t n_vocab) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<float> scores(static_cast<size_t>(n_vocab), 0.0f);
  std::vector<int32_t> types(static_cast<size_t>(n_vocab), 1);
  types[0] = 2;
  types[1] = types[2] = 3;
  for (size_t i = 0; i < 256; ++i) {
    tokens.push_back(fmt::format("<0x{:02X}>", i));
    types[i + 3] = 6;
  }
  for (size_t i = tokens.size(); i < static_cast<size_t>(n_vocab); ++i) {
    tokens.push_back(fmt::format("\xE2\x96\x81w{}", i));
    scores[i] = -static_cast<float>(i);
  }
  model->set_string("tokenizer.ggml.model", "llama");
  model->set_strings("tokenizer.ggml.tokens", tokens);
  model->set_floats("tokenizer.ggml.scores", scores);
  model->set_integers("tokenizer.ggml.token_type", types);
  model->set_uint("tokenizer.ggml.bos_token_id", 1);
  model->set_uint("tokenizer.ggml.eos_token_id", 2);
}

Status write_model(const Shape& shape, const Mix& mix, const std::string& path) {
  Rng rng(20260101);
  Checkpoint model;
  model.origin = path;
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  const int64_t d_head = shape.d_model / shape.n_heads;
  model.set_string("general.architecture", "llama");
  model.set_string("general.name", fmt::format("random weights, shape of {}", shape.name));
  model.set_uint("general.alignment", 32);
  model.set_uint("llama.block_count", u32(shape.n_layers));
  model.set_uint("llama.context_length", u32(shape.n_context));
  model.set_uint("llama.embedding_length", u32(shape.d_model));
  model.set_uint("llama.feed_forward_length", u32(shape.d_ff));
  model.set_uint("llama.attention.head_count", u32(shape.n_heads));
  model.set_uint("llama.attention.head_count_kv", u32(shape.n_kv_heads));
  model.set_uint("llama.rope.dimension_count", u32(d_head));
  model.set_float("llama.rope.freq_base", shape.rope_base);
  model.set_float("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  model.set_uint("llama.vocab_size", u32(shape.n_vocab));
  add_vocabulary(&model, shape.n_vocab);

  AC_TRY_STATUS(add_matrix(&model, "token_embd.weight", shape.tied ? mix.output : mix.most,
                           shape.n_vocab, shape.d_model, &rng));
  AC_TRY_STATUS(add_ones(&model, "output_norm.weight", shape.d_model));
  if (!shape.tied) {
    AC_TRY_STATUS(
        add_matrix(&model, "output.weight", mix.output, shape.n_vocab, shape.d_model, &rng));
  }
  std::vector<std::string> nested;
  const int64_t d_kv = shape.n_kv_heads * d_head;
  for (int64_t layer = 0; layer < shape.n_layers; ++layer) {
    const auto name = [&](const char* part) {
      return fmt::format("blk.{}.{}.weight", layer, part);
    };
    AC_TRY_STATUS(add_ones(&model, name("attn_norm"), shape.d_model));
    AC_TRY_STATUS(add_ones(&model, name("ffn_norm"), shape.d_model));
    const WeightFormat more = gets_more_bits(layer, shape.n_layers) ? mix.more : mix.most;
    const struct {
      const char* part;
      int64_t n_out, n_in;
      WeightFormat format;
    } matrices[] = {
        {"attn_q", shape.d_model, shape.d_model, mix.most},
        {"attn_k", d_kv, shape.d_model, mix.most},
        {"attn_v", d_kv, shape.d_model, more},
        {"attn_output", shape.d_model, shape.d_model, mix.most},
        {"ffn_gate", shape.d_ff, shape.d_model, mix.most},
        {"ffn_up", shape.d_ff, shape.d_model, mix.most},
        {"ffn_down", shape.d_model, shape.d_ff, more},
    };
    for (const auto& matrix : matrices) {
      AC_TRY_STATUS(
          add_matrix(&model, name(matrix.part), matrix.format, matrix.n_out, matrix.n_in, &rng));
      if (!mix.nested) continue;
      nested.push_back(fmt::format("blk.{}.{}", layer, matrix.part));
      AC_TRY_STATUS(add_matrix(&model, name(matrix.part) + ".residual", matrix.format, matrix.n_out,
                               matrix.n_in, &rng));
    }
  }
  if (mix.nested) model.set_strings("agentcompress.nested.order", nested);
  AC_TRY(auto out, create_file(path));
  AC_TRY_STATUS(write_gguf(model, *out));
  return out->commit();
}

int run(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s smollm2-135m|tinyllama-1.1b q8_0|q4_0|q4_k_m|f16|nested FILE\n",
                 argv[0]);
    return 2;
  }
  for (const Shape& shape : kShapes) {
    for (const Mix& mix : kMixes) {
      if (std::strcmp(shape.name, argv[1]) != 0 || std::strcmp(mix.name, argv[2]) != 0) continue;
      if (Status status = write_model(shape, mix, argv[3]); !status) {
        std::fprintf(stderr, "%s\n", status.error().message.c_str());
        return 1;
      }
      return 0;
    }
  }
  std::fprintf(stderr, "unknown shape '%s' or mix '%s'\n", argv[1], argv[2]);
  return 2;
}

}  // namespace
}  // namespace ac

int main(int argc, char** argv) { return ac::run(argc, argv); }
