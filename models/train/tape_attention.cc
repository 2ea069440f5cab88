#include "models/train/tape_attention.h"

#include <algorithm>
#include <cstring>

#include "runtime/core/check.h"

namespace ac::tape {
namespace {

using cpu::Gemm;
using cpu::GemmOperand;
using cpu::GemmSource;

constexpr size_t kQueryBlock = 64;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// Hands out a worker's scratch in a row.
class Scratch {
 public:
  explicit Scratch(std::byte* memory) : at_(memory) {}
  std::byte* bytes(size_t n) {
    std::byte* memory = at_;
    at_ += round_up(n, 64);
    return memory;
  }
  float* floats(size_t n) { return reinterpret_cast<float*>(bytes(n * sizeof(float))); }

 private:
  std::byte* at_;
};

// What both ways have in common: one document, one kv head.
class Unit {
 public:
  Unit(const cpu::Isa& isa, const Gemm& gemm, const AttentionArrays& arrays,
       const Document& document, size_t kv_head, std::byte* scratch)
      : isa_(isa),
        gemm_(gemm),
        a_(arrays),
        first_(document.first),
        n_(document.n),
        padded_(round_up(document.n, 64)),
        d_(arrays.d_head),
        q_stride_(arrays.n_heads * arrays.d_head),
        kv_stride_(arrays.n_kv_heads * arrays.d_head),
        kv_offset_(document.first * kv_stride_ + kv_head * arrays.d_head),
        group_(arrays.n_heads / arrays.n_kv_heads),
        first_head_(kv_head * group_),
        scratch_(scratch) {}

  void forward() {
    const GemmOperand k = pack_b(rows_of(a_.k));
    const GemmOperand v = pack_b(columns_of(a_.v));
    float* scores = scratch_.floats(kQueryBlock * padded_);
    std::byte* q_memory = scratch_.bytes(gemm_.packed_bytes(kQueryBlock, d_));
    std::byte* p_memory = scratch_.bytes(gemm_.packed_bytes(kQueryBlock, padded_));
    for (size_t g = 0; g < group_; ++g) {
      const size_t head = first_head_ + g;
      for (size_t begin = 0; begin < n_; begin += kQueryBlock) {
        const Block block = block_at(begin);
        const GemmOperand q = gemm_.a_from(queries(a_.q, head, block), q_memory);
        gemm_.multiply(q, gemm_.rows(k, 0, block.n_keys), scores, padded_, Gemm::Store::kAssign);
        for (size_t i = 0; i < block.n; ++i) {
          log_sum(head, begin + i) = isa_.train->softmax_row(score_row(scores, block, i));
        }
        const GemmOperand p = gemm_.a_from(
            {.data = scores, .n_rows = block.n, .n_columns = block.n_keys, .stride = padded_},
            p_memory);
        gemm_.multiply(p, v, query(a_.out, head, begin), q_stride_, Gemm::Store::kAssign);
      }
    }
  }

  void back() {
    const GemmOperand k = pack_b(rows_of(a_.k));
    const GemmOperand v = pack_b(rows_of(a_.v));
    const GemmOperand k_columns = pack_b(columns_of(a_.k));
    float* scores = scratch_.floats(kQueryBlock * padded_);
    float* d_scores = scratch_.floats(kQueryBlock * padded_);
    std::byte* q_memory = scratch_.bytes(gemm_.packed_bytes(kQueryBlock, d_));
    std::byte* side_memory = scratch_.bytes(gemm_.packed_bytes(d_, kQueryBlock));
    std::byte* p_memory = scratch_.bytes(
        std::max(gemm_.packed_bytes(kQueryBlock, padded_), gemm_.packed_bytes(padded_, kQueryBlock)));
    if (!a_.adds_k) clear(a_.d_k);
    if (!a_.adds_v) clear(a_.d_v);
    for (size_t g = 0; g < group_; ++g) {
      const size_t head = first_head_ + g;
      for (size_t begin = 0; begin < n_; begin += kQueryBlock) {
        const Block block = block_at(begin);
        const GemmSource q_source = queries(a_.q, head, block);
        const GemmSource d_out_source = queries(a_.d_out, head, block);
        const GemmOperand q = gemm_.a_from(q_source, q_memory);
        gemm_.multiply(q, gemm_.rows(k, 0, block.n_keys), scores, padded_, Gemm::Store::kAssign);
        const GemmOperand d_out = gemm_.a_from(d_out_source, q_memory);
        gemm_.multiply(d_out, gemm_.rows(v, 0, block.n_keys), d_scores, padded_,
                       Gemm::Store::kAssign);
        for (size_t i = 0; i < block.n; ++i) {
          const float row_dot = isa_.train->dot(query(a_.out, head, begin + i),
                                                query(a_.d_out, head, begin + i), d_);
          isa_.train->softmax_row_grad(score_row(scores, block, i), log_sum(head, begin + i),
                                       d_scores + i * padded_, row_dot);
        }
        add_to_keys(scores, block, d_out_source, a_.d_v, p_memory, side_memory);
        add_to_keys(d_scores, block, q_source, a_.d_k, p_memory, side_memory);
        const GemmOperand ds = gemm_.a_from(
            {.data = d_scores, .n_rows = block.n, .n_columns = block.n_keys, .stride = padded_},
            p_memory);
        gemm_.multiply(ds, k_columns, query(a_.d_q, head, begin), q_stride_,
                       a_.adds_q ? Gemm::Store::kAdd : Gemm::Store::kAssign);
      }
    }
  }

