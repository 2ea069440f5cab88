// Runs a planned step: a list of stages for the team, forward and back.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

#include "models/train/tape_chunk.h"
#include "runtime/core/check.h"

namespace ac {
namespace {

using tape::Op;
using tape::OpKind;
using tape::Piece;
using tape::Program;

// Rows of a matrix's gradient, and columns of the embedding's, that one chunk of work takes.
constexpr size_t kGradientRows = 128;
constexpr size_t kEmbeddingColumns = 64;
constexpr size_t kVectorColumns = 256;

size_t pieces_of(size_t n, size_t size) { return (n + size - 1) / size; }

}  // namespace

// One step's list of work.
class TapeRun {
 public:
  explicit TapeRun(TapeBackend::State& state)
      : s_(state), p_(state.program), chunk_rows_(static_cast<size_t>(state.options.chunk_rows)) {}

  void run() {
    for (const Piece& piece : p_.pieces) {
      if (piece.by_rows) {
        stage({rows_task(piece, piece.turns ? Way::kBoth : Way::kForward)});
      } else {
        stage({whole_task(piece, Way::kForward)});
      }
    }
    if (p_.goes_back) {
      for (auto piece = p_.pieces.rbegin(); piece != p_.pieces.rend(); ++piece) {
        if (!piece->by_rows) {
          stage({whole_task(*piece, Way::kBack)});
          continue;
        }
        if (!piece->turns) stage({rows_task(*piece, Way::kBack)});
        stage(gradient_tasks(*piece));
      }
    }
    s_.team.run(works_, stages_);
    add_up_loss();
  }

 private:
  enum class Way { kForward, kBack, kBoth };
  struct Task {
    TapeRun* run = nullptr;
    const Piece* piece = nullptr;
    const Op* op = nullptr;
    Way way = Way::kForward;
    size_t n_chunks = 0;
    void (TapeRun::*body)(const Task& task, size_t chunk, size_t worker) noexcept = nullptr;
  };

  void stage(const std::vector<Task>& tasks) {
    stages_.push_back({.first = static_cast<int32_t>(works_.size()),
                       .count = static_cast<int32_t>(tasks.size())});
    for (const Task& task : tasks) {
      tasks_.push_back(task);
      tasks_.back().run = this;
      works_.push_back({[](const void* args, int32_t begin, int32_t end, int32_t worker) noexcept {
                          const Task& t = *static_cast<const Task*>(args);
                          for (int32_t chunk = begin; chunk < end; ++chunk) {
                            (t.run->*t.body)(t, static_cast<size_t>(chunk),
                                             static_cast<size_t>(worker));
                          }
                        },
                        &tasks_.back(), static_cast<int32_t>(task.n_chunks)});
    }
  }

  // --- row by row ------------------------------------------------------------------------------

  Task rows_task(const Piece& piece, Way way) {
    return {.piece = &piece,
            .way = way,
            .n_chunks = pieces_of(piece.n_rows, chunk_rows_),
            .body = &TapeRun::run_rows};
  }

  void run_rows(const Task& task, size_t chunk, size_t worker) noexcept {
    const size_t begin = chunk * chunk_rows_;
    tape::Chunk rows(s_, *task.piece, begin, std::min(chunk_rows_, task.piece->n_rows - begin),
                     s_.worker_memory.data() + worker * s_.worker_bytes);
    if (task.way != Way::kBack) rows.forward();
    if (task.way != Way::kForward) rows.back();
  }

  // --- attention and selected rows -------------------------------------------------------------

  Task whole_task(const Piece& piece, Way way) {
    const Op& op = p_.ops[static_cast<size_t>(piece.first)];
    if (op.kind == OpKind::kSelectRows) {
      return {.op = &op, .way = way, .n_chunks = 1, .body = &TapeRun::select_rows};
    }
    const auto n_kv = static_cast<size_t>(kv_of(op).n_kv_heads);
    const bool runs = way == Way::kForward || op.has_gradient;
    return {.op = &op,
            .way = way,
            .n_chunks = runs ? s_.documents.size() * n_kv : 0,
            .body = &TapeRun::attend};
  }

