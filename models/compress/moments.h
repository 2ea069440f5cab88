// Second moments of what linear layers read: H = mean(x x^T), mu = mean(x), over calibration
// tokens.
//
// Every technique asks H how much an error of a weight matters: E ||dW x||^2 = trace(dW H dW^T).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/threads.h"
#include "models/compress/linear_algebra.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// The inputs of a layer; those that several linears share are counted once.
enum class InputKind { kAttention, kOutput, kFeedForward, kDown };
inline constexpr InputKind kInputKinds[] = {InputKind::kAttention, InputKind::kOutput,
                                            InputKind::kFeedForward, InputKind::kDown};
std::string_view input_kind_name(InputKind kind);

struct InputMoments {
  Matrix h;                  // [n, n]; empty where the block is absent
  std::vector<double> mean;  // [n]
};

struct LayerMoments {
  InputMoments attention;     // q, k, v: [d_model]
  InputMoments output;        // o: [n_heads * d_head]
  InputMoments feed_forward;  // gate, up: [d_model]
  InputMoments down;          // down: [d_ff]
  uint64_t n_tokens = 0;
  // Mean of 1 - cos(x before, x after the layer): how much the layer changes the stream
  // (block influence, Men et al. 2024).
  double influence = 0;

  InputMoments& of(InputKind kind);
  const InputMoments& of(InputKind kind) const;
};

// A linear of a layer, and which input it reads.
struct LinearRole {
  std::string_view name;  // inside "blk.<i>.", without ".weight"
  InputKind input;
};
std::span<const LinearRole> linear_roles();
std::string layer_tensor(int32_t layer, std::string_view name);  // "blk.3.ffn_down.weight"

// Sums outer products. The sums are double, the products of one call single.
class MomentSum {
 public:
  static Result<MomentSum> create(int64_t n);
  // Adds `rows` [n_rows, n].
  void add(std::span<const float> rows, cpu::ThreadTeam& team);
  uint64_t n_rows() const { return n_rows_; }
  // Divides by the number of rows and fills the lower half.
  InputMoments finish() &&;

 private:
  Matrix sum_;  // the upper half in tiles
  std::vector<double> total_;
  uint64_t n_rows_ = 0;
};

// Adds left^T right, [n_left, n_right], of rows that belong together, to `sum`.
void add_cross_moments(std::span<const float> left, std::span<const float> right, Matrix& sum,
                       cpu::ThreadTeam& team);

// As a checkpoint to be kept in a file, and back; H is rounded to single precision.
Result<Checkpoint> moments_to_checkpoint(const LayerMoments& moments);
// Errors: kNotFound, kCorruptFile.
Result<LayerMoments> moments_from_checkpoint(const Checkpoint& checkpoint);

}  // namespace ac
