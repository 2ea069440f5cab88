#include "models/compress/measure.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cpu/backend_cpu.h"
#include "cpu/threads.h"
#include "models/arch/model.h"
#include "runtime/core/clock.h"

namespace ac {
namespace {

constexpr size_t kPositionsPerStep = 128;
constexpr int32_t kPromptTokens = 16;
constexpr int32_t kTimedTokens = 48;
// Tokens of a small model take less than a tick of the machine's noise, so they are decoded over and over.
constexpr double kTimedSeconds = 0.1;

struct Loaded {
  std::unique_ptr<Backend> backend;
  Model model;
};

Result<Loaded> load(const Checkpoint& checkpoint, int32_t n_context, KvFormat kv, int n_threads) {
  Loaded loaded;
  AC_TRY(loaded.backend, cpu::create_cpu_backend({.n_threads = n_threads}));
  AC_TRY(loaded.model, load_model(checkpoint, *loaded.backend, {.n_context = n_context}));
  AC_TRY_STATUS(loaded.backend->create_kv(loaded.model.config.kv_shape(1, n_context, kv)));
  return loaded;
}

Status check_same_vocabulary(const Checkpoint& base, const Model& base_model,
                             const Checkpoint& variant, const Model& variant_model) {
  const int32_t expected = base_model.config.n_vocab;
  const int32_t actual = variant_model.config.n_vocab;
  if (actual == expected) return {};
  return fail(ErrorCode::kInvalidArgument, "{} has {} tokens, {} has {}: they cannot be compared",
              base.origin, expected, variant.origin, actual);
}

// Logits of every position of the batch; valid until the model's next step.
Result<std::span<const float>> logits_of(Loaded& loaded, const Batch& batch,
                                         std::span<const int32_t> rows) {
  loaded.backend->begin_step(batch);
  const Value logits = forward(*loaded.backend, loaded.model, rows);
  AC_TRY_STATUS(loaded.backend->end_step());
  return loaded.backend->read(logits);
}

struct Row {
  double kl = 0;
  double base_loss = 0;  // -log p(next); 0 where there is no next token
  double loss = 0;
  bool same_top1 = false;
};

double log_sum_exp(std::span<const float> logits, double largest) {
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - largest);
  return largest + std::log(sum);
}

Row compare(std::span<const float> base, std::span<const float> variant, int32_t next) {
  const auto top_base = std::max_element(base.begin(), base.end());
  const auto top = std::max_element(variant.begin(), variant.end());
  const double norm_base = log_sum_exp(base, static_cast<double>(*top_base));
  const double norm = log_sum_exp(variant, static_cast<double>(*top));
  Row row;
  for (size_t i = 0; i < base.size(); ++i) {
    const double log_p = static_cast<double>(base[i]) - norm_base;
    row.kl += std::exp(log_p) * (log_p - (static_cast<double>(variant[i]) - norm));
  }
  row.same_top1 = top_base - base.begin() == top - variant.begin();
  if (next >= 0) {
    row.base_loss = norm_base - static_cast<double>(base[static_cast<size_t>(next)]);
    row.loss = norm - static_cast<double>(variant[static_cast<size_t>(next)]);
  }
  return row;
}

double percentile(std::vector<double>& values, double share) {
  const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

Result<Quality> measure_quality(const Checkpoint& base, const Checkpoint& variant,
                                const TokenWindows& held_out, const MeasureOptions& options) {
  size_t longest = 0;
  for (size_t i = 0; i < held_out.n_windows(); ++i) {
    longest = std::max(longest, held_out.window(i).size());
  }
  if (longest < 2) return fail(ErrorCode::kInvalidArgument, "no held-out text to measure with");
  const auto n_context = static_cast<int32_t>(longest);
  AC_TRY(Loaded left, load(base, n_context, KvFormat::kF32, options.n_threads));
  AC_TRY(Loaded right, load(variant, n_context, KvFormat::kF32, options.n_threads));
  const int32_t n_vocab = left.model.config.n_vocab;
  AC_TRY_STATUS(check_same_vocabulary(base, left.model, variant, right.model));
  cpu::ThreadTeam team({.n_threads = options.n_threads});
  const auto width = static_cast<size_t>(n_vocab);
  std::vector<int32_t> positions(longest), rows(kPositionsPerStep);
  const std::vector<int32_t> slots(longest, 0);
  std::iota(positions.begin(), positions.end(), 0);
  std::iota(rows.begin(), rows.end(), 0);

  Quality quality;
  std::vector<double> kl;
  double loss = 0, base_loss = 0;
  size_t n_same = 0;
  std::vector<Row> found(kPositionsPerStep);
  for (size_t w = 0; w < held_out.n_windows(); ++w) {
    const auto window = held_out.window(w);
    for (size_t done = 0; done < window.size(); done += kPositionsPerStep) {
      const size_t n = std::min(kPositionsPerStep, window.size() - done);
      const Batch batch{.tokens = window.subspan(done, n),
                        .positions = std::span<const int32_t>(positions).subspan(done, n),
                        .slots = std::span<const int32_t>(slots).first(n)};
      AC_TRY(const auto expected, logits_of(left, batch, std::span(rows).first(n)));
      AC_TRY(const auto actual, logits_of(right, batch, std::span(rows).first(n)));
      team.for_each_chunk(static_cast<int32_t>(n), [&](int32_t row, int32_t) {
        const auto i = static_cast<size_t>(row);
        const size_t after = done + i + 1;
        const int32_t next = after < window.size() ? window[after] : -1;
        found[i] =
            compare(expected.subspan(i * width, width), actual.subspan(i * width, width), next);
      });
      for (size_t i = 0; i < n; ++i) {
        if (!std::isfinite(found[i].kl)) {
          return fail(ErrorCode::kCorruptFile, "{}: logits that are not finite", variant.origin);
        }
        if (done + i + 1 >= window.size() || held_out.weight(w, done + i + 1) <= 0) continue;
        kl.push_back(std::max(0.0, found[i].kl));
        loss += found[i].loss;
        base_loss += found[i].base_loss;
        if (found[i].same_top1) ++n_same;
      }
    }
    if (options.progress) options.progress(held_out.ends[w], held_out.tokens.size());
  }
  if (kl.empty()) {
    return fail(ErrorCode::kInvalidArgument, "the held-out text has no token that counts");
  }
  const auto count = static_cast<double>(kl.size());
  quality.n_tokens = kl.size();
  quality.base_perplexity = std::exp(base_loss / count);
  quality.perplexity = std::exp(loss / count);
  if (!std::isfinite(quality.base_perplexity) || !std::isfinite(quality.perplexity)) {
    return fail(ErrorCode::kCorruptFile,
                "{}: a loss of {:.0f} a token on held-out text, of the base {:.0f}; expected below 700", variant.origin,
                loss / count, base_loss / count);
  }
  quality.kl_mean = std::accumulate(kl.begin(), kl.end(), 0.0) / count;
  quality.kl_median = percentile(kl, 0.5);
  quality.kl_99 = percentile(kl, 0.99);
  quality.same_top1 = static_cast<double>(n_same) / count;
  return quality;
}

struct NestedMeter::State {
  const Checkpoint& nested;
  Loaded base;
  Loaded variant;
  cpu::ThreadTeam team;
  std::vector<int32_t> positions, slots;
};

NestedMeter::NestedMeter(std::unique_ptr<State> state) : state_(std::move(state)) {}
NestedMeter::~NestedMeter() = default;

Result<std::unique_ptr<NestedMeter>> NestedMeter::create(const Checkpoint& base,
                                                         const Checkpoint& nested,
                                                         size_t max_tokens, int n_threads) {
  const auto n_context = static_cast<int32_t>(max_tokens);
  AC_TRY(Loaded left, load(base, n_context, KvFormat::kF32, n_threads));
  AC_TRY(Loaded right, load(nested, n_context, KvFormat::kF32, n_threads));
  AC_TRY_STATUS(check_same_vocabulary(base, left.model, nested, right.model));
  std::unique_ptr<State> state(new State{.nested = nested,
                                         .base = std::move(left),
                                         .variant = std::move(right),
                                         .team = cpu::ThreadTeam({.n_threads = n_threads}),
                                         .positions = std::vector<int32_t>(max_tokens),
                                         .slots = std::vector<int32_t>(max_tokens, 0)});
  std::iota(state->positions.begin(), state->positions.end(), 0);
  return std::unique_ptr<NestedMeter>(new NestedMeter(std::move(state)));
}

Result<std::vector<float>> NestedMeter::divergences(std::span<const int32_t> window) {
  State& s = *state_;
  const size_t n = window.size();
  AC_CHECK(n > 0 && n <= s.positions.size());
  const Batch batch{.tokens = window,
                    .positions = std::span<const int32_t>(s.positions).first(n),
                    .slots = std::span<const int32_t>(s.slots).first(n)};
  AC_TRY(const auto expected, logits_of(s.base, batch, batch.positions));
  const size_t width = expected.size() / n;
  std::vector<double> kl(n);
  const auto divergence = [&]() -> Result<float> {
    AC_TRY(const auto actual, logits_of(s.variant, batch, batch.positions));
    s.team.for_each_chunk(static_cast<int32_t>(n), [&](int32_t row, int32_t) {
      const auto i = static_cast<size_t>(row);
      kl[i] = compare(expected.subspan(i * width, width), actual.subspan(i * width, width), -1).kl;
    });
    const double sum = std::accumulate(kl.begin(), kl.end(), 0.0);
    if (std::isfinite(sum)) return static_cast<float>(sum);
    return fail(ErrorCode::kCorruptFile, "{}: logits that are not finite", s.nested.origin);
  };
  Backend& backend = *s.variant.backend;
  const Model& model = s.variant.model;
  set_level(backend, model, 0);
  std::vector<float> sums;
  AC_TRY(const float without, divergence());
  sums.push_back(without);
  for (const std::vector<WeightId>& ids : model.nested_weights) {
    for (const WeightId id : ids) backend.read_residual(id, true);
    AC_TRY(const float with, divergence());
    sums.push_back(with);
    for (const WeightId id : ids) backend.read_residual(id, false);
  }
  return sums;
}

Result<double> measure_ms_per_token(const Checkpoint& variant, int n_threads) {
  constexpr int32_t kContext = kPromptTokens + kTimedTokens;
  AC_TRY(Loaded loaded, load(variant, kContext, KvFormat::kF16, n_threads));
  const int32_t n_vocab = loaded.model.config.n_vocab;
  std::vector<int32_t> tokens(kContext), positions(kContext);
  const std::vector<int32_t> slots(kContext, 0);
  std::iota(positions.begin(), positions.end(), 0);
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(n_vocab));
  }
  const int32_t first_row[] = {0};
  const auto decode = [&](size_t at, size_t n) -> Status {
    const Batch batch{.tokens = std::span<const int32_t>(tokens).subspan(at, n),
                      .positions = std::span<const int32_t>(positions).subspan(at, n),
                      .slots = std::span<const int32_t>(slots).first(n)};
    const auto logits = logits_of(loaded, batch, first_row);
    return logits ? Status() : logits.error();
  };
  AC_TRY_STATUS(decode(0, kPromptTokens));
  std::vector<double> ms;
  const Clock::TimePoint begin = system_clock().now();
  do {
    for (size_t at = kPromptTokens; at < tokens.size(); ++at) {
      const Clock::TimePoint start = system_clock().now();
      AC_TRY_STATUS(decode(at, 1));
      ms.push_back(1e3 * seconds_between(start, system_clock().now()));
    }
  } while (seconds_between(begin, system_clock().now()) < kTimedSeconds);
  return percentile(ms, 0.5);
}

}  // namespace ac