  const KvShape::Layer& kv_of(const Op& op) const {
    return s_.kv.layers[static_cast<size_t>(op.attend.layer)];
  }

  float* value(int32_t v) const {
    const auto& owner = p_.variables[static_cast<size_t>(
        p_.variables[static_cast<size_t>(v)].value_owner)];
    return reinterpret_cast<float*>(s_.memory.data() + owner.value_offset);
  }
  float* gradient(int32_t v) const {
    const auto& owner = p_.variables[static_cast<size_t>(
        p_.variables[static_cast<size_t>(v)].gradient_owner)];
    return reinterpret_cast<float*>(s_.memory.data() + owner.gradient_offset);
  }

  void attend(const Task& task, size_t chunk, size_t worker) noexcept {
    const Op& op = *task.op;
    const KvShape::Layer& kv = kv_of(op);
    const auto n_kv = static_cast<size_t>(kv.n_kv_heads);
    tape::AttentionArrays arrays{
        .q = value(op.inputs[0]),
        .k = value(op.inputs[1]),
        .v = value(op.inputs[2]),
        .out = value(op.output),
        .log_sums = reinterpret_cast<float*>(s_.memory.data() + op.sums_offset),
        .n_tokens = p_.n_tokens,
        .n_heads = static_cast<size_t>(op.attend.n_heads),
        .n_kv_heads = n_kv,
        .d_head = static_cast<size_t>(kv.d_head),
        .options = op.attend};
    const tape::Document& document = s_.documents[chunk / n_kv];
    std::byte* scratch = s_.worker_memory.data() + worker * s_.worker_bytes;
    if (task.way == Way::kForward) {
      return tape::attend_forward(s_.isa, s_.gemm, arrays, document, chunk % n_kv, scratch);
    }
    arrays.d_out = gradient(op.output);
    arrays.d_q = gradient(op.inputs[0]);
    arrays.d_k = gradient(op.inputs[1]);
    arrays.d_v = gradient(op.inputs[2]);
    arrays.adds_q = !op.assigns[0];
    arrays.adds_k = !op.assigns[1];
    arrays.adds_v = !op.assigns[2];
    tape::attend_back(s_.isa, s_.gemm, arrays, document, chunk % n_kv, scratch);
  }

  void select_rows(const Task& task, size_t, size_t) noexcept {
    const Op& op = *task.op;
    const tape::Variable& in = p_.variables[static_cast<size_t>(op.inputs[0])];
    const size_t n = in.n_cols;
    if (task.way == Way::kForward) {
      for (size_t i = 0; i < op.rows.size(); ++i) {
        std::memcpy(value(op.output) + i * n,
                    value(op.inputs[0]) + static_cast<size_t>(op.rows[i]) * n, n * sizeof(float));
      }
      return;
    }
    if (!op.has_gradient) return;
    float* to = gradient(op.inputs[0]);
    if (op.assigns[0]) std::memset(to, 0, in.n_rows * n * sizeof(float));
    for (size_t i = 0; i < op.rows.size(); ++i) {
      s_.isa.small->add(to + static_cast<size_t>(op.rows[i]) * n, gradient(op.output) + i * n, n);
    }
  }

  // --- gradients of weights ----------------------------------------------------------------------

