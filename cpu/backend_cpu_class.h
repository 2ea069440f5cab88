// The class behind create_cpu_backend, for the files that implement it and for nobody else:
//
//   backend_cpu.cc         loading, steps and scopes, what passes over memory once
//   backend_products.cc    matrix products, and what is computed as a part of them
//   backend_attention.cc   rope, the cache, attention
//
// A verb records works into a Program. Values whose only reader can take them up on the way are not
// computed where they are made: see Recipe.
#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "cpu/arena.h"
#include "cpu/backend_cpu.h"
#include "cpu/isa.h"
#include "cpu/kv_cache.h"
#include "cpu/matmul.h"
#include "cpu/program.h"
#include "cpu/threads.h"
#include "cpu/weights.h"
#include "runtime/core/backend.h"

namespace ac::cpu {

// Elementwise work below this many floats is not worth a second thread: it is about the time in
// which two threads meet.
constexpr size_t kFloatsPerChunk = 8192;

inline int32_t count_chunks(size_t n, size_t per_chunk) {
  return static_cast<int32_t>((n + per_chunk - 1) / per_chunk);
}

struct Rope {
  std::vector<float> inverse_frequencies;
  RopePairing pairing;
  float magnitude;
};

// How to compute a value that nobody has needed yet. Whoever uses it either has it computed (ready)
// or computes something of which it is a part and which never lies in memory:
//   a norm, a gated activation   rows that go straight into the next product's preparation
//   a product (AMX only)         added to x where add() would; gate and up with their activation
struct Recipe {
  enum class Kind { kNone, kNorm, kProduct, kGated };
  Kind kind = Kind::kNone;
  bool is_stale = false;          // an operand has changed since: too late
  Value a = {}, b = {};           // kNorm: x. kGated: gate, up
  const float* weight = nullptr;  // kNorm
  float epsilon = 0;
  const Matrix* matrix = nullptr;  // kProduct
  MatmulPlan plan = {};
  const std::byte* activations = nullptr;
  const float* bias = nullptr;
  Activation activation = Activation::kSilu;  // kGated
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(const CpuBackendOptions& options, const Isa& isa)
      : options_(options),
        isa_(isa),
        team_({.n_threads = options.n_threads, .pin = options.pin_threads}) {}

  std::string_view name() const override { return "cpu"; }

  Result<WeightId> load_matrix(const TensorView& view) override {
    return weights_.load_matrix(view, *isa_.matmul, team_, options_.drop_pages);
  }
  Status load_residual(WeightId base, const TensorView& view) override {
    return weights_.load_residual(base, view, *isa_.matmul, team_, options_.drop_pages);
  }
  void read_residual(WeightId base, bool reads) override { weights_.read_residual(base, reads); }
  uint64_t matrix_copy_bytes(const TensorView& view) const override {
    return WeightStore::copy_bytes(view);
  }
  Result<WeightId> load_vector(const TensorView& view) override {
    return weights_.load_vector(view);
  }
  Result<RopeId> load_rope(const RopeTable& table) override;
  Status create_kv(const KvShape& shape) override;
  uint64_t kv_bytes(const KvShape& shape) const override { return KvCache::bytes(shape); }
  void copy_kv(int32_t from_slot, int32_t to_slot, int32_t n_positions) override;

  void begin_step(const Batch& batch) override;
  void begin_scope() override;
  void end_scope() override;
  Value embed(WeightId table) override;
  Value rms_norm(Value x, WeightId weight, float epsilon, int32_t group) override;
  Value matmul(Value x, WeightId w, WeightId bias) override;
  void rope(Value x, int32_t d_head, RopeId rope) override;
  void store_kv(int32_t layer, Value k, Value v) override;
  Value attend(Value q, const AttendOptions& options) override;
  Value gated(Value gate, Value up, Activation activation) override;
  void add(Value x, Value y) override;
  void scale(Value x, float factor) override;
  void softcap(Value x, float cap) override;
  Value select_rows(Value x, std::span<const int32_t> rows) override;
  Status end_step() override;
  std::span<const float> read(Value value) override;

