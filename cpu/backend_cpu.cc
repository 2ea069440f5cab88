#include "cpu/backend_cpu.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

#include "cpu/attention.h"
#include "cpu/embedding.h"
#include "cpu/isa.h"
#include "cpu/kv_cache.h"
#include "cpu/matmul.h"
#include "cpu/program.h"
#include "cpu/threads.h"
#include "cpu/weights.h"

namespace ac::cpu {
namespace {

// Elementwise work below this many floats is not worth a second thread: it is about the time in
// which two threads meet.
constexpr size_t kFloatsPerChunk = 8192;
// Bytes of weights in one chunk of a product for one token: a microsecond or two of reading.
constexpr size_t kWeightBytesPerChunk = 32u << 10;
constexpr int32_t kTokensPerRopeChunk = 16;

int32_t count_chunks(size_t n, size_t per_chunk) {
  return static_cast<int32_t>((n + per_chunk - 1) / per_chunk);
}

struct Rope {
  std::vector<float> inverse_frequencies;
  RopePairing pairing;
  float magnitude;
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
  Value make(size_t n_rows, size_t n_cols);
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
                          const Body& body);
  void changed(Value value);
  const std::byte* prepare(Value x, const MatmulPlan& plan);
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
  std::vector<Prepared> prepared_;
  std::vector<RopeOfStep> ropes_of_step_;
  std::vector<Scope> scopes_;
  Scratch scratch_;
  Buffer scratch_memory_;
  size_t scratch_bytes_ = 0;
  Status status_;
};

// --- loading
// ---------------------------------------------------------------------------------------

Result<RopeId> CpuBackend::load_rope(const RopeTable& table) {
  if (table.inverse_frequencies.empty()) {
    return fail(ErrorCode::kInvalidArgument, "a rope table without frequencies");
  }
  ropes_.push_back({{table.inverse_frequencies.begin(), table.inverse_frequencies.end()},
                    table.pairing,
                    table.magnitude});
  return static_cast<RopeId>(ropes_.size() - 1);
}

Status CpuBackend::create_kv(const KvShape& shape) {
  kv_ = KvCache();  // the old one's memory counts as available
  AC_TRY(kv_, KvCache::create(shape));
  return {};
}

void CpuBackend::copy_kv(int32_t from_slot, int32_t to_slot, int32_t n_positions) {
  const KvShape& shape = kv_.shape();
  AC_CHECK(from_slot >= 0 && from_slot < shape.n_slots && to_slot >= 0 && to_slot < shape.n_slots);
  AC_CHECK(n_positions >= 0 && n_positions <= shape.n_context);
  if (from_slot == to_slot) return;
  for (size_t layer = 0; layer < shape.layers.size(); ++layer) {
    for (int32_t head = 0; head < shape.layers[layer].n_kv_heads; ++head) {
      kv_.copy(static_cast<int32_t>(layer), head, from_slot, to_slot, n_positions);
    }
  }
}

// --- recording
// -------------------------------------------------------------------------------------

void CpuBackend::out_of_memory(size_t size_bytes) {
  status_ = fail(ErrorCode::kOutOfMemory, "no memory for {} bytes of activations", size_bytes);
}

std::byte* CpuBackend::allocate(size_t size_bytes) {
  std::byte* memory = status_.has_value() ? arena_.allocate(size_bytes) : nullptr;
  if (memory == nullptr && status_.has_value()) out_of_memory(size_bytes);
  return memory;
}

Value CpuBackend::make(size_t n_rows, size_t n_cols) {
  values_.push_back(
      {reinterpret_cast<float*>(allocate(n_rows * n_cols * sizeof(float))), n_rows, n_cols});
  return {.id = static_cast<int32_t>(values_.size() - 1),
          .n_rows = static_cast<int32_t>(n_rows),
          .n_cols = static_cast<int32_t>(n_cols)};
}

void CpuBackend::begin_step(const Batch& batch) {
  AC_CHECK(batch.positions.size() == batch.size() && batch.slots.size() == batch.size());
  batch_ = batch;
  program_.clear();
  arena_.reset();
  values_.clear();
  prepared_.clear();
  ropes_of_step_.clear();
  scopes_.clear();
  scratch_bytes_ = 0;
  status_ = {};
}

void CpuBackend::begin_scope() {
  scopes_.push_back({arena_.mark(), values_.size(), prepared_.size()});
}

void CpuBackend::end_scope() {
  AC_CHECK(!scopes_.empty());
  const Scope scope = scopes_.back();
  scopes_.pop_back();
  arena_.rewind(scope.mark);
  values_.resize(scope.n_values);
  prepared_.resize(std::min(prepared_.size(), scope.n_prepared));
}

// What was prepared from a value is stale once the value changes.
void CpuBackend::changed(Value value) {
  for (Prepared& prepared : prepared_) {
    if (prepared.value == value.id) prepared.value = -1;
  }
}

template <class Body>
void CpuBackend::record_elementwise(const Slot& x, std::initializer_list<MemoryRange> reads,
                                    const Body& body) {
  const size_t n = x.size();
  record(reads, {x.range()}, count_chunks(n, kFloatsPerChunk),
         [=](int32_t begin, int32_t end, int32_t) {
           const size_t first = static_cast<size_t>(begin) * kFloatsPerChunk;
           body(first, std::min(n, static_cast<size_t>(end) * kFloatsPerChunk) - first);
         });
}

Value CpuBackend::embed(WeightId table) {
  const Matrix& matrix = weights_.matrix(table);
  const Value y = make(batch_.size(), matrix.n_in);
  const Slot out = slot(y);
  const SmallKernels* kernels = isa_.small;
  const size_t per_chunk = std::max<size_t>(1, kFloatsPerChunk / matrix.n_in);
  for (int32_t token : batch_.tokens) {
    AC_CHECK(token >= 0 && static_cast<size_t>(token) < matrix.n_out);
  }
  const auto tokens = batch_.tokens;
  record({}, {out.range()}, count_chunks(out.n_rows, per_chunk),
         [=, &matrix](int32_t begin, int32_t end, int32_t) {
           const size_t last = std::min(out.n_rows, static_cast<size_t>(end) * per_chunk);
           for (size_t i = static_cast<size_t>(begin) * per_chunk; i < last; ++i) {
             decode_matrix_row(*kernels, matrix, static_cast<size_t>(tokens[i]),
                               out.data + i * out.n_cols);
           }
         });
  return y;
}

Value CpuBackend::rms_norm(Value x, WeightId weight_id, float epsilon, int32_t group) {
  const Slot in = slot(x);
  const size_t width = group > 0 ? static_cast<size_t>(group) : in.n_cols;
  AC_CHECK(in.n_cols % width == 0);
  const float* scale = weights_.vector_or_null(weight_id, width);
  const Value y = make(in.n_rows, in.n_cols);
  const Slot out = slot(y);
  const size_t n_groups = in.size() / width;
  const size_t per_chunk = std::max<size_t>(1, kFloatsPerChunk / width);
  const SmallKernels* kernels = isa_.small;
  record({in.range()}, {out.range()}, count_chunks(n_groups, per_chunk),
         [=](int32_t begin, int32_t end, int32_t) {
           const size_t first = static_cast<size_t>(begin) * per_chunk;
           const size_t last = std::min(n_groups, static_cast<size_t>(end) * per_chunk);
           kernels->rms_norm(in.data + first * width, scale, out.data + first * width, width,
                             last - first, epsilon);
         });
  return y;
}

const std::byte* CpuBackend::prepare(Value x, const MatmulPlan& plan) {
  const Slot in = slot(x);
  if (plan.prepare == nullptr) return reinterpret_cast<const std::byte*>(in.data);
  for (const Prepared& prepared : prepared_) {
    if (prepared.value == x.id && prepared.layout == plan.activation_layout) return prepared.data;
  }
  std::byte* memory = allocate(plan.activation_bytes);
  prepared_.push_back({x.id, plan.activation_layout, memory, plan.activation_bytes});
  const size_t per_chunk =
      std::max<size_t>(1, (kFloatsPerChunk / in.n_cols + plan.token_step - 1) / plan.token_step) *
      plan.token_step;
  record({in.range()}, {memory_range(memory, plan.activation_bytes)},
         count_chunks(in.n_rows, per_chunk), [=](int32_t begin, int32_t end, int32_t) {
           prepare_activations(plan, in.data, in.n_cols, static_cast<size_t>(begin) * per_chunk,
                               std::min(in.n_rows, static_cast<size_t>(end) * per_chunk), memory);
         });
  return memory;
}

Value CpuBackend::matmul(Value x, WeightId w, WeightId bias_id) {
  const Slot in = slot(x);
  const Matrix& matrix = weights_.matrix(w);
  AC_CHECK(matrix.n_in == in.n_cols);
  const float* bias = weights_.vector_or_null(bias_id, matrix.n_out);
  const Value y = make(in.n_rows, matrix.n_out);
  if (in.n_rows == 0) return y;
  const Slot out = slot(y);
  const MatmulPlan plan = plan_matmul(*isa_.matmul, matrix, in.n_rows);
  const std::byte* activations = prepare(x, plan);
  const MemoryRange read =
      plan.prepare == nullptr ? in.range() : memory_range(activations, plan.activation_bytes);
  need_scratch(plan.scratch_bytes);

  // A chunk is about the same time whatever the number of tokens, and always whole row steps.
  const double bits = weight_format_info(matrix.format).bits_per_weight;
  const double bytes_per_row = static_cast<double>(matrix.n_in) * bits / 8.0;
  const double work_per_row = bytes_per_row * std::max(1.0, static_cast<double>(in.n_rows) / 8.0);
  const size_t steps = std::max<size_t>(
      1, static_cast<size_t>(static_cast<double>(kWeightBytesPerChunk) / work_per_row) /
             plan.row_step);
  const size_t per_chunk = steps * plan.row_step;
  const Scratch* scratch = &scratch_;
  record({read}, {out.range()}, count_chunks(matrix.n_out, per_chunk),
         [=, &matrix](int32_t begin, int32_t end, int32_t worker) {
           run_matmul(plan, matrix, activations, static_cast<size_t>(begin) * per_chunk,
                      std::min(matrix.n_out, static_cast<size_t>(end) * per_chunk), out.data,
                      out.n_cols, bias, scratch->of(worker));
         });
  return y;
}

const float* CpuBackend::cos_sin_of_step(RopeId id) {
  for (const RopeOfStep& made : ropes_of_step_) {
    if (made.id == id) return made.cos_sin;
  }
  const Rope& rope = ropes_[static_cast<size_t>(id)];
  const size_t half = rope.inverse_frequencies.size();
  const size_t n_tokens = batch_.size();
  const size_t size_bytes = n_tokens * 2 * half * sizeof(float);
  // Outlives all scopes.
  auto* table =
      reinterpret_cast<float*>(status_.has_value() ? program_.allocate(size_bytes) : nullptr);
  if (table == nullptr && status_.has_value()) out_of_memory(size_bytes);
  ropes_of_step_.push_back({id, table});
  const auto positions = batch_.positions;
  record({}, {memory_range(table, size_bytes)}, count_chunks(n_tokens, kTokensPerRopeChunk),
         [=, &rope](int32_t begin, int32_t end, int32_t) {
           const size_t last = std::min(n_tokens, static_cast<size_t>(end * kTokensPerRopeChunk));
           for (auto i = static_cast<size_t>(begin * kTokensPerRopeChunk); i < last; ++i) {
             float* row = table + i * 2 * half;
             for (size_t j = 0; j < half; ++j) {
               const double angle = static_cast<double>(positions[i]) *
                                    static_cast<double>(rope.inverse_frequencies[j]);
               row[j] = static_cast<float>(std::cos(angle) * static_cast<double>(rope.magnitude));
               row[half + j] =
                   static_cast<float>(std::sin(angle) * static_cast<double>(rope.magnitude));
             }
           }
         });
  return table;
}

void CpuBackend::rope(Value x, int32_t d_head, RopeId id) {
  const Slot in = slot(x);
  const Rope& rope = ropes_[static_cast<size_t>(id)];
  const size_t half = rope.inverse_frequencies.size();
  const auto head = static_cast<size_t>(d_head);
  AC_CHECK(in.n_rows == batch_.size() && in.n_cols % head == 0 && 2 * half <= head);
  const float* cos_sin = cos_sin_of_step(id);
  changed(x);
  const auto kernel =
      rope.pairing == RopePairing::kHalves ? isa_.small->rope_halves : isa_.small->rope_interleaved;
  const size_t per_chunk = std::max<size_t>(1, kFloatsPerChunk / in.n_cols);
  record({in.range(), memory_range(cos_sin, in.n_rows * 2 * half * sizeof(float))}, {in.range()},
         count_chunks(in.n_rows, per_chunk), [=](int32_t begin, int32_t end, int32_t) {
           const size_t last = std::min(in.n_rows, static_cast<size_t>(end) * per_chunk);
           for (size_t i = static_cast<size_t>(begin) * per_chunk; i < last; ++i) {
             kernel(in.data + i * in.n_cols, cos_sin + i * 2 * half, 2 * half, head,
                    in.n_cols / head);
           }
         });
}

void CpuBackend::store_kv(int32_t layer, Value k, Value v) {
  const Slot k_in = slot(k);
  const Slot v_in = slot(v);
  const KvShape::Layer& dims = kv_.shape().layers[static_cast<size_t>(layer)];
  const auto d_head = static_cast<size_t>(dims.d_head);
  AC_CHECK(k_in.n_rows == batch_.size() && v_in.n_rows == batch_.size());
  AC_CHECK(k_in.n_cols == static_cast<size_t>(dims.n_kv_heads) * d_head &&
           v_in.n_cols == k_in.n_cols);
  for (size_t i = 0; i < batch_.size(); ++i) {
    AC_CHECK(batch_.positions[i] >= 0 && batch_.positions[i] < kv_.shape().n_context);
    AC_CHECK(batch_.slots[i] >= 0 && batch_.slots[i] < kv_.shape().n_slots);
  }
  const auto memory = kv_.layer_memory(layer);
  const SmallKernels* kernels = isa_.small;
  const KvCache* cache = &kv_;
  const Batch batch = batch_;
  const size_t per_chunk = std::max<size_t>(1, kFloatsPerChunk / k_in.n_cols);
  record({k_in.range(), v_in.range()}, {memory_range(memory.data(), memory.size())},
         count_chunks(batch.size(), per_chunk), [=](int32_t begin, int32_t end, int32_t) {
           const size_t first = static_cast<size_t>(begin) * per_chunk;
           const size_t last = std::min(batch.size(), static_cast<size_t>(end) * per_chunk);
           for (int32_t h = 0; h < dims.n_kv_heads; ++h) {
             const size_t column = static_cast<size_t>(h) * d_head;
             for (size_t i = first; i < last; ++i) {
               kernels->store_kv(
                   cache->head(layer, batch.slots[i], h), k_in.data + i * k_in.n_cols + column,
                   v_in.data + i * v_in.n_cols + column, static_cast<size_t>(batch.positions[i]));
             }
           }
         });
}

Value CpuBackend::attend(Value q, const AttendOptions& options) {
  const Slot in = slot(q);
  const KvShape::Layer& dims = kv_.shape().layers[static_cast<size_t>(options.layer)];
  AC_CHECK(in.n_rows == batch_.size() &&
           in.n_cols == static_cast<size_t>(options.n_heads) * static_cast<size_t>(dims.d_head));
  AC_CHECK(dims.n_kv_heads > 0 && options.n_heads % dims.n_kv_heads == 0);
  const int32_t n_group = options.n_heads / dims.n_kv_heads;
  const Value y = make(in.n_rows, in.n_cols);
  const Slot out = slot(y);
  const AttendPlan plan =
      plan_attention(*isa_.small, batch_, dims.n_kv_heads, n_group, dims.d_head, options.window);
  need_scratch(plan.scratch_bytes);

  const size_t partial_bytes =
      static_cast<size_t>(plan.n_partials) * plan.partial_floats * sizeof(float);
  auto* partials = reinterpret_cast<float*>(allocate(partial_bytes));
  auto* tiles = allocate_for_step<AttendTile>(plan.tiles.size());
  if (!status_.has_value()) return y;
  std::copy(plan.tiles.begin(), plan.tiles.end(), tiles);
  const AttentionWork work{.tiles = tiles,
                           .partial_floats = plan.partial_floats,
                           .n_merges = plan.n_merges,
                           .options = options,
                           .n_kv_heads = dims.n_kv_heads,
                           .n_group = n_group,
                           .d_head = static_cast<size_t>(dims.d_head),
                           .cache = &kv_,
                           .kernels = isa_.small,
                           .scratch = &scratch_,
                           .q = in.data,
                           .out = out.data,
                           .n_cols = in.n_cols,
                           .partials = partials};
  const auto cache = kv_.layer_memory(options.layer);
  const MemoryRange partial_range = memory_range(partials, partial_bytes);
  record({in.range(), memory_range(cache.data(), cache.size())}, {out.range(), partial_range},
         plan.n_items,
         [=](int32_t begin, int32_t end, int32_t worker) { work.attend(begin, end, worker); });
  record({partial_range}, {out.range()}, work.n_merge_chunks(),
         [=](int32_t begin, int32_t end, int32_t) { work.merge(begin, end); });
  return y;
}

Value CpuBackend::gated(Value gate, Value up, Activation activation) {
  const Slot a = slot(gate);
  const Slot b = slot(up);
  AC_CHECK(a.n_rows == b.n_rows && a.n_cols == b.n_cols);
  const Value y = make(a.n_rows, a.n_cols);
  const Slot out = slot(y);
  const auto kernel =
      activation == Activation::kSilu ? isa_.small->gated_silu : isa_.small->gated_gelu_tanh;
  record_elementwise(out, {a.range(), b.range()}, [=](size_t first, size_t n) {
    kernel(a.data + first, b.data + first, out.data + first, n);
  });
  return y;
}

void CpuBackend::add(Value x, Value y) {
  const Slot a = slot(x);
  const Slot b = slot(y);
  AC_CHECK(a.n_rows == b.n_rows && a.n_cols == b.n_cols);
  changed(x);
  const auto kernel = isa_.small->add;
  record_elementwise(a, {a.range(), b.range()},
                     [=](size_t first, size_t n) { kernel(a.data + first, b.data + first, n); });
}

void CpuBackend::scale(Value x, float factor) {
  const Slot a = slot(x);
  changed(x);
  const auto kernel = isa_.small->scale;
  record_elementwise(a, {a.range()},
                     [=](size_t first, size_t n) { kernel(a.data + first, factor, n); });
}

void CpuBackend::softcap(Value x, float cap) {
  const Slot a = slot(x);
  changed(x);
  const auto kernel = isa_.small->softcap;
  record_elementwise(a, {a.range()},
                     [=](size_t first, size_t n) { kernel(a.data + first, cap, n); });
}

Value CpuBackend::select_rows(Value x, std::span<const int32_t> rows) {
  const Slot in = slot(x);
  const Value y = make(rows.size(), in.n_cols);
  const Slot out = slot(y);
  auto* wanted = allocate_for_step<int32_t>(rows.size());
  if (wanted == nullptr) return y;
  for (size_t i = 0; i < rows.size(); ++i) {
    AC_CHECK(rows[i] >= 0 && static_cast<size_t>(rows[i]) < in.n_rows);
    wanted[i] = rows[i];
  }
  const size_t per_chunk = std::max<size_t>(1, kFloatsPerChunk / in.n_cols);
  record({in.range()}, {out.range()}, count_chunks(out.n_rows, per_chunk),
         [=](int32_t begin, int32_t end, int32_t) {
           const size_t last = std::min(out.n_rows, static_cast<size_t>(end) * per_chunk);
           for (size_t i = static_cast<size_t>(begin) * per_chunk; i < last; ++i) {
             std::memcpy(out.data + i * out.n_cols,
                         in.data + static_cast<size_t>(wanted[i]) * in.n_cols,
                         in.n_cols * sizeof(float));
           }
         });
  return y;
}

// --- running
// ---------------------------------------------------------------------------------------

Status CpuBackend::end_step() {
  AC_CHECK(scopes_.empty());
  if (!status_.has_value()) return status_;
  const size_t stride = (scratch_bytes_ + 4095) / 4096 * 4096;
  const size_t total = stride * static_cast<size_t>(team_.n_threads());
  if (total > scratch_memory_.size_bytes()) {
    AC_TRY(scratch_memory_, Buffer::allocate(total));
  }
  scratch_ = {scratch_memory_.data(), stride};
  if (options_.poison_memory) arena_.poison();
  team_.run(program_.works(), program_.stages());
  return {};
}

std::span<const float> CpuBackend::read(Value value) {
  const Slot& found = slot(value);
  return {found.data, found.size()};
}

}  // namespace

Result<std::unique_ptr<Backend>> create_cpu_backend(const CpuBackendOptions& options) {
  if (options.n_threads < 0 || options.n_threads > ThreadTeam::kMaxThreads) {
    return fail(ErrorCode::kInvalidArgument, "{} threads, expected 0 to {}", options.n_threads,
                ThreadTeam::kMaxThreads);
  }
  AC_TRY(const Isa* isa, choose_isa());
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(options, *isa));
}

}  // namespace ac::cpu
