#include "shaders/weights.h"

#include <algorithm>
#include <cstring>

#include "cpu/formats/codecs.h"
#include "cpu/formats/packed.h"
#include "cpu/isa.h"

namespace ac::vulkan {
namespace {

constexpr uint64_t kUnitBytes = 16;
constexpr uint64_t kBlockWeights = 32;

// What the shaders read; anything else becomes f16.
WeightFormat format_there(WeightFormat format) {
  const WeightFormat plain = cpu::unpacked_format(format);
  return shader_format(plain) ? plain : WeightFormat::kF16;
}

// The rows of a matrix that is arranged for CPU kernels. `memory` holds them.
Result<TensorView> plain_view(const TensorView& view, Buffer* memory) {
  TensorView plain = view;
  plain.format = cpu::unpacked_format(view.format);
  if (plain.format == view.format) return plain;
  AC_TRY(const cpu::Isa* isa, cpu::choose_isa());
  AC_TRY(plain.size_bytes, tensor_bytes(plain.format, plain.axes()));
  AC_TRY(*memory, Buffer::allocate(plain.size_bytes));
  const auto n_out = static_cast<size_t>(view.n_rows());
  cpu::unpack_groups(*isa->matmul, plain.format,
                     {.from = view.data,
                      .to = memory->data(),
                      .n_out = n_out,
                      .n_in = static_cast<size_t>(view.n_cols()),
                      .group_begin = 0,
                      .group_end = static_cast<size_t>(cpu::packed_groups(view.n_rows()))});
  plain.data = memory->data();
  return plain;
}

uint64_t unit_weights(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 4;
    case WeightFormat::kQ8_0:
      return 16;
    case WeightFormat::kQ4_0:
      return 32;
    default:
      return 8;
  }
}

bool has_scales(WeightFormat format) {
  return format == WeightFormat::kQ8_0 || format == WeightFormat::kQ4_0;
}

uint64_t rounded_up(uint64_t n, uint64_t step) { return (n + step - 1) / step * step; }

// Rows of a matrix in the arrangement of the shaders: units, and scales where the format has them.
class Repacker {
 public:
  Repacker(const TensorView& view, WeightFormat format)
      : view_(view),
        format_(format),
        n_in_(static_cast<uint64_t>(view.n_cols())),
        row_bytes_(cpu::row_bytes(view.format, n_in_)),
        units_per_row_((n_in_ + unit_weights(format) - 1) / unit_weights(format)) {}

  uint64_t units_per_row() const { return units_per_row_; }
  void run(uint64_t first, uint64_t n_rows, std::vector<std::byte>* units,
           std::vector<std::byte>* scales) const {
    const uint64_t padded = rounded_up(n_rows, kRowStep);
    units->assign(padded * units_per_row_ * kUnitBytes, std::byte{0});
    const uint64_t blocks_per_row = n_in_ / kBlockWeights;
    scales->assign(has_scales(format_) ? rounded_up(padded * blocks_per_row * 2, 4) : 0, std::byte{0});
    for (uint64_t r = 0; r < n_rows; ++r) {
      const std::byte* const from = view_.data + (first + r) * row_bytes_;
      std::byte* const to = units->data() + r * units_per_row_ * kUnitBytes;
      if (has_scales(format_)) {
        split_blocks(from, blocks_per_row, to, scales->data() + r * blocks_per_row * 2);
      } else if (format_ == view_.format) {
        std::memcpy(to, from, row_bytes_);
      } else {
        std::vector<float> row(n_in_);
        cpu::codec(view_.format).decode_row(from, row.data(), n_in_);
        cpu::codec(WeightFormat::kF16).encode_row(row.data(), to, n_in_);
      }
    }
  }

 private:
  // A block is a scale of two bytes and its quants.
  void split_blocks(const std::byte* from, uint64_t n, std::byte* quants, std::byte* scales) const {
    const uint64_t quant_bytes = row_bytes_ / n - 2;
    for (uint64_t b = 0; b < n; ++b) {
      std::memcpy(scales + 2 * b, from, 2);
      std::memcpy(quants + b * quant_bytes, from + 2, quant_bytes);
      from += 2 + quant_bytes;
    }
  }

  const TensorView& view_;
  WeightFormat format_;
  uint64_t n_in_;
  uint64_t row_bytes_;
  uint64_t units_per_row_;
};

}  // namespace

std::optional<uint32_t> shader_format(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 0;
    case WeightFormat::kF16:
      return 1;
    case WeightFormat::kBF16:
      return 2;
    case WeightFormat::kQ8_0:
      return 3;
    case WeightFormat::kQ4_0:
      return 4;
    default:
      return std::nullopt;
  }
}

