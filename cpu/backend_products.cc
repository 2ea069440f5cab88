// Verbs of the CPU backend around matrix products, and what is computed as a part of them instead
// of by itself. The activations of the next product are rewritten row by row anyway, so the norm or
// the gated activation that makes a row runs just before; and on AMX a product may begin as the x
// that it would be added to, and two may meet in their activation.
#include <algorithm>

#include "cpu/backend_cpu_class.h"

namespace ac::cpu {
namespace {

// Bytes of weights in one chunk of a product for one token: a microsecond or two of reading.
constexpr size_t kWeightBytesPerChunk = 32u << 10;

using Kind = Recipe::Kind;

}  // namespace

CpuBackend::Slot CpuBackend::ready(Value value) {
  AC_CHECK(slot(value).n_rows == static_cast<size_t>(value.n_rows));
  const Recipe what = recipe(value);
  if (what.kind == Kind::kNone) return slot(value);
  AC_CHECK(!what.is_stale);
  recipe(value).kind = Kind::kNone;
  Slot& made = values_[static_cast<size_t>(value.id)];
  // A value from outside of the scope has to outlive it.
  const bool is_outer = !scopes_.empty() && static_cast<size_t>(value.id) < scopes_.back().n_values;
  made.data = is_outer ? allocate_for_step<float>(made.size())
                       : reinterpret_cast<float*>(allocate(made.size() * sizeof(float)));
  const Slot out = made;
  switch (what.kind) {
    case Kind::kNone:
      break;
    case Kind::kNorm:
      record_norm(what, out);
      break;
    case Kind::kProduct:
      record_product(what, {.y = out.data, .y_stride = out.n_cols, .bias = what.bias}, out.range());
      break;
    case Kind::kGated:
      record_gated(what, out);
      break;
  }
  return out;
}

Value CpuBackend::rms_norm(Value x, WeightId weight_id, float epsilon, int32_t group) {
  const Slot in = ready(x);
  const size_t width = group > 0 ? static_cast<size_t>(group) : in.n_cols;
  AC_CHECK(in.n_cols % width == 0);
  const Recipe norm = {.kind = Kind::kNorm,
                       .a = x,
                       .weight = weights_.vector_or_null(weight_id, width),
                       .epsilon = epsilon};
  if (width == in.n_cols) return make_later(in.n_rows, in.n_cols, norm);
  const Value y = make(in.n_rows, in.n_cols);
  record_norm(norm, {slot(y).data, in.size() / width, width});
  return y;
}

// x and out are taken as rows of out.n_cols.
void CpuBackend::record_norm(const Recipe& norm, const Slot& out) {
  const Slot in = slot(norm.a);
  const size_t per_chunk = std::max<size_t>(1, kFloatsPerChunk / out.n_cols);
  const SmallKernels* kernels = isa_.small;
  record({in.range()}, {out.range()}, count_chunks(out.n_rows, per_chunk),
         [=, weight = norm.weight, epsilon = norm.epsilon](int32_t begin, int32_t end, int32_t) {
           const size_t first = static_cast<size_t>(begin) * per_chunk;
           const size_t last = std::min(out.n_rows, static_cast<size_t>(end) * per_chunk);
           kernels->rms_norm(in.data + first * out.n_cols, weight, out.data + first * out.n_cols,
                             out.n_cols, last - first, epsilon);
         });
}

Value CpuBackend::gated(Value gate, Value up, Activation activation) {
  const Slot a = slot(gate);
  const Slot b = slot(up);
  AC_CHECK(a.n_rows == b.n_rows && a.n_cols == b.n_cols);
  const bool are_products =
      recipe(gate).kind == Kind::kProduct && recipe(up).kind == Kind::kProduct;
  if (!are_products) {
    ready(gate);
    ready(up);
  }
  return make_later(a.n_rows, a.n_cols,
                    {.kind = Kind::kGated, .a = gate, .b = up, .activation = activation});
}

void CpuBackend::record_gated(const Recipe& gated, const Slot& out) {
  const Slot a = ready(gated.a);
  const Slot b = ready(gated.b);
  const auto kernel =
      gated.activation == Activation::kSilu ? isa_.small->gated_silu : isa_.small->gated_gelu_tanh;
  record_elementwise(out, {a.range(), b.range()}, [=](size_t first, size_t n) {
    kernel(a.data + first, b.data + first, out.data + first, n);
  });
}

// fill_row(row, to) writes one row of x; it is prepared from there.
template <class FillRow>
void CpuBackend::record_prepare(const Slot& in, std::initializer_list<MemoryRange> reads,
                                const MatmulPlan& plan, std::byte* memory,
                                const FillRow& fill_row) {
  need_scratch(in.n_cols * sizeof(float));
  const size_t n_rows = in.n_rows;
  const size_t n_cols = in.n_cols;
  const size_t per_chunk = std::max<size_t>(1, kFloatsPerChunk / n_cols);
  const Scratch* scratch = &scratch_;
  record(reads, {memory_range(memory, plan.activation_bytes)}, count_chunks(n_rows, per_chunk),
         [=](int32_t begin, int32_t end, int32_t worker) {
           auto* row = reinterpret_cast<float*>(scratch->of(worker));
           const size_t last = std::min(n_rows, static_cast<size_t>(end) * per_chunk);
           for (size_t i = static_cast<size_t>(begin) * per_chunk; i < last; ++i) {
             fill_row(i, row);
             prepare_row(plan, row, n_cols, i, memory);
           }
         });
}

// Both products and their activation at once, where the kernel can.
bool CpuBackend::prepare_gated(const Recipe& gated, const MatmulPlan& plan, std::byte* memory) {
  const Recipe& gate = recipe(gated.a);
  const Recipe& up = recipe(gated.b);
  const bool can = plan.activation_layout == ActivationLayout::kBf16Tiles &&
                   gate.kind == Kind::kProduct && up.kind == Kind::kProduct &&
                   gate.activations == up.activations && gate.bias == nullptr &&
                   up.bias == nullptr && gate.matrix->format == up.matrix->format &&
                   (gate.matrix->residual != nullptr) == (up.matrix->residual != nullptr);
  if (!can) return false;
  auto* tiles = allocate_for_step<GatedTiles>(1);
  if (tiles == nullptr) return true;
  *tiles = {.up = up.matrix->data,
            .up_residual = up.matrix->residual,
            .is_gelu = gated.activation == Activation::kGeluTanh,
            .out = memory};
  record_product(gate, {.gated = tiles}, memory_range(memory, plan.activation_bytes));
  return true;
}

const std::byte* CpuBackend::prepare(Value x, const MatmulPlan& plan) {
  if (plan.prepare == nullptr) return reinterpret_cast<const std::byte*>(ready(x).data);
  for (const Prepared& prepared : prepared_) {
    if (prepared.value == x.id && prepared.layout == plan.activation_layout) return prepared.data;
  }
  const Recipe what = recipe(x);
  AC_CHECK(what.kind == Kind::kNone || !what.is_stale);
  std::byte* memory = allocate(plan.activation_bytes);
  prepared_.push_back({x.id, plan.activation_layout, memory, plan.activation_bytes});
  const SmallKernels* kernels = isa_.small;
  if (what.kind == Kind::kNorm) {
    const Slot from = slot(what.a);
    record_prepare(slot(x), {from.range()}, plan, memory,
                   [=, weight = what.weight, epsilon = what.epsilon](size_t i, float* row) {
                     kernels->rms_norm(from.data + i * from.n_cols, weight, row, from.n_cols, 1,
                                       epsilon);
                   });
    return memory;
  }
  // One row of a wide activation is worth several threads.
  if (what.kind == Kind::kGated && slot(x).n_rows > 1) {
    if (prepare_gated(what, plan, memory)) return memory;
    const Slot a = ready(what.a);
    const Slot b = ready(what.b);
    const auto kernel =
        what.activation == Activation::kSilu ? kernels->gated_silu : kernels->gated_gelu_tanh;
    record_prepare(slot(x), {a.range(), b.range()}, plan, memory, [=](size_t i, float* row) {
      kernel(a.data + i * a.n_cols, b.data + i * a.n_cols, row, a.n_cols);
    });
    return memory;
  }
  const Slot in = ready(x);
  const size_t per_chunk =
      std::max<size_t>(1, (kFloatsPerChunk / in.n_cols + plan.token_step - 1) / plan.token_step) *
      plan.token_step;
  record({in.range()}, {memory_range(memory, plan.activation_bytes)},
         count_chunks(in.n_rows, per_chunk), [=](int32_t begin, int32_t end, int32_t) {
           prepare_activations(plan, in.data, in.n_cols, static_cast<size_t>(begin) * per_chunk,
                               std::min(in.n_rows, static_cast<size_t>(end) * per_chunk), memory);
         });
  return memory;
}

Value CpuBackend::matmul(Value x, WeightId w, WeightId bias_id) {
  const Matrix& matrix = weights_.matrix(w);
  const size_t n_rows = slot(x).n_rows;
  AC_CHECK(matrix.n_in == slot(x).n_cols);
  Recipe product = {.kind = Kind::kProduct,
                    .matrix = &matrix,
                    .bias = weights_.vector_or_null(bias_id, matrix.n_out)};
  if (n_rows == 0) return make(n_rows, matrix.n_out);
  product.plan = plan_matmul(*isa_.matmul, matrix, n_rows);
  product.activations = prepare(x, product.plan);
  const Value y = make_later(n_rows, matrix.n_out, product);
  // Other kernels neither add nor gate, and what reads x itself must not wait.
  if (product.plan.activation_layout != ActivationLayout::kBf16Tiles) ready(y);
  return y;
}

void CpuBackend::record_product(const Recipe& product, const MatmulResult& result,
                                MemoryRange written) {
  const MatmulPlan plan = product.plan;
  const Matrix& matrix = *product.matrix;
  const size_t n_tokens = plan.n_tokens;
  need_scratch(plan.scratch_bytes);
  // A chunk is about the same time whatever the number of tokens, and always whole row steps.
  const double planes = matrix.residual != nullptr ? 2 : 1;
  const double bits = planes * weight_format_info(matrix.format).bits_per_weight;
  const double bytes_per_row = static_cast<double>(matrix.n_in) * bits / 8.0;
  const double work_per_row = bytes_per_row * std::max(1.0, static_cast<double>(n_tokens) / 8.0);
  const size_t steps = std::max<size_t>(
      1, static_cast<size_t>(static_cast<double>(kWeightBytesPerChunk) / work_per_row) /
             plan.row_step);
  const size_t per_chunk = steps * plan.row_step;
  const Scratch* scratch = &scratch_;
  const size_t activation_bytes =
      plan.prepare == nullptr ? n_tokens * matrix.n_in * sizeof(float) : plan.activation_bytes;
  const MemoryRange read = memory_range(product.activations, activation_bytes);
  record(
      {read, result.adds_to_y ? written : read}, {written}, count_chunks(matrix.n_out, per_chunk),
      [=, &matrix, activations = product.activations](int32_t begin, int32_t end, int32_t worker) {
        run_matmul(plan, matrix, activations, static_cast<size_t>(begin) * per_chunk,
                   std::min(matrix.n_out, static_cast<size_t>(end) * per_chunk), result,
                   scratch->of(worker));
      });
}

void CpuBackend::add(Value x, Value y) {
  const Slot a = ready(x);
  AC_CHECK(a.n_rows == slot(y).n_rows && a.n_cols == slot(y).n_cols);
  const Recipe product = recipe(y);
  if (product.kind == Kind::kProduct && product.bias == nullptr) {
    changed(x);
    record_product(product, {.y = a.data, .y_stride = a.n_cols, .adds_to_y = true}, a.range());
    return;
  }
  const Slot b = ready(y);
  changed(x);
  const auto kernel = isa_.small->add;
  record_elementwise(a, {a.range(), b.range()},
                     [=](size_t first, size_t n) { kernel(a.data + first, b.data + first, n); });
}

}  // namespace ac::cpu
