#include "cpu/kv_cache.h"

#include <cstring>

#include "runtime/core/memory.h"

namespace ac::cpu {
namespace {

constexpr uint64_t kAbsurd = UINT64_MAX;
// Above any real model; keeps every product below within 64 bits.
constexpr int64_t kMaxAxis = 1 << 24;

uint64_t round_up(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

// Bytes of the four parts of one head, each a multiple of 64 so that all of them are aligned.
struct HeadBytes {
  uint64_t k = 0, v = 0, k_scales = 0, v_scales = 0;
  uint64_t total() const { return k + v + k_scales + v_scales; }
};

uint64_t element_bytes(KvFormat format) {
  switch (format) {
    case KvFormat::kF32:
      return 4;
    case KvFormat::kF16:
      return 2;
    case KvFormat::kQ8_0:
      return 1;
  }
  check_failed("known cache format", __FILE__, __LINE__);
}

KvElement element_of(KvFormat format) {
  switch (format) {
    case KvFormat::kF32:
      return KvElement::kF32;
    case KvFormat::kF16:
      return KvElement::kF16;
    case KvFormat::kQ8_0:
      return KvElement::kInt8;
  }
  check_failed("known cache format", __FILE__, __LINE__);
}

HeadBytes head_bytes(const KvShape& shape, int32_t d_head) {
  const uint64_t positions = round_up(static_cast<uint64_t>(shape.n_context), kKeyTile);
  const auto d = static_cast<uint64_t>(d_head);
  HeadBytes bytes;
  bytes.k = round_up(positions * d * element_bytes(shape.format), 64);
  bytes.v = positions * round_up(d, kKvTile) * element_bytes(shape.format);
  if (shape.format == KvFormat::kQ8_0) {
    bytes.k_scales = positions * (round_up(d, kKvScaleBlock) / kKvScaleBlock) * 2;
    bytes.v_scales = bytes.k_scales;
  }
  return bytes;
}

bool is_sane(const KvShape& shape) {
  const auto in_range = [](int64_t value) { return value >= 0 && value <= kMaxAxis; };
  bool sane = in_range(shape.n_slots) && in_range(shape.n_context);
  for (const KvShape::Layer& layer : shape.layers) {
    sane = sane && in_range(layer.n_kv_heads) && in_range(layer.d_head);
  }
  return sane;
}

}  // namespace

uint64_t KvCache::bytes(const KvShape& shape) {
  if (!is_sane(shape)) return kAbsurd;
  uint64_t total = 0;
  for (const KvShape::Layer& layer : shape.layers) {
    const uint64_t one = head_bytes(shape, layer.d_head).total();
    uint64_t all = 0;
    const uint64_t heads =
        static_cast<uint64_t>(layer.n_kv_heads) * static_cast<uint64_t>(shape.n_slots);
    if (__builtin_mul_overflow(one, heads, &all) || __builtin_add_overflow(total, all, &total)) {
      return kAbsurd;
    }
  }
  return total;
}

Result<KvCache> KvCache::create(const KvShape& shape) {
  if (!is_sane(shape)) {
    return fail(ErrorCode::kInvalidArgument,
                "a cache of {} slots of {} positions: expected numbers from 0 to {}", shape.n_slots,
                shape.n_context, kMaxAxis);
  }
  const uint64_t total = bytes(shape);
  const uint64_t available = available_memory_bytes();
  if (total == kAbsurd || total > available) {
    return fail(ErrorCode::kOutOfMemory,
                "the cache of {} slots of {} positions needs {} bytes, {} are available",
                shape.n_slots, shape.n_context, total, available);
  }
  KvCache cache;
  cache.shape_ = shape;
  uint64_t offset = 0;
  for (const KvShape::Layer& layer : shape.layers) {
    cache.layer_offsets_.push_back(offset);
    offset += head_bytes(shape, layer.d_head).total() * static_cast<uint64_t>(layer.n_kv_heads) *
              static_cast<uint64_t>(shape.n_slots);
  }
  cache.layer_offsets_.push_back(offset);
  // Every head's part is filled from its beginning: with huge pages the first token would take, and
  // wait for, most of the cache.
  AC_TRY(cache.memory_, Buffer::allocate(total, Buffer::Pages::kSmall));
  cache.data_ = cache.memory_.data();
  return cache;
}

KvHead KvCache::head(int32_t layer, int32_t slot, int32_t kv_head) const {
  const KvShape::Layer& dims = shape_.layers[static_cast<size_t>(layer)];
  AC_DCHECK(slot >= 0 && slot < shape_.n_slots && kv_head >= 0 && kv_head < dims.n_kv_heads);
  const HeadBytes bytes = head_bytes(shape_, dims.d_head);
  const auto index = static_cast<uint64_t>(slot) * static_cast<uint64_t>(dims.n_kv_heads) +
                     static_cast<uint64_t>(kv_head);
  std::byte* base = data_ + layer_offsets_[static_cast<size_t>(layer)] + index * bytes.total();
  KvHead head;
  head.k = base;
  head.v = base + bytes.k;
  head.k_scales = reinterpret_cast<uint16_t*>(base + bytes.k + bytes.v);
  head.v_scales = reinterpret_cast<uint16_t*>(base + bytes.k + bytes.v + bytes.k_scales);
  head.d_head = static_cast<size_t>(dims.d_head);
  head.d_padded = round_up(static_cast<uint64_t>(dims.d_head), kKvTile);
  head.element = element_of(shape_.format);
  return head;
}

std::span<const std::byte> KvCache::layer_memory(int32_t layer) const {
  const uint64_t begin = layer_offsets_[static_cast<size_t>(layer)];
  return {data_ + begin, layer_offsets_[static_cast<size_t>(layer) + 1] - begin};
}

void KvCache::copy(int32_t layer, int32_t kv_head, int32_t from_slot, int32_t to_slot,
                   int32_t n_positions) const {
  // Whole tiles: what lies in a tile past n_positions is not looked at before it is written.
  const KvHead from = head(layer, from_slot, kv_head);
  const KvHead to = head(layer, to_slot, kv_head);
  const uint64_t positions = round_up(static_cast<uint64_t>(n_positions), kKvTile);
  const uint64_t element = element_bytes(shape_.format);
  std::memcpy(to.k, from.k, positions * from.d_head * element);
  std::memcpy(to.v, from.v, positions * from.d_padded * element);
  if (from.element == KvElement::kInt8) {
    const uint64_t n_blocks = round_up(from.d_head, kKvScaleBlock) / kKvScaleBlock;
    std::memcpy(to.k_scales, from.k_scales, positions * n_blocks * 2);
    std::memcpy(to.v_scales, from.v_scales, positions * n_blocks * 2);
  }
}

}  // namespace ac::cpu
