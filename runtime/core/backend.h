// Backend: the verbs in which a transformer is written.
//
// models/arch/decoder writes the forward pass once, in these verbs. The CPU records them and runs
// the list in one parallel region; Vulkan records them into a command buffer; the trainer records
// them on a tape so that the same text has gradients. So a verb only *describes* work: its result
// exists after end_step().
//
// Goals: few verbs; shapes known when recording; no model names; no allocation in the hot path.
// Non-goals: a general tensor library, graph rewriting, dynamic control flow inside a step.
//
// Axis words: n_tokens (of this step), n_heads, n_kv_heads, d_head, d_model, d_ff, n_vocab.
// Activations are f32, row-major, one row per token.
//
// Thread safety: one step at a time per backend; different backends are independent.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/core/tensor.h"

namespace ac {

// Handles into a backend. -1 is "none".
enum class WeightId : int32_t { kNone = -1 };
enum class RopeId : int32_t { kNone = -1 };

// An activation of the current step, [n_rows, n_cols] f32. Valid until the end of the scope in which
// it was made (see begin_scope), at the latest until the next begin_step.
struct Value {
  int32_t id = -1;
  int32_t n_rows = 0;
  int32_t n_cols = 0;
};

// The tokens of one step. Token i sits at positions[i] of the sequence in slot slots[i]. Tokens of one
// slot are consecutive and their positions ascend by one: prefill is many tokens of one slot, a
// batched decode is one token each of many slots, and a step may mix both.
struct Batch {
  std::span<const int32_t> tokens;
  std::span<const int32_t> positions;
  std::span<const int32_t> slots;
  size_t size() const { return tokens.size(); }
};

enum class Activation { kSilu, kGeluTanh };
// How a rope pairs the elements of a head: (2i, 2i+1), or (i, i + d_rot/2).
enum class RopePairing { kInterleaved, kHalves };
// kF32 keeps every bit: what tests compare with, and the trainer's.
enum class KvFormat { kF16, kQ8_0, kF32 };

struct RopeTable {
  std::span<const float> inverse_frequencies;  // [d_rot / 2]; angle = position * inverse_frequency
  RopePairing pairing = RopePairing::kHalves;
  float magnitude = 1.0f;  // multiplies cos and sin (YaRN's and LongRoPE's attention factor)
};

// The cache of keys and values: per slot and layer [n_context, n_kv_heads * d_head] each.
struct KvShape {
  struct Layer {
    int32_t n_kv_heads = 0;
    int32_t d_head = 0;
  };
  std::vector<Layer> layers;
  int32_t n_slots = 1;
  int32_t n_context = 0;
  KvFormat format = KvFormat::kF16;
};

struct AttendOptions {
  int32_t layer = 0;
  int32_t n_heads = 0;  // n_kv_heads and d_head are those of KvShape::layers[layer]
  float scale = 1.0f;   // multiplies q.k
  float softcap = 0;    // > 0: scores become softcap * tanh(score / softcap)
  int32_t window = 0;   // > 0: a token sees only the last `window` positions, itself included
};

class Backend {
 public:
  virtual ~Backend() = default;
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  virtual std::string_view name() const = 0;  // "cpu", "vulkan"
  // What it runs on, as the driver calls it; empty: this processor.
  virtual std::string_view device() const { return {}; }
  // Bytes that are free where it keeps weights and caches; nullopt: that is this machine's memory.
  virtual std::optional<uint64_t> memory_free() const { return std::nullopt; }

