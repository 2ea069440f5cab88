// Causal attention over whole documents, forward and back, as products of small blocks. Internal to
// models/train.
//
// Weights of attention are never kept: the way back computes a block of them again from the scores
// and the log sums of the way forward (Dao et al. 2022, arXiv:2205.14135, section 3.1).
#pragma once

#include <cstdint>

#include "cpu/gemm.h"
#include "runtime/core/backend.h"

namespace ac::tape {

// Rows [first, first + n) of the batch, at positions 0 to n - 1.
struct Document {
  size_t first = 0;
  size_t n = 0;
};

// Whole arrays of the batch; heads lie side by side in a row. Gradients are null on the way forward.
struct AttentionArrays {
  const float* q = nullptr;  // [n_tokens, n_heads * d_head]
  const float* k = nullptr;  // [n_tokens, n_kv_heads * d_head]
  const float* v = nullptr;
  float* out = nullptr;       // [n_tokens, n_heads * d_head]
  float* log_sums = nullptr;  // [n_heads, n_tokens]
  const float* d_out = nullptr;
  float* d_q = nullptr;
  float* d_k = nullptr;
  float* d_v = nullptr;
  bool adds_q = false, adds_k = false, adds_v = false;  // to gradients that are there already
  size_t n_tokens = 0;
  size_t n_heads = 0;
  size_t n_kv_heads = 0;
  size_t d_head = 0;
  AttendOptions options{};
};

// Bytes of scratch of a worker for documents of up to max_tokens.
size_t attention_scratch_bytes(const cpu::Gemm& gemm, size_t max_tokens, size_t d_head);

// One document and one kv head, with all query heads that read it. `scratch` is 64-byte aligned.
void attend_forward(const cpu::Isa& isa, const cpu::Gemm& gemm, const AttentionArrays& arrays,
                    const Document& document, size_t kv_head, std::byte* scratch) noexcept;
void attend_back(const cpu::Isa& isa, const cpu::Gemm& gemm, const AttentionArrays& arrays,
                 const Document& document, size_t kv_head, std::byte* scratch) noexcept;

}  // namespace ac::tape
