#include <bit>
#include <cmath>

#include "shaders/backend_class.h"

namespace ac::vulkan {
namespace {

constexpr uint32_t kLanes = 64;
// Positions that one workgroup reads; where few tokens look at many there are several for each head.
constexpr uint64_t kPositionsPerPart = 256;
constexpr uint64_t kMostParts = 16;
constexpr size_t kFewTokens = 8;

}  // namespace

// Cosines and sines of this step's positions, as rope.comp reads them.
uint32_t VulkanBackend::angles_of_step(RopeId id) {
  for (const RopeOfStep& each : ropes_of_step_) {
    if (each.id == id) return each.at;
  }
  const Rope& rope = ropes_[static_cast<size_t>(id)];
  const size_t n_pairs = rope.inverse_frequencies.size();
  const uint32_t at = state_words(batch_.size() * 2 * n_pairs);
  for (size_t i = 0; i < batch_.size(); ++i) {
    uint32_t* const words = words_.data() + at + i * 2 * n_pairs;
    for (size_t j = 0; j < n_pairs; ++j) {
      const double angle = static_cast<double>(batch_.positions[i]) *
                           static_cast<double>(rope.inverse_frequencies[j]);
      words[j] = bits_of(static_cast<float>(std::cos(angle)) * rope.magnitude);
      words[n_pairs + j] = bits_of(static_cast<float>(std::sin(angle)) * rope.magnitude);
    }
  }
  ropes_of_step_.push_back({id, at});
  return at;
}

void VulkanBackend::rope(Value x, int32_t d_head, RopeId id) {
  const Span both = change_span(x);
  const Rope& rope = ropes_[static_cast<size_t>(id)];
  const uint64_t n_tokens = slot(x).n_rows;
  const uint64_t n_heads = slot(x).n_cols / static_cast<uint64_t>(d_head);
  const uint64_t n_pairs = rope.inverse_frequencies.size();
  AC_CHECK(n_tokens == batch_.size() && 2 * n_pairs <= static_cast<uint64_t>(d_head));
  if (n_tokens == 0) return;
  Dispatch dispatch;
  dispatch.bindings = {both, kState};
  dispatch.push = {static_cast<uint32_t>(n_tokens), static_cast<uint32_t>(n_heads),
                   static_cast<uint32_t>(d_head), static_cast<uint32_t>(n_pairs), angles_of_step(id)};
  dispatch.groups = {groups_of(n_tokens * n_heads * n_pairs, kLanes), 1, 1};
  record("rope", {kLanes, rope.pairing == RopePairing::kHalves ? 1u : 0u}, dispatch);
}

void VulkanBackend::store_kv(int32_t layer, Value k, Value v) {
  const CacheLayer& cache = layers_[static_cast<size_t>(layer)];
  const Span keys = read_span(k), values = read_span(v);
  AC_CHECK(slot(k).n_cols == cache.width && slot(v).n_cols == cache.width);
  const uint64_t n_tokens = slot(k).n_rows;
  AC_CHECK(n_tokens == batch_.size());
  for (size_t i = 0; i < batch_.size(); ++i) {
    AC_CHECK(batch_.positions[i] >= 0 && batch_.positions[i] < kv_shape_.n_context);
    AC_CHECK(batch_.slots[i] >= 0 && batch_.slots[i] < kv_shape_.n_slots);
  }
  if (n_tokens == 0) return;
  Dispatch dispatch;
  dispatch.bindings = {Span{kv_.handle(), cache.begin, cache.begin + 2 * cache.half}, keys, values, kState};
  dispatch.push = {static_cast<uint32_t>(n_tokens),
                   cache.width,
                   static_cast<uint32_t>(kv_shape_.n_context),
                   positions_at_,
                   slots_at_,
                   static_cast<uint32_t>(cache.half / sizeof(uint32_t))};
  dispatch.groups = {groups_of(n_tokens * cache.width / 2, kLanes), 1, 1};
  record("store_kv", {kLanes, kv_shape_.format == KvFormat::kF16 ? 1u : 0u}, dispatch);
}

Value VulkanBackend::attend(Value q, const AttendOptions& options) {
  const CacheLayer& cache = layers_[static_cast<size_t>(options.layer)];
  const Span in = read_span(q);
  const auto n_heads = static_cast<uint32_t>(options.n_heads);
  const auto d_head = static_cast<uint32_t>(cache.shape.d_head);
  AC_CHECK(slot(q).n_cols == uint64_t{n_heads} * d_head && slot(q).n_rows == batch_.size());
  const Value y = make(slot(q).n_rows, slot(q).n_cols);
  const uint64_t n_tokens = slot(q).n_rows;
  if (n_tokens == 0) return y;

  int32_t furthest = 0;
  for (const int32_t position : batch_.positions) furthest = std::max(furthest, position);
  uint64_t n_seen = static_cast<uint64_t>(furthest) + 1;
  if (options.window > 0) n_seen = std::min<uint64_t>(n_seen, static_cast<uint64_t>(options.window));
  // Powers of two, so that a long answer is a few programs and not one for each position.
  uint64_t n_parts = 1;
  while (n_tokens <= kFewTokens && n_parts < kMostParts && n_parts * kPositionsPerPart < n_seen) n_parts *= 2;

  const bool is_cpu = device_->facts().type == VK_PHYSICAL_DEVICE_TYPE_CPU;
  const uint32_t lanes = is_cpu ? 8 : 32;
  const uint32_t n_pairs = groups_of(d_head / 2, lanes);
  const uint32_t is_half = kv_shape_.format == KvFormat::kF16 ? 1 : 0;
  Dispatch dispatch;
  Span out = span_of(slot(y));
  if (n_parts > 1) {
    const uint64_t bytes = n_tokens * n_heads * n_parts * (d_head + 2) * sizeof(float);
    const uint64_t begin = allocate(bytes);
    out = {kActivations, begin, begin + bytes};
  }
  dispatch.bindings = {out, in, Span{kv_.handle(), cache.begin, cache.begin + 2 * cache.half}, kState};
  dispatch.push = {n_heads,
                   static_cast<uint32_t>(cache.shape.n_kv_heads),
                   d_head,
                   static_cast<uint32_t>(kv_shape_.n_context),
                   positions_at_,
                   slots_at_,
                   static_cast<uint32_t>(cache.half / sizeof(uint32_t)),
                   static_cast<uint32_t>(std::max(0, options.window)),
                   bits_of(options.scale),
                   bits_of(options.softcap)};
  dispatch.groups = {n_heads, static_cast<uint32_t>(n_tokens), static_cast<uint32_t>(n_parts)};
  // Rounded as the parts are, or every position would be a program of its own.
  const uint64_t most_seen = std::max(std::bit_ceil(n_seen), kPositionsPerPart);
  dispatch.n_macs = 2 * n_tokens * n_heads * d_head * most_seen;
  record("attend", {lanes, is_half, n_pairs, n_parts > 1 ? 1u : 0u}, dispatch);
  if (n_parts == 1) return y;
  Dispatch merge;
  merge.bindings = {span_of(slot(y)), out};
  merge.push = {static_cast<uint32_t>(n_tokens * n_heads * d_head), d_head,
                static_cast<uint32_t>(n_parts)};
  merge.groups = {groups_of(n_tokens * n_heads * d_head, kLanes), 1, 1};
  record("attend_merge", {kLanes}, merge);
  return y;
}

}  // namespace ac::vulkan
