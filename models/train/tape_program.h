// What TapeBackend records, and the plan by which it is run. Internal to models/train.
#pragma once

#include <span>
#include <vector>

#include "models/train/tape.h"

namespace ac::tape {

enum class OpKind {
  kEmbed, kRmsNorm, kMatmul, kRope, kAttend, kGated, kAdd, kScale, kSoftcap, kSelectRows, kLoss, kVisit,
};

// A verb changes a value in place; here every change makes a new variable, so that a gradient can
// say which one it belongs to. Variables that may share memory name the one that owns it.
struct Variable {
  size_t n_rows = 0;
  size_t n_cols = 0;
  int32_t made_by = -1;   // op
  bool readable = false;  // somebody may read() it after the step

  int32_t value_owner = -1;
  int32_t gradient_owner = -1;
  // Of owners. Whole: all rows, in the step's memory. Not whole: rows of the chunk, in a worker's.
  bool value_is_whole = false;
  bool gradient_is_whole = false;
  bool gradient_in_value = false;  // the gradient takes the place of the value
  size_t value_offset = 0;         // bytes in the step's memory, or floats of one row in a worker's
  size_t back_value_offset = 0;    // where it is computed again on the way back
  size_t gradient_offset = 0;
};

constexpr int32_t kMaxInputs = 3;

struct Op {
  OpKind kind = OpKind::kEmbed;
  int32_t inputs[kMaxInputs] = {-1, -1, -1};
  int32_t output = -1;
  int32_t weight = -1;
  int32_t bias = -1;
  float number = 0;    // epsilon, factor or cap
  int32_t group = 0;   // of a norm; d_head of a rope
  int32_t rope = -1;
  Activation activation = Activation::kSilu;
  AttendOptions attend{};
  std::span<const int32_t> rows{};

  // --- plan
  bool has_gradient = false;              // of its output
  bool assigns[kMaxInputs] = {};          // the first to write the gradient of that input
  bool passes_on[kMaxInputs] = {};        // the gradient of the input is that of the output
  bool computed_again = false;            // its output, on the way back
  int32_t compute_before = -1;            // the op on whose way back that happens
  size_t sums_offset = 0;                 // attention: log sums. With a loss: one double a chunk
  size_t partial_offset = 0;              // [n_chunks, width] of gradients of a vector
  size_t x_operand_offset = 0;            // of the gradient of a matrix
  size_t dy_operand_offset = 0;
  bool collects_x = false;                // the op that writes x's operand for its segment
};

// Ops [first, end): row by row, or a single one that needs all rows.
struct Piece {
  int32_t first = 0;
  int32_t end = 0;
  bool by_rows = true;
  bool turns = false;  // forward and back in one visit
  size_t n_rows = 0;
};

struct Weight {
  const float* values = nullptr;
  float* gradient = nullptr;  // nullptr: frozen
  size_t n_out = 1;
  size_t n_in = 0;
  bool in_products = false;  // a matmul reads it: only then it is packed
  Buffer own;                // decoded values of a frozen weight
  Buffer forward_memory, back_memory;
  cpu::GemmOperand forward;  // B [n_out, n_in]
  cpu::GemmOperand back;     // B [n_in, n_out]
};

struct Rope {
  std::vector<float> inverse_frequencies;
  RopePairing pairing = RopePairing::kHalves;
  float magnitude = 1;
  // [n_positions][2][half]: cosines and sines; `turned_back` has the sines negated.
  std::vector<float> table, turned_back;
  size_t n_positions = 0;
};

struct Program {
  std::vector<Variable> variables;
  std::vector<Op> ops;
  bool has_loss = false;
  bool goes_back = false;
  size_t n_tokens = 0;

  // --- plan
  std::vector<Piece> pieces;
  size_t memory_bytes = 0;      // of the step
  size_t local_floats = 0;      // of a worker, for one row of a chunk
};

// Decides what is kept, what is computed again, and where everything lies. `chunk_rows` as in
// TapeOptions.
void make_plan(Program& program, std::span<const Weight> weights, const cpu::Gemm& gemm,
               size_t chunk_rows);

inline bool is_by_rows(OpKind kind) {
  return kind != OpKind::kAttend && kind != OpKind::kSelectRows;
}

}  // namespace ac::tape
