#include "models/train/tape_chunk.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/core/check.h"

namespace ac::tape {
namespace {

using cpu::Gemm;
using cpu::GemmSource;

// Rows of a teacher's logits that are asked for at once.
constexpr size_t kTeacherRows = 16;

size_t max_columns(const Program& program) {
  size_t n = 0;
  for (const Variable& v : program.variables) n = std::max(n, v.n_cols);
  return n;
}

size_t packed_bytes(const Gemm& gemm, const Program& program, size_t chunk_rows) {
  return (gemm.packed_bytes(chunk_rows, max_columns(program)) + 63) / 64 * 64;
}

}  // namespace

size_t chunk_bytes(const Gemm& gemm, const Program& program, size_t chunk_rows) {
  const size_t teacher = kTeacherRows * max_columns(program) * sizeof(float);
  return program.local_floats * chunk_rows * sizeof(float) + teacher +
         2 * packed_bytes(gemm, program, chunk_rows);
}

Chunk::Chunk(TapeBackend::State& state, const Piece& piece, size_t begin, size_t n_rows,
             std::byte* memory)
    : s_(state),
      piece_(piece),
      begin_(begin),
      n_rows_(n_rows),
      chunk_rows_(static_cast<size_t>(state.options.chunk_rows)) {
  const size_t packed = packed_bytes(s_.gemm, s_.program, chunk_rows_);
  pack_x_ = memory;
  pack_dy_ = memory + packed;
  local_ = reinterpret_cast<float*>(memory + 2 * packed);
}

const Variable& Chunk::variable(int32_t v) const {
  return s_.program.variables[static_cast<size_t>(v)];
}
const Weight& Chunk::weight(int32_t w) const { return s_.weights[static_cast<size_t>(w)]; }

float* Chunk::value(int32_t v) const {
  const Variable& owner = variable(variable(v).value_owner);
  if (owner.value_is_whole) {
    return reinterpret_cast<float*>(s_.memory.data() + owner.value_offset) + begin_ * owner.n_cols;
  }
  const bool again = goes_back_ && s_.program.ops[static_cast<size_t>(owner.made_by)].computed_again;
  return local_ + (again ? owner.back_value_offset : owner.value_offset) * chunk_rows_;
}

float* Chunk::gradient(int32_t v) const {
  const Variable& owner = variable(variable(v).gradient_owner);
  if (owner.gradient_in_value) return value(variable(v).gradient_owner);
  if (owner.gradient_is_whole) {
    return reinterpret_cast<float*>(s_.memory.data() + owner.gradient_offset) +
           begin_ * owner.n_cols;
  }
  return local_ + owner.gradient_offset * chunk_rows_;
}

void Chunk::forward() noexcept {
  packed_ = -1;
  for (int32_t i = piece_.first; i < piece_.end; ++i) run(s_.program.ops[static_cast<size_t>(i)]);
}

void Chunk::back() noexcept {
  packed_ = -1;
  goes_back_ = true;
  for (int32_t i = piece_.end; i-- > piece_.first;) {
    // What this op is the first to need again. In order, though none depends on another.
    for (int32_t j = piece_.first; j < i; ++j) {
      const Op& earlier = s_.program.ops[static_cast<size_t>(j)];
      if (earlier.computed_again && earlier.compute_before == i) run(earlier);
    }
    const Op& op = s_.program.ops[static_cast<size_t>(i)];
    if (op.has_gradient) run_back(op);
  }
}

void Chunk::run(const Op& op) noexcept {
  const cpu::SmallKernels& small = *s_.isa.small;
  switch (op.kind) {
    case OpKind::kEmbed:
      return embed(op);
    case OpKind::kRmsNorm:
      return rms_norm(op);
    case OpKind::kMatmul:
      return matmul(op);
    case OpKind::kGated:
      return gated(op);
    case OpKind::kLoss:
      return loss(op);
    case OpKind::kVisit:
      return s_.visit(static_cast<int32_t>(begin_), {value(op.inputs[0]), n_values(op.inputs[0])});
    case OpKind::kAttend:
    case OpKind::kSelectRows:
      return;
    case OpKind::kAdd:
    case OpKind::kRope:
    case OpKind::kScale:
    case OpKind::kSoftcap:
      break;
  }
  float* x = value(op.output);
  const size_t n = n_values(op.output);
  if (x != value(op.inputs[0])) std::memcpy(x, value(op.inputs[0]), n * sizeof(float));
  if (op.kind == OpKind::kAdd) {
    small.add(x, value(op.inputs[1]), n);
  } else if (op.kind == OpKind::kScale) {
    small.scale(x, op.number, n);
  } else if (op.kind == OpKind::kSoftcap) {
    small.softcap(x, op.number, n);
  } else {
    rope(op, x, s_.ropes[static_cast<size_t>(op.rope)].table);
  }
}

void Chunk::run_back(const Op& op) noexcept {
  const cpu::SmallKernels& small = *s_.isa.small;
  switch (op.kind) {
    case OpKind::kEmbed:  // from the whole gradient, afterwards
    case OpKind::kLoss:   // on the way forward
    case OpKind::kVisit:
    case OpKind::kAttend:
    case OpKind::kSelectRows:
      return;
    case OpKind::kRmsNorm:
      return rms_norm_back(op);
    case OpKind::kMatmul:
      return matmul_back(op);
    case OpKind::kGated:
      return gated_back(op);
    case OpKind::kAdd:
      for (int32_t j = 0; j < 2; ++j) {
        if (op.passes_on[j]) continue;
        float* to = gradient(op.inputs[j]);
        const size_t n = n_values(op.output);
        if (op.assigns[j]) {
          std::memcpy(to, gradient(op.output), n * sizeof(float));
        } else {
          small.add(to, gradient(op.output), n);
        }
      }
      return;
    case OpKind::kScale:
      small.scale(gradient(op.output), op.number, n_values(op.output));
      break;
    case OpKind::kSoftcap:
      s_.isa.train->softcap_grad(value(op.output), gradient(op.output), op.number,
                                 n_values(op.output));
      break;
    case OpKind::kRope:
      rope(op, gradient(op.output), s_.ropes[static_cast<size_t>(op.rope)].turned_back);
      break;
  }
  // A change in place turned the gradient in place too; hand it on where it is not shared.
  if (op.passes_on[0]) return;
  float* to = gradient(op.inputs[0]);
  const size_t n = n_values(op.output);
  if (op.assigns[0]) {
    std::memcpy(to, gradient(op.output), n * sizeof(float));
  } else {
    small.add(to, gradient(op.output), n);
  }
}

void Chunk::embed(const Op& op) noexcept {
  const Weight& w = weight(op.weight);
  float* out = value(op.output);
  for (size_t i = 0; i < n_rows_; ++i) {
    const auto token = static_cast<size_t>(s_.batch.tokens[begin_ + i]);
    AC_CHECK(token < w.n_out);
    std::memcpy(out + i * w.n_in, w.values + token * w.n_in, w.n_in * sizeof(float));
  }
}

void Chunk::rms_norm(const Op& op) noexcept {
  const auto group = static_cast<size_t>(op.group);
  s_.isa.small->rms_norm(value(op.inputs[0]), op.weight >= 0 ? weight(op.weight).values : nullptr,
                         value(op.output), group, n_values(op.output) / group, op.number);
}

float* Chunk::partial(const Op& op, int32_t vector) const {
  const size_t width = (weight(vector).n_in + 15) / 16 * 16;
  float* sums = reinterpret_cast<float*>(s_.memory.data() + op.partial_offset) +
                begin_ / chunk_rows_ * width;
  std::memset(sums, 0, width * sizeof(float));
  return sums;
}

void Chunk::rms_norm_back(const Op& op) noexcept {
  const auto group = static_cast<size_t>(op.group);
  s_.isa.train->rms_norm_grad(
      {.x = value(op.inputs[0]),
       .weight = op.weight >= 0 ? weight(op.weight).values : nullptr,
       .dy = gradient(op.output),
       .dx = gradient(op.inputs[0]),
       .d_weight = is_trained(op.weight) ? partial(op, op.weight) : nullptr,
       .group = group,
       .n_groups = n_values(op.output) / group,
       .epsilon = op.number,
       .adds = !op.assigns[0]});
}

void Chunk::matmul(const Op& op) noexcept {
  const Weight& w = weight(op.weight);
  if (packed_ != op.inputs[0]) {
    packed_x_ = s_.gemm.a_from({.data = value(op.inputs[0]),
                                .n_rows = n_rows_,
                                .n_columns = w.n_in,
                                .stride = w.n_in},
                               pack_x_);
    packed_ = op.inputs[0];
  }
  float* out = value(op.output);
  s_.gemm.multiply(packed_x_, w.forward, out, w.n_out, Gemm::Store::kAssign);
  if (op.bias < 0) return;
  for (size_t i = 0; i < n_rows_; ++i) {
    s_.isa.small->add(out + i * w.n_out, weight(op.bias).values, w.n_out);
  }
}

void Chunk::matmul_back(const Op& op) noexcept {
  const Weight& w = weight(op.weight);
  const float* dy = gradient(op.output);
  if (is_trained(op.weight)) {
    const auto collected = [&](size_t offset, size_t n, bool is_a) {
      return s_.gemm.collected(n, piece_.n_rows, true, is_a, s_.memory.data() + offset);
    };
    const auto columns = [&](const float* rows, size_t n) {
      return GemmSource{
          .data = rows, .n_rows = n, .n_columns = n_rows_, .stride = n, .is_transposed = true};
    };
    s_.gemm.collect_a(collected(op.dy_operand_offset, w.n_out, true), columns(dy, w.n_out), begin_);
    if (op.collects_x) {
      s_.gemm.collect_b(collected(op.x_operand_offset, w.n_in, false),
                        columns(value(op.inputs[0]), w.n_in), begin_);
    }
  }
  if (is_trained(op.bias)) {
    float* sums = partial(op, op.bias);
    for (size_t i = 0; i < n_rows_; ++i) s_.isa.small->add(sums, dy + i * w.n_out, w.n_out);
  }
  const auto a = s_.gemm.a_from(
      {.data = dy, .n_rows = n_rows_, .n_columns = w.n_out, .stride = w.n_out}, pack_dy_);
  s_.gemm.multiply(a, w.back, gradient(op.inputs[0]), w.n_in,
                   op.assigns[0] ? Gemm::Store::kAssign : Gemm::Store::kAdd);
}

void Chunk::rope(const Op& op, float* x, const std::vector<float>& table) noexcept {
  const Rope& rope = s_.ropes[static_cast<size_t>(op.rope)];
  const size_t half = rope.inverse_frequencies.size();
  const auto d_head = static_cast<size_t>(op.group);
  const size_t n_cols = variable(op.output).n_cols;
  const auto kernel = rope.pairing == RopePairing::kHalves ? s_.isa.small->rope_halves
                                                            : s_.isa.small->rope_interleaved;
  for (size_t i = 0; i < n_rows_; ++i) {
    const auto position = static_cast<size_t>(s_.batch.positions[begin_ + i]);
    kernel(x + i * n_cols, table.data() + position * 2 * half, 2 * half, d_head, n_cols / d_head);
  }
}

void Chunk::gated(const Op& op) noexcept {
  const auto kernel = op.activation == Activation::kSilu ? s_.isa.small->gated_silu
                                                          : s_.isa.small->gated_gelu_tanh;
  kernel(value(op.inputs[0]), value(op.inputs[1]), value(op.output), n_values(op.output));
}

void Chunk::gated_back(const Op& op) noexcept {
  // Both are new: gate and up have no other reader in a transformer.
  AC_CHECK(op.assigns[0] && op.assigns[1]);
  const auto kernel = op.activation == Activation::kSilu ? s_.isa.train->gated_silu_grad
                                                          : s_.isa.train->gated_gelu_tanh_grad;
  kernel(value(op.inputs[0]), value(op.inputs[1]), gradient(op.output), gradient(op.inputs[0]),
         gradient(op.inputs[1]), n_values(op.output));
}

void Chunk::loss(const Op& op) noexcept {
  const cpu::TrainKernels& kernels = *s_.isa.train;
  const LossOptions& options = s_.loss;
  const size_t n = variable(op.inputs[0]).n_cols;
  float* logits = value(op.inputs[0]);
  float* out = logits;
  if (s_.program.goes_back) {
    out = gradient(op.inputs[0]);
    if (out != logits) std::memcpy(out, logits, n_rows_ * n * sizeof(float));
  }
  double cross_entropy = 0, divergence = 0;
  float* teacher = local_ + s_.program.local_floats * chunk_rows_;
  for (size_t i = 0; i < n_rows_; ++i) {
    const size_t row = begin_ + i;
    float* z = out + i * n;
    const float weight = options.weights.empty() ? 0.0f : options.weights[row];
    const float teacher_weight = options.teacher == nullptr ? 0.0f : options.teacher_weights[row];
    const size_t target = weight != 0.0f ? static_cast<size_t>(options.targets[row]) : 0;
    AC_CHECK(target < n);
    if (options.teacher != nullptr && i % kTeacherRows == 0) {
      options.teacher(static_cast<int32_t>(row),
                      static_cast<int32_t>(begin_ + std::min(n_rows_, i + kTeacherRows)), teacher);
    }
    float* q = teacher + i % kTeacherRows * n;
    const auto add = [](double& sum, float factor, float loss) {
      sum += static_cast<double>(factor) * static_cast<double>(loss);
    };
    if (!s_.program.goes_back || (weight != 0.0f && teacher_weight != 0.0f)) {
      add(cross_entropy, weight, weight != 0.0f ? kernels.cross_entropy(z, n, target) : 0.0f);
    }
    if (!s_.program.goes_back) {
      // divergence_row writes over z, which nobody reads any more.
      if (teacher_weight != 0.0f) {
        add(divergence, teacher_weight, kernels.divergence_row(z, q, n, 0.0f));
      }
    } else if (weight == 0.0f && teacher_weight == 0.0f) {
      std::memset(z, 0, n * sizeof(float));
    } else if (teacher_weight == 0.0f) {
      add(cross_entropy, weight, kernels.cross_entropy_row(z, n, target, weight));
    } else {
      // (w + t) (p - q) + w (q - target) = w (p - target) + t (p - q)
      add(divergence, teacher_weight, kernels.divergence_row(z, q, n, weight + teacher_weight));
      if (weight != 0.0f) {
        s_.isa.small->scale(q, weight, n);
        s_.isa.small->add(z, q, n);
        z[target] -= weight;
      }
    }
  }
  auto* sums = reinterpret_cast<double*>(s_.memory.data() + op.sums_offset);
  sums[2 * (begin_ / chunk_rows_)] = cross_entropy;
  sums[2 * (begin_ / chunk_rows_) + 1] = divergence;
}

}  // namespace ac::tape
