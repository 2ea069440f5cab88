// Training speed: the products alone, and whole steps of a Llama-shaped model on random tokens.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "models/arch/model.h"
#include "models/train/tape.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Shape {
  int32_t d_model = 320;
  int32_t n_layers = 8;
  int32_t n_heads = 5;
  int32_t n_kv_heads = 5;
  int32_t d_ff = 896;
  int32_t n_vocab = 4096;
};

Checkpoint random_llama(const Shape& shape) {
  Checkpoint c;
  c.set_string("general.architecture", "llama");
  const auto uint = [&](const char* key, int32_t value) {
    c.set_uint(fmt::format("llama.{}", key), static_cast<uint32_t>(value));
  };
  uint("block_count", shape.n_layers);
  uint("context_length", 1024);
  uint("embedding_length", shape.d_model);
  uint("feed_forward_length", shape.d_ff);
  uint("attention.head_count", shape.n_heads);
  uint("attention.head_count_kv", shape.n_kv_heads);
  c.set_float("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  Rng rng(1);
  const auto add = [&](const std::string& name, std::vector<int64_t> axes) {
    auto bytes = c.add_tensor(name, WeightFormat::kF32, axes);
    for (size_t i = 0; i < bytes->size() / 4; ++i) {
      const auto value = static_cast<float>(axes.size() == 1 ? 1.0 : 0.02 * rng.normal());
      std::memcpy(bytes->data() + 4 * i, &value, 4);
    }
  };
  const int64_t d = shape.d_model, d_head = shape.d_model / shape.n_heads;
  add("token_embd.weight", {shape.n_vocab, d});
  add("output_norm.weight", {d});
  for (int32_t i = 0; i < shape.n_layers; ++i) {
    const auto name = [&](const char* rest) { return fmt::format("blk.{}.{}.weight", i, rest); };
    add(name("attn_norm"), {d});
    add(name("attn_q"), {d, d});
    add(name("attn_k"), {shape.n_kv_heads * d_head, d});
    add(name("attn_v"), {shape.n_kv_heads * d_head, d});
    add(name("attn_output"), {d, d});
    add(name("ffn_norm"), {d});
    add(name("ffn_gate"), {shape.d_ff, d});
    add(name("ffn_up"), {shape.d_ff, d});
    add(name("ffn_down"), {d, shape.d_ff});
  }
  return c;
}

// One thread, operands packed once outside (`inner`), and with the packing of A (`whole`).
void bench_gemm(const cpu::Gemm& gemm, size_t m, size_t n, size_t k) {
  std::vector<float> a(m * k, 0.5f), b(n * k, 0.25f), c(m * n);
  Buffer a_memory = std::move(*Buffer::allocate(gemm.packed_bytes(m, k) + 64));
  Buffer b_memory = std::move(*Buffer::allocate(gemm.packed_bytes(n, k) + 64));
  const auto right =
      gemm.b_from({.data = b.data(), .n_rows = n, .n_columns = k, .stride = k}, b_memory.data());
  double best[2] = {1e9, 1e9};
  for (int repeat = 0; repeat < 200; ++repeat) {
    const double begin = now_s();
    const auto left =
        gemm.a_from({.data = a.data(), .n_rows = m, .n_columns = k, .stride = k}, a_memory.data());
    const double packed = now_s();
    gemm.multiply(left, right, c.data(), n, cpu::Gemm::Store::kAssign);
    best[0] = std::min(best[0], now_s() - packed);
    best[1] = std::min(best[1], now_s() - begin);
  }
  const double flop = 2.0 * static_cast<double>(m * n * k);
  fmt::print("  {:>5} x {:>5} x {:>5}: {:>6.0f} GFLOP/s inside, {:>6.0f} with packing A\n", m, n, k,
             flop / best[0] / 1e9, flop / best[1] / 1e9);
}

int run(const Shape& shape, int32_t n_tokens, int32_t length, int32_t chunk, int n_threads,
        int n_steps, bool f32) {
  const Result<const cpu::Isa*> isa = cpu::choose_isa();
  if (!isa) {
    fmt::print(stderr, "{}\n", isa.error().message);
    return 1;
  }
  const cpu::GemmKind kind = f32 ? cpu::GemmKind::kF32 : cpu::Gemm::best_kind(**isa);
  const cpu::Gemm gemm(**isa, kind);
  fmt::print("{} {}\n", (*isa)->name, kind == cpu::GemmKind::kBf16 ? "bf16" : "f32");
  const auto d = static_cast<size_t>(shape.d_model), ff = static_cast<size_t>(shape.d_ff);
  const auto rows = static_cast<size_t>(chunk), all = static_cast<size_t>(n_tokens);
  bench_gemm(gemm, rows, d, d);
  bench_gemm(gemm, rows, ff, d);
  bench_gemm(gemm, rows, d, ff);
  bench_gemm(gemm, 128, d, all);

  auto parameters = Parameters::create(random_llama(shape));
  cpu::ThreadTeam team({.n_threads = n_threads});
  TapeBackend tape(**isa, team, **parameters, {.gemm = kind, .chunk_rows = chunk});
  auto model = load_model((*parameters)->checkpoint(), tape);
  if (!model) {
    fmt::print(stderr, "{}\n", model.error().message);
    return 1;
  }
  const int32_t n_slots = (n_tokens + length - 1) / length;
  if (!tape.create_kv(model->config.kv_shape(n_slots, length, KvFormat::kF32))) return 1;
  std::vector<int32_t> tokens, positions, slots, row_ids, targets;
  Rng rng(2);
  for (int32_t i = 0; i < n_tokens; ++i) {
    tokens.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(shape.n_vocab))));
    targets.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(shape.n_vocab))));
    positions.push_back(i % length);
    slots.push_back(i / length);
    row_ids.push_back(i);
  }
  const std::vector<float> weights(tokens.size(), 1.0f / static_cast<float>(n_tokens));
  std::vector<double> seconds;
  for (int i = 0; i < n_steps; ++i) {
    const double begin = now_s();
    tape.begin_step({.tokens = tokens, .positions = positions, .slots = slots});
    tape.loss(forward(tape, *model, row_ids), {.targets = targets, .weights = weights});
    if (!tape.end_step()) return 1;
    seconds.push_back(now_s() - begin);
  }
  std::ranges::sort(seconds);
  const double median = seconds[seconds.size() / 2];
  const auto matrices = static_cast<double>((*parameters)->n_parameters());
  fmt::print("{:.2f} M parameters, {} tokens a step in documents of {}: {:.0f} tokens/s (best {:.0f}), "
             "{:.2f} TFLOP/s in matrices\n",
             matrices / 1e6, n_tokens, length, n_tokens / median, n_tokens / seconds[0],
             6.0 * matrices * n_tokens / median / 1e12);
  return 0;
}

}  // namespace
}  // namespace ac

int main(int argc, char** argv) {
  ac::Shape shape;
  int32_t n_tokens = 2048, length = 256, chunk = 128;
  int n_threads = 0, n_steps = 10;
  bool f32 = false;
  CLI::App app("training speed");
  app.add_option("--d-model", shape.d_model);
  app.add_option("--layers", shape.n_layers);
  app.add_option("--heads", shape.n_heads);
  app.add_option("--kv-heads", shape.n_kv_heads);
  app.add_option("--d-ff", shape.d_ff);
  app.add_option("--vocab", shape.n_vocab);
  app.add_option("--tokens", n_tokens, "a step");
  app.add_option("--length", length, "of a document");
  app.add_option("--chunk", chunk, "rows taken through a segment at once");
  app.add_option("--threads", n_threads);
  app.add_option("--steps", n_steps);
  app.add_flag("--f32", f32, "OpenBLAS even where there is AMX");
  CLI11_PARSE(app, argc, argv);
  return ac::run(shape, n_tokens, length, chunk, n_threads, n_steps, f32);
}
