#include "shaders/backend_class.h"

namespace ac::vulkan {
namespace {

// Up to so many tokens the weights are the work, and each is read once for all of them.
constexpr uint64_t kFewTokens = 8;
constexpr uint64_t kTile = 32;  // of matmul.comp
constexpr uint64_t kBlockWeights = 32, kBlockWords = 10;  // of quantise.comp
constexpr uint32_t kQuantiseLanes = 64;
constexpr uint32_t kAdds = 7;   // the word of Push in product_io.glsl
constexpr size_t kInput = 3;    // the binding of x there

constexpr std::string_view kMatvec[] = {"matvec_f32", "matvec_f16", "matvec_bf16", "matvec_q8_0",
                                        "matvec_q4_0"};
constexpr std::string_view kMatvecShared[] = {"matvec_shared_f32", "matvec_shared_f16",
                                              "matvec_shared_bf16", "matvec_shared_q8_0",
                                              "matvec_shared_q4_0"};
constexpr std::string_view kMatmul[] = {"matmul_f32", "matmul_f16", "matmul_bf16", "matmul_q8_0",
                                        "matmul_q4_0"};

// A matrix of whole numbers with few tokens.
bool suits_dots(const Matrix& matrix, uint64_t n_tokens) {
  return n_tokens <= kFewTokens &&
         (matrix.format == WeightFormat::kQ8_0 || matrix.format == WeightFormat::kQ4_0);
}

}  // namespace

// Made once for all products that read x.
Span VulkanBackend::in_bytes(Value x) {
  const Span in = read_span(x);
  if (slot(x).in_bytes.buffer != VK_NULL_HANDLE) return slot(x).in_bytes;
  const uint64_t n_blocks = slot(x).n_rows * slot(x).n_cols / kBlockWeights;
  const uint64_t bytes = n_blocks * kBlockWords * sizeof(uint32_t);
  const uint64_t begin = allocate(bytes);
  const Span out = {kActivations, begin, begin + bytes};
  Dispatch dispatch;
  dispatch.bindings = {out, in};
  dispatch.push = {static_cast<uint32_t>(n_blocks)};
  dispatch.groups = groups_for(groups_of(n_blocks, kQuantiseLanes));
  record("quantise", {kQuantiseLanes}, dispatch);
  slot(x).in_bytes = out;
  slot(x).bytes_depth = scopes_.size();
  return out;
}

void VulkanBackend::record_product(const Matrix& matrix, Span x, Span y, uint64_t n_tokens,
                                   const Region& bias, size_t bias_size, bool adds, bool in_bytes) {
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
    dispatch.n_macs = uint64_t{matrix.n_in} * window.n_rows * n_tokens;
    if (n_tokens > kFewTokens) {
      dispatch.groups = {groups_of(window.n_rows, kTile), groups_of(n_tokens, kTile), 1};
      record(kMatmul[format], {}, dispatch);
      continue;
    }
    const auto n = static_cast<uint32_t>(n_tokens);
    if (in_bytes) {
      const uint32_t n_rows = n <= 2 ? 4 : 2;
      const bool is_q8 = matrix.format == WeightFormat::kQ8_0;
      dispatch.groups = groups_for(groups_of(window.n_rows, n_rows));
      record(with_sums(is_q8 ? "matvec_dot_q8_0" : "matvec_dot_q4_0",
                       is_q8 ? "matvec_dot_shared_q8_0" : "matvec_dot_shared_q4_0"),
             {lanes_, n_rows, n}, dispatch);
      continue;
    }
    const uint32_t n_rows = n <= 2 ? 4 : 2;  // of a workgroup; more is more to compile
    dispatch.groups = groups_for(groups_of(window.n_rows, n_rows));
    record(with_sums(kMatvec[format], kMatvecShared[format]),
           {lanes_, n_rows, n, matrix.is_whole ? 1u : 0u}, dispatch);
  }
}

Value VulkanBackend::matmul(Value x, WeightId w, WeightId bias_id) {
  const Matrix& matrix = weights_->matrix(w);
  AC_CHECK(matrix.n_in == slot(x).n_cols);
  const uint64_t n_tokens = slot(x).n_rows;
  const bool has_dots = uses_dots_ && n_tokens > 0 && suits_dots(matrix, n_tokens);
  const Value y = make(n_tokens, matrix.n_out);
  const Span in = has_dots ? in_bytes(x) : read_span(x);
  if (n_tokens == 0) return y;
  const bool is_biased = bias_id != WeightId::kNone;
  const Region bias = is_biased ? weights_->vector(bias_id, matrix.n_out) : Region{};
  const size_t begin = program_.dispatches.size();
  record_product(matrix, in, span_of(slot(y)), n_tokens, bias, is_biased ? matrix.n_out : 0, false,
                 has_dots);
  if (matrix.reads_residual) {
    record_product(weights_->residual_of(matrix), in, span_of(slot(y)), n_tokens, {}, 0, true,
                   has_dots);
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
  const auto tail = std::span(program_.dispatches).subspan(is_tail ? term.product_begin : program_.dispatches.size());
  // Nor where workgroups would read what others have written already.
  const bool reads_x = std::ranges::any_of(
      tail, [&](const Dispatch& dispatch) { return dispatch.bindings[kInput].overlaps(out); });
  if (is_tail && !reads_x) {
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
