// Matrix kernels beside what the machine can do: GB/s of weights for one token, GOP/s for many.
//
//   bench_kernels [--isa NAME] [--threads N] [--tokens N] [--format NAME] [--cpu-time] [--pack]
//
// The format `nested` is two planes of q4_0_r16 in one pass.
//
// Decode streams more than 1 GB of different matrices, so that none is in a cache; prefill
// multiplies 512 tokens with TinyLlama-1.1B's widest matrix. One thread a core, pinned.
#include <fmt/core.h>
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cpu/formats/codecs.h"
#include "cpu/formats/packed.h"
#include "cpu/isa.h"
#include "cpu/matmul.h"
#include "runtime/core/rng.h"
#include "runtime/core/tensor.h"

namespace ac {
namespace {

using cpu::Isa;
using cpu::MatmulPlan;
using cpu::Matrix;

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What this thread has computed. On a machine that others use too it says what a kernel costs; it
// does not say how long a user waits.
double cpu_time_s() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

bool use_cpu_time = false;

// Runs work(worker) on n pinned threads, several times; the best time of one run in seconds.
double best_time(size_t n_threads, int n_runs, const std::function<void(size_t)>& work) {
  double best = 1e30;
  double started = 0;
  std::vector<double> computed(n_threads);
  int run = 0;
  std::barrier start(static_cast<std::ptrdiff_t>(n_threads), [&]() noexcept { started = now_s(); });
  std::barrier stop(static_cast<std::ptrdiff_t>(n_threads), [&]() noexcept {
    double elapsed = now_s() - started;
    if (use_cpu_time) elapsed = *std::max_element(computed.begin(), computed.end());
    if (run++ > 0) best = std::min(best, elapsed);  // the first warms up
  });
  std::vector<std::thread> threads;
  for (size_t worker = 0; worker < n_threads; ++worker) {
    threads.emplace_back([&, worker] {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(worker % std::max(1u, std::thread::hardware_concurrency()), &set);
      pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
      for (int i = 0; i <= n_runs; ++i) {
        start.arrive_and_wait();
        const double before = cpu_time_s();
        work(worker);
        computed[worker] = cpu_time_s() - before;
        stop.arrive_and_wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return best;
}

struct Shape {
  size_t n_out;
  size_t n_in;
};

// `copies` matrices one after the other, random bytes with small finite scales.
struct Weights {
  Buffer data;
  std::vector<Matrix> matrices;
  uint64_t bytes = 0;
};

Weights make_weights(WeightFormat format, Shape shape, size_t copies) {
  const std::array<int64_t, 2> axes = {static_cast<int64_t>(shape.n_out),
                                       static_cast<int64_t>(shape.n_in)};
  const uint64_t bytes = *tensor_bytes(format, axes);
  Weights w;
  w.bytes = bytes * copies;
  w.data = std::move(*Buffer::allocate(w.bytes));
  // 2-byte words between 0x2c00 and 0x2cff are f16 of about 0.06, and bf16 and f32 of tiny size.
  Rng rng(1);
  auto words = w.data.as<uint64_t>();
  for (uint64_t& word : words) {
    word = (rng.next() & 0x00ff00ff00ff00ffu) | 0x2c002c002c002c00u;
  }
  const bool packed = weight_format_info(format).group_rows == 16;
  for (size_t i = 0; i < copies; ++i) {
    w.matrices.push_back({.format = format,
                          .n_out = shape.n_out,
                          .n_in = shape.n_in,
                          .data = w.data.data() + i * bytes,
                          .row_bytes = packed ? 0 : cpu::row_bytes(format, shape.n_in)});
  }
  return w;
}

// Seconds for all matrices times n_tokens, each worker a share of the rows.
double time_matmul(const Isa& isa, const Weights& w, size_t n_tokens, size_t n_threads,
                   int n_runs) {
  const Matrix& first = w.matrices.front();
  const MatmulPlan plan = cpu::plan_matmul(*isa.matmul, first, n_tokens);
  std::vector<float> x(n_tokens * first.n_in);
  Rng rng(2);
  for (float& value : x) value = static_cast<float>(rng.normal());
  Buffer activations = std::move(*Buffer::allocate(plan.activation_bytes + 64));
  std::vector<Buffer> scratch;
  for (size_t i = 0; i < n_threads; ++i) {
    scratch.push_back(std::move(*Buffer::allocate(plan.scratch_bytes + 64)));
  }
  std::vector<float> y(n_tokens * first.n_out);
  std::barrier prepared(static_cast<std::ptrdiff_t>(n_threads));
  return best_time(n_threads, n_runs, [&](size_t worker) {
    const size_t step = plan.token_step;
    const size_t steps = (n_tokens + step - 1) / step;
    prepare_activations(plan, x.data(), first.n_in, steps * worker / n_threads * step,
                        std::min(n_tokens, steps * (worker + 1) / n_threads * step),
                        activations.data());
    prepared.arrive_and_wait();
    const void* input = plan.prepare == nullptr ? static_cast<const void*>(x.data())
                                                : static_cast<const void*>(activations.data());
    const size_t row_steps = (first.n_out + plan.row_step - 1) / plan.row_step;
    const size_t begin = row_steps * worker / n_threads * plan.row_step;
    const size_t end = std::min(first.n_out, row_steps * (worker + 1) / n_threads * plan.row_step);
    for (const Matrix& matrix : w.matrices) {
      run_matmul(plan, matrix, input, begin, end, {.y = y.data(), .y_stride = first.n_out},
                 scratch[worker].data());
    }
  });
}

// Every second matrix becomes the residual of the one before.
void nest(Weights& w) {
  for (size_t i = 0; i + 1 < w.matrices.size(); i += 2) {
    w.matrices[i / 2] = w.matrices[i];
    w.matrices[i / 2].residual = w.matrices[i + 1].data;
  }
  w.matrices.resize(w.matrices.size() / 2);
}

void report(const Isa& isa, WeightFormat format, bool nested, size_t n_tokens, size_t n_threads) {
  const Shape shape = {.n_out = 5632, .n_in = 2048};
  const std::array<int64_t, 2> axes = {5632, 2048};
  const auto bytes = static_cast<double>(*tensor_bytes(format, axes));
  const bool decode = n_tokens <= 8;
  const size_t n_planes = nested ? 2 : 1;
  const auto copies = decode ? static_cast<size_t>(1.2e9 / bytes) / n_planes : size_t{2};
  Weights w = make_weights(format, shape, copies * n_planes);
  if (nested) nest(w);
  const double s = time_matmul(isa, w, n_tokens, n_threads, decode ? 3 : 4);
  const double ops = 2.0 * static_cast<double>(shape.n_out * shape.n_in * n_tokens * copies);
  fmt::print("{:9} {:9} threads {} tokens {:4}  {:7.2f} GB/s {:8.1f} GOP/s\n", isa.name,
             nested ? "nested" : weight_format_info(format).name, n_threads, n_tokens,
             static_cast<double>(w.bytes) / s / 1e9, ops / s / 1e9);
}

// GGUF rows into the packed layout, as loading a file does: GB/s of rows read.
void report_pack(const Isa& isa, WeightFormat packed, size_t n_threads) {
  const WeightFormat format = cpu::unpacked_format(packed);
  const std::array<int64_t, 2> axes = {32000, 2048};
  const uint64_t bytes = *tensor_bytes(format, axes);
  Buffer from = std::move(*Buffer::allocate(bytes));
  Buffer to = std::move(*Buffer::allocate(*tensor_bytes(packed, axes)));
  const auto groups = static_cast<size_t>(cpu::packed_groups(axes[0]));
  const double s = best_time(n_threads, 4, [&](size_t worker) {
    cpu::pack_groups(*isa.matmul, format,
                     {.from = from.data(),
                      .to = to.data(),
                      .n_out = 32000,
                      .n_in = 2048,
                      .group_begin = groups * worker / n_threads,
                      .group_end = groups * (worker + 1) / n_threads});
  });
  fmt::print("{:9} {:9} threads {} packing      {:7.2f} GB/s\n", isa.name,
             weight_format_info(packed).name, n_threads, static_cast<double>(bytes) / s / 1e9);
}

int run(int argc, char** argv) {
  CLI::App app("Matrix kernels against the machine's limits");
  std::vector<std::string> isa_names;
  std::vector<std::string> format_names = {"q8_0_r16", "q4_0_r16", "nested"};
  std::vector<size_t> threads = {1, 2};
  std::vector<size_t> tokens = {1, 512};
  app.add_option("--isa", isa_names, "instruction sets (all that this processor has)");
  app.add_option("--format", format_names, "weight formats")->capture_default_str();
  app.add_option("--threads", threads, "threads")->capture_default_str();
  app.add_option("--tokens", tokens, "tokens at once")->capture_default_str();
  bool pack = false;
  app.add_flag("--pack", pack, "time packing instead of products");
  app.add_flag("--cpu-time", use_cpu_time, "count the time computed, not the time passed");
  CLI11_PARSE(app, argc, argv);
  for (const Isa& isa : cpu::isas()) {
    const bool wanted = isa_names.empty() ||
                        std::find(isa_names.begin(), isa_names.end(), isa.name) != isa_names.end();
    if (!wanted || !isa.is_supported()) continue;
    for (const std::string& name : format_names) {
      const bool nested = name == "nested";
      const std::optional<WeightFormat> format =
          nested ? WeightFormat::kQ4_0_R16 : weight_format_from_name(name);
      if (!format) {
        fmt::print(stderr, "bench_kernels: no weight format '{}'\n", name);
        return 2;
      }
      if (pack) {
        if (weight_format_info(*format).group_rows > 1) {
          for (size_t n_threads : threads) report_pack(isa, *format, n_threads);
        }
        continue;
      }
      for (size_t n_tokens : tokens) {
        for (size_t n_threads : threads) report(isa, *format, nested, n_tokens, n_threads);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace ac

int main(int argc, char** argv) { return ac::run(argc, argv); }
