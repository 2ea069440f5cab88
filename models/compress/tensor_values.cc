#include "models/compress/tensor_values.h"

#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "cpu/formats/codecs.h"

namespace ac {
namespace {

constexpr int64_t kRowsPerChunk = 16;

// Calls row(r, values) for every row, decoded, on the team.
template <class Row>
Status for_each_row(const Checkpoint& checkpoint, const std::string& name, const TensorView& view,
                    cpu::ThreadTeam& team, const Row& row) {
  const cpu::Codec& codec = cpu::codec(view.format);
  if (codec.decode_row == nullptr) {
    return fail(ErrorCode::kUnsupported, "{}: tensor {} is {}, which has no rows of its own",
                checkpoint.origin, name, weight_format_info(view.format).name);
  }
  const auto n = static_cast<size_t>(view.n_cols());
  const size_t row_bytes = cpu::row_bytes(view.format, n);
  std::vector<std::vector<float>> memory(static_cast<size_t>(team.n_threads()),
                                         std::vector<float>(n));
  std::atomic<bool> finite{true};
  const int64_t n_rows = view.n_rows();
  team.for_each_chunk(static_cast<int32_t>((n_rows + kRowsPerChunk - 1) / kRowsPerChunk),
                      [&](int32_t chunk, int32_t worker) {
                        float* values = memory[static_cast<size_t>(worker)].data();
                        for (int64_t r = chunk * kRowsPerChunk;
                             r < std::min(n_rows, (chunk + 1) * kRowsPerChunk); ++r) {
                          codec.decode_row(view.data + static_cast<size_t>(r) * row_bytes, values,
                                           n);
                          for (size_t i = 0; i < n; ++i) {
                            if (!std::isfinite(values[i])) finite = false;
                          }
                          row(r, values);
                        }
                      });
  if (finite) return {};
  return fail(ErrorCode::kCorruptFile, "{}: tensor {} holds a weight that is not finite",
              checkpoint.origin, name);
}

}  // namespace

Result<Weights> read_weights(const Checkpoint& checkpoint, const std::string& name,
                             cpu::ThreadTeam& team) {
  AC_TRY(const TensorView view, checkpoint.tensor(name));
  Weights weights;
  weights.n_rows = view.n_rows();
  weights.n_cols = view.n_cols();
  AC_TRY(weights.buffer, Buffer::allocate(static_cast<uint64_t>(view.n_rows()) *
                                          static_cast<uint64_t>(view.n_cols()) * sizeof(float)));
  const std::span<float> to = weights.values();
  const auto n = static_cast<size_t>(view.n_cols());
  AC_TRY_STATUS(for_each_row(checkpoint, name, view, team, [&](int64_t r, const float* values) {
    std::copy(values, values + n, to.data() + static_cast<size_t>(r) * n);
  }));
  return weights;
}

Result<Matrix> read_matrix(const Checkpoint& checkpoint, const std::string& name,
                           cpu::ThreadTeam& team) {
  AC_TRY(const TensorView view, checkpoint.tensor(name));
  AC_TRY(Matrix matrix, Matrix::create(view.n_rows(), view.n_cols()));
  const auto n = static_cast<size_t>(view.n_cols());
  AC_TRY_STATUS(for_each_row(checkpoint, name, view, team, [&](int64_t r, const float* values) {
    std::copy(values, values + n, matrix.row(r).data());
  }));
  return matrix;
}

Status add_matrix(Checkpoint& to, const std::string& name, const Matrix& matrix) {
  const int64_t shape[] = {matrix.n_rows(), matrix.n_cols()};
  AC_TRY(const std::span<std::byte> bytes, to.add_tensor(name, WeightFormat::kF32, shape));
  auto* values = reinterpret_cast<float*>(bytes.data());
  for (int64_t i = 0; i < matrix.n_rows() * matrix.n_cols(); ++i) {
    values[i] = static_cast<float>(matrix.data()[i]);
  }
  return {};
}

Status add_weights(Checkpoint& to, const std::string& name, std::span<const float> values,
                   std::span<const int64_t> shape) {
  AC_TRY(const std::span<std::byte> bytes, to.add_tensor(name, WeightFormat::kF32, shape));
  AC_CHECK(bytes.size() == values.size_bytes());
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {};
}

Status add_rows(Checkpoint& to, const Checkpoint& from, const std::string& name,
                std::span<const int32_t> kept) {
  AC_TRY(const TensorView view, from.tensor(name));
  AC_CHECK(weight_format_info(view.format).group_rows == 1);
  const bool vector = view.n_axes == 1;
  const auto n = static_cast<size_t>(vector ? 1 : view.n_cols());
  const size_t row_bytes = cpu::row_bytes(view.format, n);
  const int64_t shape[] = {static_cast<int64_t>(kept.size()), view.n_cols()};
  AC_TRY(const std::span<std::byte> bytes,
         to.add_tensor(name, view.format, std::span(shape).first(vector ? 1 : 2)));
  for (size_t i = 0; i < kept.size(); ++i) {
    std::memcpy(bytes.data() + i * row_bytes, view.data + static_cast<size_t>(kept[i]) * row_bytes,
                row_bytes);
  }
  return {};
}

Status check_weights(const Checkpoint& checkpoint, cpu::ThreadTeam& team) {
  for (const auto& [name, view] : checkpoint.tensors) {
    AC_TRY_STATUS(for_each_row(checkpoint, name, view, team, [](int64_t, const float*) {}));
    if (checkpoint.drop_pages) checkpoint.drop_pages({view.data, view.size_bytes});
  }
  return {};
}

uint64_t fingerprint(const Checkpoint& checkpoint) {
  XXH3_state_t* state = XXH3_createState();
  AC_CHECK(state != nullptr);
  XXH3_64bits_reset(state);
  const auto update = [&](const void* data, size_t n) { XXH3_64bits_update(state, data, n); };
  for (const auto& [key, value] : checkpoint.metadata) {
    update(key.data(), key.size());
    if (const auto* text = std::get_if<std::string>(&value.value)) {
      update(text->data(), text->size());
    } else if (const auto* array = std::get_if<MetaArray>(&value.value)) {
      update(array->numbers.data(), array->numbers.size());
      for (const std::string_view one : array->strings) update(one.data(), one.size());
    } else if (const auto* number = std::get_if<double>(&value.value)) {
      update(number, sizeof *number);
    } else if (const auto* unsigned_value = std::get_if<uint64_t>(&value.value)) {
      update(unsigned_value, sizeof *unsigned_value);
    } else if (const auto* signed_value = std::get_if<int64_t>(&value.value)) {
      update(signed_value, sizeof *signed_value);
    }
  }
  for (const auto& [name, view] : checkpoint.tensors) {
    update(name.data(), name.size());
    update(&view.format, sizeof view.format);
    update(view.shape, sizeof view.shape);
    update(view.data, view.size_bytes);
    if (checkpoint.drop_pages) checkpoint.drop_pages({view.data, view.size_bytes});
  }
  const uint64_t hash = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  return hash;
}

}  // namespace ac