  std::vector<Task> gradient_tasks(const Piece& piece) {
    std::vector<Task> tasks;
    for (int32_t i = piece.first; i < piece.end; ++i) {
      const Op& op = p_.ops[static_cast<size_t>(i)];
      if (!op.has_gradient) continue;
      if (op.kind == OpKind::kMatmul && is_trained(op.weight)) {
        tasks.push_back({.piece = &piece,
                         .op = &op,
                         .n_chunks = pieces_of(weight(op.weight).n_out, kGradientRows),
                         .body = &TapeRun::add_matrix_gradient});
      }
      const int32_t vector = op.kind == OpKind::kMatmul ? op.bias : op.weight;
      if ((op.kind == OpKind::kMatmul || op.kind == OpKind::kRmsNorm) && is_trained(vector)) {
        tasks.push_back({.piece = &piece,
                         .op = &op,
                         .n_chunks = pieces_of(weight(vector).n_in, kVectorColumns),
                         .body = &TapeRun::add_vector_gradient});
      }
      if (op.kind == OpKind::kEmbed && is_trained(op.weight)) {
        tasks.push_back({.piece = &piece,
                         .op = &op,
                         .n_chunks = pieces_of(weight(op.weight).n_in, kEmbeddingColumns),
                         .body = &TapeRun::add_embedding_gradient});
      }
    }
    // Weights that several ops of the piece share (one norm over many heads, tied embeddings) are
    // added to by one task after the other.
    return tasks;
  }

  const tape::Weight& weight(int32_t i) const { return s_.weights[static_cast<size_t>(i)]; }
  bool is_trained(int32_t i) const { return i >= 0 && weight(i).gradient != nullptr; }

  void add_matrix_gradient(const Task& task, size_t chunk, size_t) noexcept {
    const Op& op = *task.op;
    const tape::Weight& w = weight(op.weight);
    const size_t begin = chunk * kGradientRows;
    const size_t n = std::min(kGradientRows, w.n_out - begin);
    const auto dy = s_.gemm.collected(w.n_out, task.piece->n_rows, true, true,
                                      s_.memory.data() + op.dy_operand_offset);
    const auto x = s_.gemm.collected(w.n_in, task.piece->n_rows, true, false,
                                     s_.memory.data() + op.x_operand_offset);
    s_.gemm.multiply(s_.gemm.rows(dy, begin, n), x, w.gradient + begin * w.n_in, w.n_in,
                     cpu::Gemm::Store::kAdd);
  }

  void add_vector_gradient(const Task& task, size_t chunk, size_t) noexcept {
    const Op& op = *task.op;
    const tape::Weight& w = weight(op.kind == OpKind::kMatmul ? op.bias : op.weight);
    const size_t begin = chunk * kVectorColumns;
    const size_t n = std::min(kVectorColumns, w.n_in - begin);
    const float* partial = reinterpret_cast<const float*>(s_.memory.data() + op.partial_offset);
    const size_t width = (w.n_in + 15) / 16 * 16;
    for (size_t c = 0; c < pieces_of(task.piece->n_rows, chunk_rows_); ++c) {
      s_.isa.small->add(w.gradient + begin, partial + c * width + begin, n);
    }
  }

  void add_embedding_gradient(const Task& task, size_t chunk, size_t) noexcept {
    const Op& op = *task.op;
    const tape::Weight& w = weight(op.weight);
    const size_t begin = chunk * kEmbeddingColumns;
    const size_t n = std::min(kEmbeddingColumns, w.n_in - begin);
    const float* from = gradient(op.output);
    for (size_t i = 0; i < p_.n_tokens; ++i) {
      s_.isa.small->add(w.gradient + static_cast<size_t>(s_.batch.tokens[i]) * w.n_in + begin,
                        from + i * w.n_in + begin, n);
    }
  }

  void add_up_loss() {
    const Op& op = p_.ops.back();
    if (op.kind != OpKind::kLoss) return;
    const auto* sums = reinterpret_cast<const double*>(s_.memory.data() + op.sums_offset);
    const size_t n_rows = p_.variables[static_cast<size_t>(op.inputs[0])].n_rows;
    for (size_t c = 0; c < pieces_of(n_rows, chunk_rows_); ++c) {
      s_.step_loss.cross_entropy += sums[2 * c];
      s_.step_loss.divergence += sums[2 * c + 1];
    }
  }