uint64_t WeightStore::bytes_of(const TensorView& view) {
  const WeightFormat format = format_there(view.format);
  const uint64_t n_in = static_cast<uint64_t>(view.n_cols());
  const uint64_t rows = rounded_up(static_cast<uint64_t>(view.n_rows()), kRowStep);
  const uint64_t units = rounded_up(n_in, unit_weights(format)) / unit_weights(format);
  return rows * (units * kUnitBytes + (has_scales(format) ? n_in / kBlockWeights * 2 : 0));
}

Result<WeightId> WeightStore::load_matrix(const TensorView& given) {
  const WeightFormat format = format_there(given.format);
  Buffer plain;
  AC_TRY(const TensorView view, plain_view(given, &plain));
  const Repacker repacker(view, format);
  Matrix matrix{.format = format,
                .n_out = static_cast<uint32_t>(view.n_rows()),
                .n_in = static_cast<uint32_t>(view.n_cols()),
                .units_per_row = static_cast<uint32_t>(repacker.units_per_row()),
                .is_whole = static_cast<uint64_t>(view.n_cols()) % unit_weights(format) == 0,
                .windows = {},
                .residual = {}};
  const uint64_t row_bytes = repacker.units_per_row() * kUnitBytes;
  const uint64_t most = facts_.storage_range - facts_.offset_alignment;
  const uint64_t per_window = most / row_bytes / kRowStep * kRowStep;
  if (per_window == 0) {
    return fail(ErrorCode::kUnsupported, "rows of {} bytes; {} reads {} at a time", row_bytes,
                facts_.name, facts_.storage_range);
  }
  std::vector<std::byte> units, scales;
  for (uint64_t first = 0; first < matrix.n_out; first += per_window) {
    const uint64_t n_rows = std::min<uint64_t>(per_window, matrix.n_out - first);
    repacker.run(first, n_rows, &units, &scales);
    Window window{.first_row = static_cast<uint32_t>(first),
                  .n_rows = static_cast<uint32_t>(n_rows),
                  .units = {},
                  .scales = {}};
    AC_TRY(window.units, memory_.store(units));
    if (!scales.empty()) {
      AC_TRY(window.scales, memory_.store(scales));
    }
    matrix.windows.push_back(window);
  }
  matrices_.push_back(std::move(matrix));
  entries_.push_back({.is_matrix = true, .index = matrices_.size() - 1});
  return static_cast<WeightId>(entries_.size() - 1);
}

Status WeightStore::load_residual(WeightId base, const TensorView& view) {
  AC_TRY(const WeightId plane, load_matrix(view));
  const size_t index = entry(plane).index;
  Matrix& matrix = matrices_[entry(base).index];
  const Matrix& residual = matrices_[index];
  if (residual.n_out != matrix.n_out || residual.n_in != matrix.n_in || residual.format != matrix.format) {
    return fail(ErrorCode::kCorruptFile, "a residual {} x {}, expected {} x {} in the same format",
                residual.n_out, residual.n_in, matrix.n_out, matrix.n_in);
  }
  matrix.residual = index;
  return {};
}

void WeightStore::read_residual(WeightId base, bool reads) {
  Matrix& matrix = matrices_[entry(base).index];
  AC_CHECK(matrix.residual.has_value());
  matrix.reads_residual = reads;
}

Result<WeightId> WeightStore::load_vector(const TensorView& view) {
  const auto n = static_cast<size_t>(view.n_cols() * std::max<int64_t>(1, view.n_rows()));
  if (cpu::codec(view.format).decode_row == nullptr) {
    return fail(ErrorCode::kUnsupported, "a vector of {}", weight_format_info(view.format).name);
  }
  std::vector<float> values(n);
  cpu::codec(view.format).decode_row(view.data, values.data(), n);
  Vector made{.region = {}, .size = n};
  AC_TRY(made.region, memory_.store(std::as_bytes(std::span(values))));
  vectors_.push_back(made);
  entries_.push_back({.is_matrix = false, .index = vectors_.size() - 1});
  return static_cast<WeightId>(entries_.size() - 1);
}

const WeightStore::Entry& WeightStore::entry(WeightId id) const {
  AC_CHECK(id != WeightId::kNone && static_cast<size_t>(id) < entries_.size());
  return entries_[static_cast<size_t>(id)];
}

const Matrix& WeightStore::matrix(WeightId id) const {
  AC_CHECK(entry(id).is_matrix);
  return matrices_[entry(id).index];
}

Region WeightStore::vector(WeightId id, size_t n) const {
  AC_CHECK(!entry(id).is_matrix && vectors_[entry(id).index].size == n);
  return vectors_[entry(id).index].region;
}

}  // namespace ac::vulkan
