// Muon: momentum whose direction is made orthogonal, for the matrices inside layers.
//
//   M <- beta M + (1 - beta) G,   U = beta M + (1 - beta) G,   W <- W - rate (0.2 sqrt(max(m, n))
//   O(U)
//   + decay W)
//
// O(U) has U's singular vectors and singular values near 1, by five Newton-Schulz iterations.
// Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; the factor, which makes a step as
// long as AdamW's so that both share a learning rate: Liu et al. 2025, arXiv:2502.16982,
// equation 4.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/threads.h"
#include "runtime/core/result.h"
#include "runtime/core/tensor.h"

namespace ac {

struct MuonOptions {
  float beta = 0.95f;
  float weight_decay = 0.1f;  // times the learning rate
};

// A matrix in the flat array of parameters.
struct MuonMatrix {
  size_t offset = 0;
  int64_t n_rows = 0;
  int64_t n_cols = 0;
};

// Not thread-safe. The same inputs give the same bits, for any number of threads: a matrix is one
// thread's work.
class Muon {
 public:
  // Errors: kOutOfMemory.
  static Result<std::unique_ptr<Muon>> create(const cpu::Gemm& gemm, const MuonOptions& options,
                                              std::vector<MuonMatrix> matrices, int n_threads);

  // The gradient counts gradient_scale times and is zero afterwards, where the matrices are;
  // `momentum` is M, as long as the parameters.
  void step(cpu::ThreadTeam& team, std::span<float> parameters, std::span<float> gradient,
            std::span<float> momentum, float learning_rate, float gradient_scale);

  std::span<const MuonMatrix> matrices() const { return matrices_; }

 private:
  Muon(const cpu::Gemm& gemm, const MuonOptions& options, std::vector<MuonMatrix> matrices)
      : gemm_(gemm), options_(options), matrices_(std::move(matrices)) {}
  // What one thread works in.
  struct Scratch {
    Buffer x, square, product, packed_a, packed_b;
  };
  void move(const MuonMatrix& matrix, Scratch& scratch, std::span<float> parameters,
            std::span<float> gradient, std::span<float> momentum, float learning_rate,
            float gradient_scale) const;

  cpu::Gemm gemm_;
  MuonOptions options_;
  std::vector<MuonMatrix> matrices_;  // largest first
  std::vector<Scratch> scratch_;      // [n_threads]
};

// x [m, n] becomes nearly orthogonal: its singular values go to about 1, its singular vectors stay.
// `square` [m, m] twice. REQUIRES: m <= n.
void orthogonalise(const cpu::Gemm& gemm, std::span<float> x, size_t m, size_t n,
                   std::span<float> square, std::span<float> product, std::byte* packed_a,
                   std::byte* packed_b);

}  // namespace ac