 private:
  // Queries [begin, begin + n) see keys [0, n_keys).
  struct Block {
    size_t begin = 0;
    size_t n = 0;
    size_t n_keys = 0;
  };
  Block block_at(size_t begin) const {
    const size_t n = std::min(kQueryBlock, n_ - begin);
    return {begin, n, begin + n};
  }

  GemmSource rows_of(const float* keys) const {
    return {.data = keys + kv_offset_, .n_rows = n_, .n_columns = d_, .stride = kv_stride_};
  }
  GemmSource columns_of(const float* keys) const {
    return {.data = keys + kv_offset_,
            .n_rows = d_,
            .n_columns = n_,
            .stride = kv_stride_,
            .is_transposed = true};
  }
  GemmOperand pack_b(const GemmSource& source) {
    return gemm_.b_from(source,
                        scratch_.bytes(gemm_.packed_bytes(source.n_rows, source.n_columns)));
  }

  template <class Float>
  Float* query(Float* array, size_t head, size_t token) const {
    return array + (first_ + token) * q_stride_ + head * d_;
  }
  GemmSource queries(const float* array, size_t head, const Block& block) const {
    return {.data = query(array, head, block.begin),
            .n_rows = block.n,
            .n_columns = d_,
            .stride = q_stride_};
  }
  float& log_sum(size_t head, size_t token) const {
    return a_.log_sums[head * a_.n_tokens + first_ + token];
  }

  cpu::ScoreRow score_row(float* scores, const Block& block, size_t i) const {
    const size_t end = block.begin + i + 1;
    const auto window = static_cast<size_t>(a_.options.window);
    return {.scores = scores + i * padded_,
            .begin = window > 0 && end > window ? end - window : 0,
            .end = end,
            .n = block.n_keys,
            .scale = a_.options.scale,
            .softcap = a_.options.softcap};
  }

  // d_keys += weights^T side, over the queries of a block.
  void add_to_keys(const float* weights, const Block& block, const GemmSource& side, float* d_keys,
                   std::byte* weights_memory, std::byte* side_memory) const {
    const GemmOperand a = gemm_.a_from({.data = weights,
                                        .n_rows = block.n_keys,
                                        .n_columns = block.n,
                                        .stride = padded_,
                                        .is_transposed = true},
                                       weights_memory);
    const GemmOperand b = gemm_.b_from({.data = side.data,
                                        .n_rows = d_,
                                        .n_columns = block.n,
                                        .stride = side.stride,
                                        .is_transposed = true},
                                       side_memory);
    gemm_.multiply(a, b, d_keys + kv_offset_, kv_stride_, Gemm::Store::kAdd);
  }

  void clear(float* keys) const {
    for (size_t i = 0; i < n_; ++i) {
      std::memset(keys + kv_offset_ + i * kv_stride_, 0, d_ * sizeof(float));
    }
  }

  const cpu::Isa& isa_;
  const Gemm& gemm_;
  const AttentionArrays& a_;
  size_t first_, n_;
  size_t padded_;
  size_t d_;
  size_t q_stride_, kv_stride_, kv_offset_;
  size_t group_, first_head_;
  Scratch scratch_;
};

}  // namespace

size_t attention_scratch_bytes(const Gemm& gemm, size_t max_tokens, size_t d_head) {
  const size_t padded = round_up(max_tokens, 64);
  const size_t keys =
      std::max(gemm.packed_bytes(padded, d_head), gemm.packed_bytes(d_head, padded));
  const size_t p =
      std::max(gemm.packed_bytes(kQueryBlock, padded), gemm.packed_bytes(padded, kQueryBlock));
  return 3 * keys + 2 * kQueryBlock * padded * sizeof(float) + p +
         gemm.packed_bytes(kQueryBlock, d_head) + gemm.packed_bytes(d_head, kQueryBlock) + 8 * 64;
}

void attend_forward(const cpu::Isa& isa, const Gemm& gemm, const AttentionArrays& arrays,
                    const Document& document, size_t kv_head, std::byte* scratch) noexcept {
  Unit(isa, gemm, arrays, document, kv_head, scratch).forward();
}

void attend_back(const cpu::Isa& isa, const Gemm& gemm, const AttentionArrays& arrays,
                 const Document& document, size_t kv_head, std::byte* scratch) noexcept {
  Unit(isa, gemm, arrays, document, kv_head, scratch).back();
}

}  // namespace ac::tape
