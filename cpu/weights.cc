#include "cpu/weights.h"

#include <algorithm>
#include <cstring>

#include "cpu/formats/codecs.h"
#include "cpu/formats/packed.h"

namespace ac::cpu {
namespace {

constexpr size_t kPackedBytesPerChunk = 256u << 10;

// Packed, but not where the kernels can read it.
bool is_misplaced(const TensorView& view) {
  return weight_format_info(view.format).group_rows > 1 &&
         reinterpret_cast<uintptr_t>(view.data) % 64 != 0;
}

Status check_view(const TensorView& view) {
  AC_TRY(const uint64_t expected, tensor_bytes(view.format, view.axes()));
  if (view.data == nullptr || view.size_bytes != expected) {
    return fail(ErrorCode::kCorruptFile, "a tensor of {} bytes, expected {}", view.size_bytes,
                expected);
  }
  return {};
}

}  // namespace

Status WeightStore::pack(const TensorView& view, const MatmulKernels& kernels, ThreadTeam& team,
                         Weight* weight) {
  Matrix& matrix = weight->matrix;
  const WeightFormat format = packed_format(view.format);
  const int64_t shape[2] = {view.n_rows(), view.n_cols()};
  AC_TRY(const uint64_t size_bytes, tensor_bytes(format, shape));
  AC_TRY(weight->copy, Buffer::allocate(size_bytes));
  const auto n_groups = static_cast<size_t>(packed_groups(view.n_rows()));
  const size_t per_chunk = std::max<size_t>(1, kPackedBytesPerChunk / (size_bytes / n_groups));
  const auto n_chunks = static_cast<int32_t>((n_groups + per_chunk - 1) / per_chunk);
  team.for_each_chunk(n_chunks, [&](int32_t chunk, int32_t) {
    const size_t begin = static_cast<size_t>(chunk) * per_chunk;
    pack_groups(kernels, view.format,
                {.from = view.data,
                 .to = weight->copy.data(),
                 .n_out = matrix.n_out,
                 .n_in = matrix.n_in,
                 .group_begin = begin,
                 .group_end = std::min(n_groups, begin + per_chunk)});
  });
  matrix.format = format;
  matrix.data = weight->copy.data();
  return {};
}

WeightId WeightStore::keep(Weight weight) {
  weights_.push_back(std::move(weight));
  return static_cast<WeightId>(weights_.size() - 1);
}

Result<WeightStore::Weight> WeightStore::arrange(const TensorView& view,
                                                 const MatmulKernels& kernels, ThreadTeam& team,
                                                 const DropPages& drop_pages) {
  AC_TRY_STATUS(check_view(view));
  Weight weight;
  Matrix& matrix = weight.matrix;
  matrix.format = view.format;
  matrix.n_out = static_cast<size_t>(view.n_rows());
  matrix.n_in = static_cast<size_t>(view.n_cols());
  matrix.data = view.data;
  if (packed_format(view.format) != view.format) {
    AC_TRY_STATUS(pack(view, kernels, team, &weight));
  } else if (weight_format_info(view.format).group_rows == 1) {
    matrix.row_bytes = row_bytes(view.format, matrix.n_in);
  } else if (is_misplaced(view)) {
    AC_TRY(weight.copy, Buffer::allocate(view.size_bytes));
    std::memcpy(weight.copy.data(), view.data, view.size_bytes);
    matrix.data = weight.copy.data();
  }
  if (matrix.data != view.data && drop_pages) drop_pages({view.data, view.size_bytes});
  return weight;
}

Result<WeightId> WeightStore::load_matrix(const TensorView& view, const MatmulKernels& kernels,
                                          ThreadTeam& team, const DropPages& drop_pages) {
  AC_TRY(Weight weight, arrange(view, kernels, team, drop_pages));
  return keep(std::move(weight));
}

Status WeightStore::load_residual(WeightId base, const TensorView& view,
                                  const MatmulKernels& kernels, ThreadTeam& team,
                                  const DropPages& drop_pages) {
  Weight& weight = weights_[static_cast<size_t>(base)];
  const Matrix& matrix = weight.matrix;
  AC_CHECK(matrix.data != nullptr);
  if (!can_nest(matrix.format)) {
    return fail(ErrorCode::kUnsupported, "a residual of a matrix in {}, expected one in q4_0",
                weight_format_info(matrix.format).name);
  }
  if (weight.residual != nullptr) {
    return fail(ErrorCode::kCorruptFile, "a second residual, expected one");
  }
  AC_TRY(Weight residual, arrange(view, kernels, team, drop_pages));
  if (residual.matrix.format != matrix.format || residual.matrix.n_out != matrix.n_out ||
      residual.matrix.n_in != matrix.n_in) {
    return fail(ErrorCode::kCorruptFile, "a residual [{}, {}] in {}, expected [{}, {}] in {}",
                residual.matrix.n_out, residual.matrix.n_in,
                weight_format_info(residual.matrix.format).name, matrix.n_out, matrix.n_in,
                weight_format_info(matrix.format).name);
  }
  weight.residual = residual.matrix.data;
  weight.residual_copy = std::move(residual.copy);
  return {};
}

void WeightStore::read_residual(WeightId base, bool reads) {
  Weight& weight = weights_[static_cast<size_t>(base)];
  AC_CHECK(weight.residual != nullptr);
  weight.matrix.residual = reads ? weight.residual : nullptr;
}

uint64_t WeightStore::copy_bytes(const TensorView& view) {
  const WeightFormat format = packed_format(view.format);
  if (format == view.format && !is_misplaced(view)) return 0;
  const auto bytes = tensor_bytes(format, view.axes());
  return bytes ? *bytes : view.size_bytes;
}

Result<WeightId> WeightStore::load_vector(const TensorView& view) {
  AC_TRY_STATUS(check_view(view));
  if (codec(view.format).decode_row == nullptr) {
    return fail(ErrorCode::kUnsupported, "a vector in {}, expected f32, f16 or bf16",
                weight_format_info(view.format).name);
  }
  Weight weight;
  weight.vector.resize(static_cast<size_t>(view.n_rows() * view.n_cols()));
  codec(view.format).decode_row(view.data, weight.vector.data(), weight.vector.size());
  return keep(std::move(weight));
}

}  // namespace ac::cpu