  // --- loading, before the first step --------------------------------------------------------
  // A matrix [n_out, n_in] in any weight format. `view` must stay valid as long as the backend.
  // Errors: kOutOfMemory, kUnsupported.
  virtual Result<WeightId> load_matrix(const TensorView& view) = 0;
  // Bytes of its own that load_matrix(view) takes: a repacked copy, or 0 where `view` is used as it is.
  virtual uint64_t matrix_copy_bytes(const TensorView& view) const {
    static_cast<void>(view);
    return 0;
  }
  // Nested precision: a second plane of the loaded matrix `base`, of its shape and format. While
  // read_residual(base, true) holds, `base` stands for the sum of both; at first it does not.
  // `residual` must stay valid as long as the backend. Errors: as load_matrix; kCorruptFile
  // (another shape or format), kUnsupported (a backend or a format without).
  virtual Status load_residual(WeightId base, const TensorView& residual) {
    static_cast<void>(base), static_cast<void>(residual);
    return fail(ErrorCode::kUnsupported, "nested precision on the backend '{}', which has none",
                name());
  }
  // Between steps, at any time; costs nothing. REQUIRES: `base` has a residual.
  virtual void read_residual(WeightId base, bool reads) {
    static_cast<void>(base), static_cast<void>(reads);
  }
  // A vector [n] (norm weights, biases) in f32, f16 or bf16; kept as f32.
  virtual Result<WeightId> load_vector(const TensorView& view) = 0;
  virtual Result<RopeId> load_rope(const RopeTable& table) = 0;
  // (Re)creates the cache, empty. Errors: kOutOfMemory.
  virtual Status create_kv(const KvShape& shape) = 0;
  // Bytes that create_kv(shape) would take.
  virtual uint64_t kv_bytes(const KvShape& shape) const = 0;
  // Copies positions [0, n_positions) of every layer from one slot to another.
  virtual void copy_kv(int32_t from_slot, int32_t to_slot, int32_t n_positions) = 0;

  // --- a step ---------------------------------------------------------------------------------
  // A verb may be carried out only when its result is first used, or as a part of the verb that uses
  // it. So between a verb and the first use of its result, what it reads must not change in place
  // (rope, add, scale, softcap).
  // Starts recording. The batch must stay valid until end_step.
  virtual void begin_step(const Batch& batch) = 0;
  // Values made between begin_scope and end_scope are gone after it; their memory is used again.
  virtual void begin_scope() = 0;
  virtual void end_scope() = 0;

  // Rows of `table` [n_vocab, d_model] for the batch's tokens -> [n_tokens, d_model].
  virtual Value embed(WeightId table) = 0;
  // RMS norm over consecutive groups of `group` columns (0: the whole row), times weight [group]:
  // y = x / sqrt(mean(x^2) + epsilon) * weight. kNone: no weight. -> shape of x.
  virtual Value rms_norm(Value x, WeightId weight, float epsilon, int32_t group = 0) = 0;
  // y = x W^T + bias: x [n, n_in], W [n_out, n_in], bias [n_out] or kNone -> [n, n_out].
  virtual Value matmul(Value x, WeightId w, WeightId bias = WeightId::kNone) = 0;
  // Rotates, in place, each head of x [n_tokens, n_heads * d_head] at the tokens' positions; only the
  // first d_rot of d_head elements of a head turn.
  virtual void rope(Value x, int32_t d_head, RopeId rope) = 0;
  // Writes k and v [n_tokens, n_kv_heads * d_head] at the tokens' positions of their slots.
  virtual void store_kv(int32_t layer, Value k, Value v) = 0;
  // Causal attention of q [n_tokens, n_heads * d_head] over its slot's cache, positions 0 up to and
  // including its own -> [n_tokens, n_heads * d_head]. Query head h reads kv head
  // h / (n_heads / n_kv_heads).
  virtual Value attend(Value q, const AttendOptions& options) = 0;
  // activation(gate) * up, elementwise -> [n_tokens, d_ff].
  virtual Value gated(Value gate, Value up, Activation activation) = 0;
  // x += y.
  virtual void add(Value x, Value y) = 0;
  // x *= factor.
  virtual void scale(Value x, float factor) = 0;
  // x = cap * tanh(x / cap).
  virtual void softcap(Value x, float cap) = 0;
  // The given rows of x -> [rows.size(), n_cols].
  virtual Value select_rows(Value x, std::span<const int32_t> rows) = 0;

  // Runs what was recorded. Values of the outermost scope can be read afterwards, until the next
  // begin_step. Errors: kOutOfMemory, kIo (a lost device).
  virtual Status end_step() = 0;
  // Row-major [n_rows, n_cols]. REQUIRES: end_step() succeeded, `value` is of the outermost scope.
  virtual std::span<const float> read(Value value) = 0;
};

}  // namespace ac
