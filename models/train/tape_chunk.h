// A few rows on their way through a segment, forward and back. Internal to models/train.
#pragma once

#include "models/train/tape_state.h"

namespace ac::tape {

// Bytes that a worker needs for a chunk of `chunk_rows`.
size_t chunk_bytes(const cpu::Gemm& gemm, const Program& program, size_t chunk_rows);

class Chunk {
 public:
  // Rows [begin, begin + n_rows) of `piece`; `memory` has chunk_bytes, 64-byte aligned.
  Chunk(TapeBackend::State& state, const Piece& piece, size_t begin, size_t n_rows,
        std::byte* memory);
  void forward() noexcept;
  void back() noexcept;

 private:
  void run(const Op& op) noexcept;
  void run_back(const Op& op) noexcept;
  void embed(const Op& op) noexcept;
  void rms_norm(const Op& op) noexcept;
  void rms_norm_back(const Op& op) noexcept;
  void matmul(const Op& op) noexcept;
  void matmul_back(const Op& op) noexcept;
  void rope(const Op& op, float* x, const std::vector<float>& table) noexcept;
  void gated(const Op& op) noexcept;
  void gated_back(const Op& op) noexcept;
  void loss(const Op& op) noexcept;

  const Variable& variable(int32_t v) const;
  const Weight& weight(int32_t w) const;
  bool is_trained(int32_t w) const { return w >= 0 && weight(w).gradient != nullptr; }
  float* value(int32_t v) const;
  float* gradient(int32_t v) const;
  size_t n_values(int32_t v) const { return n_rows_ * variable(v).n_cols; }
  float* partial(const Op& op, int32_t vector) const;

  TapeBackend::State& s_;
  const Piece& piece_;
  size_t begin_, n_rows_;
  size_t chunk_rows_;
  bool goes_back_ = false;  // on the way back
  float* local_;
  std::byte* pack_x_;
  std::byte* pack_dy_;
  int32_t packed_ = -1;  // the variable whose rows lie packed at pack_x_
  cpu::GemmOperand packed_x_;
};

}  // namespace ac::tape
