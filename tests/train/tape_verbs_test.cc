// Each verb on its own, and the ways values can be shared that a transformer does not use today.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tests/train/tape_harness.h"

namespace ac::test {
namespace {

// Values near 1, so third derivatives are of order 1 to 10: a step of 2e-3 leaves 1e-5 of them, and
// logits rounded to f32 (below 8: 5e-7) leave 3e-4 of a slope, both relative to lengths of 0.1 and
// more.
constexpr double kStep = 2e-3;
constexpr double kTolerance = 5e-3;

constexpr int32_t kVocab = 23;
constexpr int32_t kWidth = 12;  // 3 heads of 4, 1 kv head
constexpr int32_t kHead = 4;

struct Weights {
  WeightId table, square, other, bias, norm, head_norm, key, value, out;
  RopeId halves, interleaved;
};

using Verbs = std::function<Value(Backend&, const Weights&, Value x)>;

Load load_verbs(const Verbs& verbs) {
  return [verbs](Backend& backend, const Checkpoint& checkpoint) -> Text {
    const auto matrix = [&](const char* name) {
      const auto view = checkpoint.tensor(name);
      return view ? *backend.load_matrix(*view) : WeightId::kNone;
    };
    const auto vector = [&](const char* name) {
      const auto view = checkpoint.tensor(name);
      return view ? *backend.load_vector(*view) : WeightId::kNone;
    };
    const std::array<float, 2> whole = {1.0f, 0.3f};
    const std::array<float, 1> half = {0.7f};
    Weights w{.table = matrix("table"),
              .square = matrix("square"),
              .other = matrix("other"),
              .bias = vector("bias"),
              .norm = vector("norm"),
              .head_norm = vector("head_norm"),
              .key = matrix("key"),
              .value = matrix("value"),
              .out = matrix("out"),
              .halves = *backend.load_rope({whole, RopePairing::kHalves, 1.2f}),
              .interleaved = *backend.load_rope({half, RopePairing::kInterleaved, 1.0f})};
    AC_CHECK(backend
                 .create_kv({.layers = {{1, kHead}},
                             .n_slots = 4,
                             .n_context = 16,
                             .format = KvFormat::kF32})
                 .has_value());
    return [w, verbs](Backend& on) {
      const Value x = on.embed(w.table);
      return on.matmul(verbs(on, w, x), w.out, WeightId::kNone);
    };
  };
}

// Only the weights that the verbs use, since every tensor must get a gradient.
std::unique_ptr<Parameters> parameters_with(const std::vector<std::string>& names) {
  Checkpoint c;
  const auto has = [&](const char* name) { return std::ranges::count(names, name) > 0; };
  add_normal(c, "table", {kVocab, kWidth}, 1);
  add_normal(c, "out", {9, kWidth}, 0.3);
  for (const char* name : {"square", "other"}) {
    if (has(name)) add_normal(c, name, {kWidth, kWidth}, 0.3);
  }
  for (const char* name : {"key", "value"}) {
    if (has(name)) add_normal(c, name, {kHead, kWidth}, 0.4);
  }
  if (has("bias")) add_normal(c, "bias", {kWidth}, 0.5);
  if (has("norm")) add_normal(c, "norm", {kWidth}, 0.3, 1);
  if (has("head_norm")) add_normal(c, "head_norm", {kHead}, 0.3, 1);
  auto parameters = Parameters::create(c);
  AC_CHECK(parameters.has_value());
  return std::move(*parameters);
}

void check(const std::vector<std::string>& names, const Verbs& verbs) {
  // More rows than a chunk has, so that chunks meet; few enough for the plain backend.
  TapeHarness harness(parameters_with(names), load_verbs(verbs), TestBatch({9, 16, 1, 14}, kVocab, 5),
                      {.chunk_rows = 64});
  const auto expected = harness.plain_logits(), actual = harness.tape_logits();
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], 2e-5f * (1 + std::abs(expected[i]))) << i;
  }
  harness.check_gradients(kStep, kTolerance);
}

TEST(TapeVerbs, Matmul) {
  check({"square", "bias"},
        [](Backend& b, const Weights& w, Value x) { return b.matmul(x, w.square, w.bias); });
}

TEST(TapeVerbs, RmsNormOfRowsAndOfHeads) {
  check({"norm", "head_norm"}, [](Backend& b, const Weights& w, Value x) {
    return b.rms_norm(b.rms_norm(x, w.norm, 1e-2f, 0), w.head_norm, 1e-2f, kHead);
  });
}

