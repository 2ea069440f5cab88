#include "cpu/backend_cpu.h"

#include <algorithm>
#include <cstring>

#include "cpu/backend_cpu_class.h"
#include "cpu/embedding.h"

namespace ac::cpu {

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
  const Value value = make_later(n_rows, n_cols, {});
  values_.back().data = reinterpret_cast<float*>(allocate(n_rows * n_cols * sizeof(float)));
  return value;
}

Value CpuBackend::make_later(size_t n_rows, size_t n_cols, const Recipe& recipe) {
  values_.push_back({nullptr, n_rows, n_cols});
  recipes_.push_back(recipe);
  const Value value = {.id = static_cast<int32_t>(values_.size() - 1),
                       .n_rows = static_cast<int32_t>(n_rows),
                       .n_cols = static_cast<int32_t>(n_cols)};
  if (options_.keeps_values) ready(value);
  return value;
}

void CpuBackend::begin_step(const Batch& batch) {
  AC_CHECK(batch.positions.size() == batch.size() && batch.slots.size() == batch.size());
  batch_ = batch;
  program_.clear();
  arena_.reset();
  values_.clear();
  recipes_.clear();
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
  recipes_.resize(scope.n_values);
  prepared_.resize(std::min(prepared_.size(), scope.n_prepared));
}

// What was prepared from a value is stale once the value changes, and so is what was to be computed
// from it.
void CpuBackend::changed(Value value) {
  for (Prepared& prepared : prepared_) {
    if (prepared.value == value.id) prepared.value = -1;
  }
  for (Recipe& recipe : recipes_) {
    if (recipe.a.id == value.id || recipe.b.id == value.id) recipe.is_stale = true;
  }
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
  if (matrix.residual != nullptr) need_scratch(matrix.n_in * sizeof(float));
  const Scratch* scratch = &scratch_;
  record({}, {out.range()}, count_chunks(out.n_rows, per_chunk),
         [=, &matrix](int32_t begin, int32_t end, int32_t worker) {
           const size_t last = std::min(out.n_rows, static_cast<size_t>(end) * per_chunk);
           for (size_t i = static_cast<size_t>(begin) * per_chunk; i < last; ++i) {
             decode_matrix_row(*kernels, matrix, static_cast<size_t>(tokens[i]),
                               out.data + i * out.n_cols,
                               reinterpret_cast<float*>(scratch->of(worker)));
           }
         });
  return y;
}

void CpuBackend::scale(Value x, float factor) {
  const Slot a = ready(x);
  changed(x);
  const auto kernel = isa_.small->scale;
  record_elementwise(a, {a.range()},
                     [=](size_t first, size_t n) { kernel(a.data + first, factor, n); });
}

void CpuBackend::softcap(Value x, float cap) {
  const Slot a = ready(x);
  changed(x);
  const auto kernel = isa_.small->softcap;
  record_elementwise(a, {a.range()},
                     [=](size_t first, size_t n) { kernel(a.data + first, cap, n); });
}

Value CpuBackend::select_rows(Value x, std::span<const int32_t> rows) {
  const Slot in = ready(x);
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
  // Whatever is left may be read.
  for (size_t i = 0; i < values_.size(); ++i) {
    if (!recipes_[i].is_stale)
      ready({static_cast<int32_t>(i), static_cast<int32_t>(values_[i].n_rows)});
  }
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
  AC_CHECK(found.data != nullptr || found.size() == 0);
  return {found.data, found.size()};
}

Result<std::unique_ptr<Backend>> create_cpu_backend(const CpuBackendOptions& options) {
  if (options.n_threads < 0 || options.n_threads > ThreadTeam::kMaxThreads) {
    return fail(ErrorCode::kInvalidArgument, "{} threads, expected 0 to {}", options.n_threads,
                ThreadTeam::kMaxThreads);
  }
  AC_TRY(const Isa* isa, choose_isa());
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(options, *isa));
}

}  // namespace ac::cpu
