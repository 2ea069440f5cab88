#include "shaders/backend_class.h"

namespace ac::vulkan {
namespace {

constexpr uint32_t kLanes = 64;  // of what passes over memory once

}  // namespace

Value VulkanBackend::embed(WeightId table) {
  const Matrix& base = weights_->matrix(table);
  for (const int32_t token : batch_.tokens) {
    AC_CHECK(token >= 0 && static_cast<uint32_t>(token) < base.n_out);
  }
  const Value y = make(batch_.size(), base.n_in);
  if (batch_.size() == 0) return y;
  const auto add_rows = [&](const Matrix& matrix, bool adds) {
    const uint32_t format = *shader_format(matrix.format);
    constexpr std::string_view kShaders[] = {"embed_f32", "embed_f16", "embed_bf16", "embed_q8_0",
                                             "embed_q4_0"};
    for (const Window& window : matrix.windows) {
      Dispatch dispatch;
      dispatch.bindings = {span_of(slot(y)), span_of(window.units),
                           span_of(window.scales.empty() ? window.units : window.scales), kState};
      dispatch.push = {matrix.n_in, tokens_at_, window.first_row, window.n_rows, matrix.units_per_row,
                       adds ? 1u : 0u};
      dispatch.groups = {static_cast<uint32_t>(batch_.size()), 1, 1};
      record(kShaders[format], {kLanes}, dispatch);
    }
  };
  add_rows(base, false);
  if (base.reads_residual) add_rows(weights_->residual_of(base), true);
  return y;
}

Value VulkanBackend::rms_norm(Value x, WeightId weight, float epsilon, int32_t group) {
  const Span in = read_span(x);
  const uint64_t n_rows = slot(x).n_rows, n_cols = slot(x).n_cols;
  const uint64_t width = group > 0 ? static_cast<uint64_t>(group) : n_cols;
  AC_CHECK(n_cols % width == 0);
  const Value y = make(n_rows, n_cols);
  const uint64_t n_groups = n_rows * n_cols / width;
  if (n_groups == 0) return y;
  const bool is_weighted = weight != WeightId::kNone;
  Dispatch dispatch;
  dispatch.bindings = {span_of(slot(y)), in,
                       is_weighted ? span_of(weights_->vector(weight, width)) : in};
  dispatch.push = {static_cast<uint32_t>(width), is_weighted ? 1u : 0u, bits_of(epsilon),
                   static_cast<uint32_t>(n_groups)};
  dispatch.groups = groups_for(n_groups);
  record(with_sums("rms_norm", "rms_norm_shared"), {lanes_}, dispatch);
  return y;
}

void VulkanBackend::elementwise(Op op, Span out, Span a, Span b, uint64_t n, float number,
                                uint32_t n_cols, uint32_t rows_at, bool reads_state) {
  if (n == 0) return;
  Dispatch dispatch;
  dispatch.bindings = {out, a, b, reads_state ? kState : Span{}};
  dispatch.push = {static_cast<uint32_t>(n), bits_of(number), n_cols, rows_at};
  dispatch.groups = groups_for(groups_of(n, kLanes));
  record("elementwise", {kLanes, static_cast<uint32_t>(op)}, dispatch);
}

Value VulkanBackend::gated(Value gate, Value up, Activation activation) {
  const Span a = read_span(gate), b = read_span(up);
  const Value y = make(slot(gate).n_rows, slot(gate).n_cols);
  elementwise(activation == Activation::kSilu ? Op::kGatedSilu : Op::kGatedGelu, span_of(slot(y)), a, b,
              slot(y).n_rows * slot(y).n_cols, 0);
  return y;
}

void VulkanBackend::scale(Value x, float factor) {
  elementwise(Op::kScale, change_span(x), {}, {}, slot(x).n_rows * slot(x).n_cols, factor);
}

void VulkanBackend::softcap(Value x, float cap) {
  elementwise(Op::kSoftcap, change_span(x), {}, {}, slot(x).n_rows * slot(x).n_cols, cap);
}

Value VulkanBackend::select_rows(Value x, std::span<const int32_t> rows) {
  const Span in = read_span(x);
  const Value y = make(rows.size(), slot(x).n_cols);
  const uint32_t at = state_words(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    AC_CHECK(rows[i] >= 0 && static_cast<uint64_t>(rows[i]) < slot(x).n_rows);
    words_[at + i] = static_cast<uint32_t>(rows[i]);
  }
  elementwise(Op::kSelectRows, span_of(slot(y)), in, {}, rows.size() * slot(x).n_cols, 0,
              static_cast<uint32_t>(slot(x).n_cols), at, true);
  return y;
}

}  // namespace ac::vulkan
