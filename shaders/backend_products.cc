#include "shaders/backend_class.h"

namespace ac::vulkan {
namespace {

// Up to so many tokens the weights are the work, and each is read once for all of them.
constexpr uint64_t kFewTokens = 8;
constexpr uint64_t kTile = 32;  // of matmul.comp
constexpr uint32_t kAdds = 7;  // the word of Push in product_io.glsl

constexpr std::string_view kMatvec[] = {"matvec_f32", "matvec_f16", "matvec_bf16", "matvec_q8_0",
                                        "matvec_q4_0"};
constexpr std::string_view kMatvecShared[] = {"matvec_shared_f32", "matvec_shared_f16",
                                              "matvec_shared_bf16", "matvec_shared_q8_0",
                                              "matvec_shared_q4_0"};
constexpr std::string_view kMatmul[] = {"matmul_f32", "matmul_f16", "matmul_bf16", "matmul_q8_0",
                                        "matmul_q4_0"};

}  // namespace

void VulkanBackend::record_product(const Matrix& matrix, Span x, Span y, uint64_t n_tokens,
                                   const Region& bias, size_t bias_size, bool adds) {
  const uint32_t format = *shader_format(matrix.format);
  for (const Window& window : matrix.windows) {
    Dispatch dispatch;
    dispatch.bindings = {y, span_of(window.units),
                         span_of(window.scales.empty() ? window.units : window.scales), x,
                         bias_size > 0 ? span_of(bias) : x};
    dispatch.push = {matrix.n_in,
                     window.n_rows,
                     window.first_row,
                     matrix.n_out,
                     static_cast<uint32_t>(n_tokens),
                     matrix.units_per_row,
                     bias_size > 0 ? 1u : 0u,
                     adds ? 1u : 0u};
    if (n_tokens > kFewTokens) {
      dispatch.groups = {groups_of(window.n_rows, kTile), groups_of(n_tokens, kTile), 1};
      record(kMatmul[format], {}, dispatch);
      continue;
    }
    const auto n = static_cast<uint32_t>(n_tokens);
    const uint32_t n_rows = n <= 2 ? 4 : 2;  // of a workgroup; more is more to compile
    dispatch.groups = {groups_of(window.n_rows, n_rows), 1, 1};
    record(with_sums(kMatvec[format], kMatvecShared[format]),
           {lanes_, n_rows, n, matrix.is_whole ? 1u : 0u}, dispatch);
  }
}

Value VulkanBackend::matmul(Value x, WeightId w, WeightId bias_id) {
  const Matrix& matrix = weights_->matrix(w);
  AC_CHECK(matrix.n_in == slot(x).n_cols);
  const Span in = read_span(x);
  const uint64_t n_tokens = slot(x).n_rows;
  const Value y = make(n_tokens, matrix.n_out);
  if (n_tokens == 0) return y;
  const bool is_biased = bias_id != WeightId::kNone;
  const Region bias = is_biased ? weights_->vector(bias_id, matrix.n_out) : Region{};
  const size_t begin = program_.dispatches.size();
  record_product(matrix, in, span_of(slot(y)), n_tokens, bias, is_biased ? matrix.n_out : 0, false);
  if (matrix.reads_residual) {
    record_product(weights_->residual_of(matrix), in, span_of(slot(y)), n_tokens, {}, 0, true);
  }
  slot(y).product_begin = begin;
  slot(y).product_end = program_.dispatches.size();
  return y;
}

// A product that was made just now and that nobody has read is added where it is made.
void VulkanBackend::add(Value x, Value y) {
  AC_CHECK(slot(x).n_rows == slot(y).n_rows && slot(x).n_cols == slot(y).n_cols);
  const Span out = change_span(x);
  Slot& term = slot(y);
  // Outside of scopes y may be read after the step.
  const bool is_tail = !scopes_.empty() && term.product_end > term.product_begin &&
                       term.product_end == program_.dispatches.size() && x.id != y.id;
  if (is_tail) {
    const auto tail = std::span(program_.dispatches).subspan(term.product_begin);
    term.owed.assign(tail.begin(), tail.end());
    term.product_begin = term.product_end = 0;
    for (Dispatch& dispatch : tail) {
      dispatch.bindings[0] = out;
      dispatch.push[kAdds] = 1;
    }
    return;
  }
  const Span in = read_span(y);
  elementwise(Op::kAdd, out, in, {}, slot(x).n_rows * slot(x).n_cols, 0);
}

}  // namespace ac::vulkan