  TapeBackend::State& s_;
  Program& p_;
  size_t chunk_rows_;
  std::deque<Task> tasks_;
  std::vector<cpu::Work> works_;
  std::vector<cpu::Stage> stages_;
};

void TapeBackend::State::prepare_ropes() {
  size_t n_positions = 0;
  for (const tape::Document& document : documents) n_positions = std::max(n_positions, document.n);
  for (tape::Rope& rope : ropes) {
    if (rope.n_positions >= n_positions) continue;
    const size_t half = rope.inverse_frequencies.size();
    rope.n_positions = n_positions;
    rope.table.resize(n_positions * 2 * half);
    for (size_t i = 0; i < n_positions; ++i) {
      for (size_t j = 0; j < half; ++j) {
        const double angle =
            static_cast<double>(i) * static_cast<double>(rope.inverse_frequencies[j]);
        const auto magnitude = static_cast<double>(rope.magnitude);
        rope.table[(2 * i) * half + j] = static_cast<float>(std::cos(angle) * magnitude);
        rope.table[(2 * i + 1) * half + j] = static_cast<float>(std::sin(angle) * magnitude);
      }
    }
    rope.turned_back = rope.table;
    for (size_t i = 0; i < n_positions; ++i) {
      for (size_t j = 0; j < half; ++j) rope.turned_back[(2 * i + 1) * half + j] *= -1;
    }
  }
}

Status TapeBackend::State::prepare_weights() {
  if (gemm.kind() == cpu::GemmKind::kBf16) {
    for (tape::Weight& weight : weights) {
      if (!weight.in_products || weight.forward_memory.size_bytes() > 0) continue;
      AC_TRY(weight.forward_memory,
             Buffer::allocate(gemm.packed_bytes(weight.n_out, weight.n_in)));
      AC_TRY(weight.back_memory, Buffer::allocate(gemm.packed_bytes(weight.n_in, weight.n_out)));
      weights_changed = true;
    }
  }
  const auto pack = [this](tape::Weight& weight) {
    if (!weight.in_products) return;
    weight.forward = gemm.b_from({.data = weight.values,
                                  .n_rows = weight.n_out,
                                  .n_columns = weight.n_in,
                                  .stride = weight.n_in},
                                 weight.forward_memory.data());
    weight.back = gemm.b_from({.data = weight.values,
                               .n_rows = weight.n_in,
                               .n_columns = weight.n_out,
                               .stride = weight.n_in,
                               .is_transposed = true},
                              weight.back_memory.data());
  };
  if (!std::exchange(weights_changed, false) && gemm.kind() == cpu::GemmKind::kBf16) return {};
  team.for_each_chunk(static_cast<int32_t>(weights.size()), [&](int32_t i, int32_t) {
    pack(weights[static_cast<size_t>(i)]);
  });
  return {};
}

Status TapeBackend::State::prepare_memory() {
  if (memory.size_bytes() < program.memory_bytes) {
    memory = {};
    AC_TRY(memory, Buffer::allocate(program.memory_bytes));
  }
  size_t max_columns = 0;
  for (const tape::Variable& v : program.variables) max_columns = std::max(max_columns, v.n_cols);
  size_t bytes = tape::chunk_bytes(gemm, program, static_cast<size_t>(options.chunk_rows));
  size_t max_tokens = 0;
  for (const tape::Document& document : documents) max_tokens = std::max(max_tokens, document.n);
  for (const KvShape::Layer& layer : kv.layers) {
    bytes = std::max(bytes, tape::attention_scratch_bytes(gemm, max_tokens,
                                                          static_cast<size_t>(layer.d_head)));
  }
  bytes = (bytes + 4095) / 4096 * 4096;
  const auto n = static_cast<size_t>(team.n_threads());
  if (bytes > worker_bytes) {
    worker_memory = {};
    AC_TRY(worker_memory, Buffer::allocate(n * bytes));
    worker_bytes = bytes;
  }
  return {};
}

Status TapeBackend::State::run() {
  AC_TRY_STATUS(prepare_memory());
  AC_TRY_STATUS(prepare_weights());
  prepare_ropes();
  TapeRun(*this).run();
  return {};
}

}  // namespace ac
