#include "runtime/engine/memory.h"

#include <algorithm>

namespace ac {
namespace {

uint64_t saturating_sum(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

double mib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// Columns of f32 that are live per token in the widest part of a layer, with the residual stream.
uint64_t columns_per_token(const ModelConfig& config) {
  const auto d_model = static_cast<uint64_t>(config.d_model);
  uint64_t widest = 0;
  for (const LayerConfig& layer : config.layers) {
    const uint64_t q = static_cast<uint64_t>(layer.n_heads) * static_cast<uint64_t>(config.d_head);
    const uint64_t kv =
        static_cast<uint64_t>(layer.n_kv_heads) * static_cast<uint64_t>(config.d_head);
    // The norm, q, k, v, normed q and k, what attention gives, the output and its norm.
    const uint64_t attention = 3 * d_model + 3 * q + 3 * kv;
    // The norm, gate, up, their product, the output and its norm.
    const uint64_t feed_forward = 3 * d_model + 3 * static_cast<uint64_t>(layer.d_ff);
    widest = std::max({widest, attention, feed_forward});
  }
  return 2 * d_model + widest;
}

}  // namespace

uint64_t MemoryPlan::total() const {
  return saturating_sum(weights_bytes, saturating_sum(cache_bytes, activations_bytes));
}

MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelConfig& config,
                       const KvShape& kv_shape, int32_t tokens_per_step, const Backend& backend) {
  MemoryPlan plan;
  const auto order = read_nested_order(checkpoint);  // what is wrong with it, load_model says
  const auto unread = order ? order->unread_residuals(order->level) : std::set<std::string>();
  for (const auto& [name, view] : checkpoint.tensors) {
    const uint64_t copy = view.n_axes == 2 ? backend.matrix_copy_bytes(view) : 0;
    // A copied tensor of a mapped file is given back; one in memory stays.
    const bool source_stays = copy == 0 || !checkpoint.drop_pages;
    // Of a residual that lies in a mapped file, pages are needed only while it is read.
    if (copy == 0 && checkpoint.drop_pages && unread.contains(name)) continue;
    plan.weights_bytes = saturating_sum(plan.weights_bytes, copy);
    if (source_stays) plan.weights_bytes = saturating_sum(plan.weights_bytes, view.size_bytes);
  }
  plan.cache_bytes = backend.kv_bytes(kv_shape);
  const auto rows = static_cast<uint64_t>(std::max(tokens_per_step, kv_shape.n_slots));
  // Half as much again for the rounded copies that a backend makes for its products.
  plan.activations_bytes =
      rows * columns_per_token(config) * 6 +
      static_cast<uint64_t>(kv_shape.n_slots) * static_cast<uint64_t>(config.n_vocab) * 4;
  return plan;
}

Status check_memory(const MemoryPlan& plan, uint64_t limit_bytes, std::string_view origin) {
  if (plan.total() <= limit_bytes) return {};
  return fail(ErrorCode::kOutOfMemory,
              "{}: needs {:.1f} MiB (weights {:.1f}, keys and values {:.1f}, activations {:.1f}), "
              "{:.1f} MiB may be used",
              origin, mib(plan.total()), mib(plan.weights_bytes), mib(plan.cache_bytes),
              mib(plan.activations_bytes), mib(limit_bytes));
}

}  // namespace ac