TEST(TapeVerbs, RmsNormWithoutWeight) {
  check({}, [](Backend& b, const Weights&, Value x) {
    return b.rms_norm(x, WeightId::kNone, 1e-2f, kHead);
  });
}

TEST(TapeVerbs, RopeOfBothPairings) {
  check({}, [](Backend& b, const Weights& w, Value x) {
    b.rope(x, kHead, w.halves);
    b.rope(x, kHead, w.interleaved);
    return x;
  });
}

TEST(TapeVerbs, GatedBothWays) {
  for (const Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
    check({"square", "other"}, [activation](Backend& b, const Weights& w, Value x) {
      return b.gated(b.matmul(x, w.square), b.matmul(x, w.other), activation);
    });
  }
}

TEST(TapeVerbs, ScaleAndSoftcap) {
  check({"square"}, [](Backend& b, const Weights& w, Value x) {
    b.scale(x, 1.7f);
    Value y = b.matmul(x, w.square);
    b.softcap(y, 1.5f);
    return y;
  });
}

TEST(TapeVerbs, Attention) {
  for (const int32_t window : {0, 5}) {
    for (const float cap : {0.0f, 1.5f}) {
      check({"square", "key", "value"}, [=](Backend& b, const Weights& w, Value x) {
        Value q = b.matmul(x, w.square), k = b.matmul(x, w.key);
        b.rope(q, kHead, w.halves);
        b.rope(k, kHead, w.halves);
        b.store_kv(0, k, b.matmul(x, w.value));
        return b.attend(
            q, {.layer = 0, .n_heads = 3, .scale = 0.6f, .softcap = cap, .window = window});
      });
    }
  }
}

TEST(TapeVerbs, SelectRows) {
  static const std::vector<int32_t> rows = {0, 3, 7, 20, 39};
  check({"square"}, [](Backend& b, const Weights& w, Value x) {
    return b.matmul(b.select_rows(x, rows), w.square);
  });
}

// Rows that are read both before and after they were selected.
TEST(TapeVerbs, SelectRowsOfAValueThatIsReadElsewhere) {
  static const std::vector<int32_t> all = [] {
    std::vector<int32_t> rows(40);
    for (int32_t i = 0; i < 40; ++i) rows[static_cast<size_t>(i)] = i;
    return rows;
  }();
  check({"square", "other"}, [](Backend& b, const Weights& w, Value x) {
    const Value selected = b.matmul(b.select_rows(x, all), w.square);
    b.add(selected, b.matmul(x, w.other));
    return selected;
  });
}

TEST(TapeVerbs, ResidualStream) {
  check({"square", "norm"}, [](Backend& b, const Weights& w, Value x) {
    b.add(x, b.matmul(b.rms_norm(x, w.norm, 1e-2f, 0), w.square));
    b.add(x, b.matmul(b.rms_norm(x, w.norm, 1e-2f, 0), w.square));
    return x;
  });
}

// y's gradient cannot be x's: y is read again, or x is read between y's birth and the sum.
TEST(TapeVerbs, SumsWhoseGradientsCannotBeShared) {
  check({"square", "other"}, [](Backend& b, const Weights& w, Value x) {
    const Value y = b.matmul(x, w.square);
    b.add(x, y);
    b.add(x, b.matmul(y, w.other));
    return x;
  });
  check({"square", "other"}, [](Backend& b, const Weights& w, Value x) {
    const Value y = b.matmul(x, w.square);
    const Value z = b.matmul(x, w.other);
    b.add(x, y);
    b.add(x, z);
    return x;
  });
  check({"square", "other"}, [](Backend& b, const Weights& w, Value x) {
    const Value late = b.matmul(x, w.square);
    const Value early = b.matmul(x, w.other);
    b.add(x, early);
    b.add(x, late);
    b.add(late, x);
    return late;
  });
}

// Changed in place although somebody needs what it was.
TEST(TapeVerbs, ChangesOfValuesThatAreReadBefore) {
  check({"square", "other"}, [](Backend& b, const Weights& w, Value x) {
    const Value y = b.matmul(x, w.square);
    b.scale(x, -0.5f);
    b.softcap(x, 2.0f);
    b.rope(x, kHead, w.halves);
    b.add(x, y);
    return b.matmul(x, w.other);
  });
}

TEST(TapeVerbs, OneMatrixManyTimes) {
  check({"square"}, [](Backend& b, const Weights& w, Value x) {
    return b.matmul(b.matmul(x, w.square), w.square);
  });
}

}  // namespace
}  // namespace ac::test