 private:
  struct Slot {
    float* data = nullptr;
    size_t n_rows = 0;
    size_t n_cols = 0;
    size_t size() const { return n_rows * n_cols; }
    MemoryRange range() const { return memory_range(data, size() * sizeof(float)); }
  };
  // x rewritten for the kernels; made by the first product of x, used by all that follow.
  struct Prepared {
    int32_t value = -1;
    ActivationLayout layout = ActivationLayout::kRows;
    std::byte* data = nullptr;
    size_t size_bytes = 0;
  };
  struct RopeOfStep {
    RopeId id = RopeId::kNone;
    float* cos_sin = nullptr;  // [n_tokens][2][d_rot / 2]
  };
  struct Scope {
    Arena::Mark mark;
    size_t n_values = 0;
    size_t n_prepared = 0;
  };

  const Slot& slot(Value value) const {
    AC_CHECK(value.id >= 0 && static_cast<size_t>(value.id) < values_.size());
    return values_[static_cast<size_t>(value.id)];
  }
  // Its numbers exist, or will by the time that what is recorded next runs.
  Slot ready(Value value);
  Value make(size_t n_rows, size_t n_cols);
  Value make_later(size_t n_rows, size_t n_cols, const Recipe& recipe);
  std::byte* allocate(size_t size_bytes);
  // Outlives all scopes; nullptr after a failure.
  template <class T>
  T* allocate_for_step(size_t n) {
    std::byte* memory = status_.has_value() ? program_.allocate(n * sizeof(T)) : nullptr;
    if (memory == nullptr && status_.has_value()) out_of_memory(n * sizeof(T));
    return reinterpret_cast<T*>(memory);
  }
  void need_scratch(size_t size_bytes) { scratch_bytes_ = std::max(scratch_bytes_, size_bytes); }
  void out_of_memory(size_t size_bytes);
  // Records a work; after a failure there is nothing to record into.
  template <class Body>
  void record(std::initializer_list<MemoryRange> reads, std::initializer_list<MemoryRange> writes,
              int32_t n_chunks, const Body& body) {
    if (status_.has_value() && !program_.add(reads, writes, n_chunks, body))
      out_of_memory(sizeof(body));
  }
  // body(first, count) over the elements of x, in place.
  template <class Body>
  void record_elementwise(const Slot& x, std::initializer_list<MemoryRange> reads,
                          const Body& body) {
    const size_t n = x.size();
    record(reads, {x.range()}, count_chunks(n, kFloatsPerChunk),
           [=](int32_t begin, int32_t end, int32_t) {
             const size_t first = static_cast<size_t>(begin) * kFloatsPerChunk;
             body(first, std::min(n, static_cast<size_t>(end) * kFloatsPerChunk) - first);
           });
  }
  void changed(Value value);
  Recipe& recipe(Value value) { return recipes_[static_cast<size_t>(value.id)]; }
  const std::byte* prepare(Value x, const MatmulPlan& plan);
  template <class FillRow>
  void record_prepare(const Slot& in, std::initializer_list<MemoryRange> reads,
                      const MatmulPlan& plan, std::byte* memory, const FillRow& fill_row);
  bool prepare_gated(const Recipe& gated, const MatmulPlan& plan, std::byte* memory);
  void record_product(const Recipe& product, const MatmulResult& result, MemoryRange written);
  void record_norm(const Recipe& norm, const Slot& out);
  void record_gated(const Recipe& gated, const Slot& out);
  const float* cos_sin_of_step(RopeId id);

  CpuBackendOptions options_;
  const Isa& isa_;
  ThreadTeam team_;
  WeightStore weights_;
  std::deque<Rope> ropes_;  // addresses stay
  KvCache kv_;

  Batch batch_;
  Program program_;
  Arena arena_;
  std::vector<Slot> values_;
  std::vector<Recipe> recipes_;  // of values_
  std::vector<Prepared> prepared_;
  std::vector<RopeOfStep> ropes_of_step_;
  std::vector<Scope> scopes_;
  Scratch scratch_;
  Buffer scratch_memory_;
  size_t scratch_bytes_ = 0;
  Status status_;
};

}  // namespace ac::cpu
