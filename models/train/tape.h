// TapeBackend: the verbs with gradients. models/arch/decoder's forward() is recorded on it unchanged,
// a loss is put behind, and end_step() computes the loss and adds its gradient to every parameter.
//
// How a step runs. Verbs that treat every row alone (all but attention and select_rows) are grouped
// into segments, and a segment is run for a few rows from its first verb to its last, so that what
// lies between stays in the second-level cache. Values that the way back needs are kept; what is
// cheap (norms, activations) is computed again. The last segment, from the last attention to the
// loss, goes forward and back in one visit: logits exist only for the few rows in hand, never as
// [n_tokens, n_vocab]. Gradients of matrices are products over all rows of the step, made after each
// segment from operands that the way back left behind.
//
// Attention is that of whole sequences: each run of equal slots in the batch is one document whose
// positions begin at 0, and sees itself alone. There is no cache of earlier steps.
//
// Same inputs, same bits, for any number of threads. One step at a time.
#pragma once

#include <functional>
#include <memory>

#include "cpu/gemm.h"
#include "cpu/threads.h"
#include "models/train/parameters.h"
#include "runtime/core/backend.h"

namespace ac {

// Fills `logits` [row_end - row_begin, n_vocab] of a teacher; called by several threads at once.
using TeacherRows = std::function<void(int32_t row_begin, int32_t row_end, float* logits)>;

// The loss of a step: sum over rows of
//   weights[row] * -log p(targets[row])  +  teacher_weights[row] * KL(teacher || p)
// either of which may be left out. Spans and the function stay valid until end_step.
struct LossOptions {
  std::span<const int32_t> targets{};  // [n_rows]
  std::span<const float> weights{};    // [n_rows]
  TeacherRows teacher{};
  std::span<const float> teacher_weights{};  // [n_rows]
};

struct StepLoss {
  double cross_entropy = 0;  // the weighted sums above
  double divergence = 0;
};

struct TapeOptions {
  cpu::GemmKind gemm = cpu::GemmKind::kF32;
  // Rows that are taken through a segment at once; a multiple of 64.
  int32_t chunk_rows = 128;
};

class TapeBackend final : public Backend {
 public:
  // Views that lie in `parameters` are trained, all others are frozen. `team` and `parameters`
  // outlive the backend.
  TapeBackend(const cpu::Isa& isa, cpu::ThreadTeam& team, Parameters& parameters,
              const TapeOptions& options);
  ~TapeBackend() override;

  std::string_view name() const override { return "tape"; }
  // Frozen weights may be of any format that has a decoder; they are kept as f32.
  Result<WeightId> load_matrix(const TensorView& view) override;
  Result<WeightId> load_vector(const TensorView& view) override;
  Result<RopeId> load_rope(const RopeTable& table) override;
  Status create_kv(const KvShape& shape) override;
  uint64_t kv_bytes(const KvShape&) const override { return 0; }
  void copy_kv(int32_t from_slot, int32_t to_slot, int32_t n_positions) override;

  void begin_step(const Batch& batch) override;
  void begin_scope() override;
  void end_scope() override;
  Value embed(WeightId table) override;
  Value rms_norm(Value x, WeightId weight, float epsilon, int32_t group) override;
  Value matmul(Value x, WeightId w, WeightId bias) override;
  void rope(Value x, int32_t d_head, RopeId rope) override;
  void store_kv(int32_t layer, Value k, Value v) override;
  Value attend(Value q, const AttendOptions& options) override;
  Value gated(Value gate, Value up, Activation activation) override;
  void add(Value x, Value y) override;
  void scale(Value x, float factor) override;
  void softcap(Value x, float cap) override;
  Value select_rows(Value x, std::span<const int32_t> rows) override;

  // --- what training adds ---------------------------------------------------------------------
  // Puts the loss behind what was recorded. REQUIRES: once a step, as its last verb.
  void loss(Value logits, const LossOptions& options);
  // Without gradients only the loss is computed (on unseen text). Gradients are the default.
  enum class Pass { kForward, kForwardAndBack };
  void set_pass(Pass pass);
  // Calls `visit(row_begin, rows)` with rows of x [n, n_cols] as they are made, from several threads
  // at once; x need not be kept whole. As the last verb, instead of a loss.
  using RowVisitor = std::function<void(int32_t row_begin, std::span<const float> rows)>;
  void visit_rows(Value x, RowVisitor visit);
  // Somebody changed parameter values: packed copies are made again in the next step.
  void weights_changed();

  // Where a loss was recorded, values are not kept for read(). Errors: kOutOfMemory.
  Status end_step() override;
  // REQUIRES: no loss was recorded.
  std::span<const float> read(Value value) override;
  // Of the last step. The same for any number of threads.
  StepLoss step_loss() const;

  struct State;  // tape_state.h

 private:
  std::unique_ptr<State> state_;
};

}  // namespace ac
