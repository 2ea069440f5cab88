// Verbs of the CPU backend that know about positions: rope, the cache of keys and values,
// attention.
#include <algorithm>
#include <cmath>

#include "cpu/attention.h"
#include "cpu/backend_cpu_class.h"

namespace ac::cpu {
namespace {

constexpr int32_t kTokensPerRopeChunk = 16;

}  // namespace

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
  const Slot in = ready(x);
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
  const Slot k_in = ready(k);
  const Slot v_in = ready(v);
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
  const Slot in = ready(q);
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

}  // namespace ac::cpu
