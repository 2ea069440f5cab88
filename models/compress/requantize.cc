#include "models/compress/requantize.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "cpu/formats/codecs.h"
#include "cpu/formats/packed.h"
#include "cpu/isa.h"

namespace ac {
namespace {

constexpr int64_t kRowsPerChunk = cpu::kPackedRows;
constexpr float kLargestF16 = 65504.0f;

double bits_of(WeightFormat format) { return weight_format_info(format).bits_per_weight; }

// GGUF's general.file_type: what most tensors are. Files of other tools are read without it, so a
// format it has no number for goes without.
std::optional<uint32_t> file_type(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 0;
    case WeightFormat::kF16:
      return 1;
    case WeightFormat::kQ4_0:
      return 2;
    case WeightFormat::kQ4_1:
      return 3;
    case WeightFormat::kQ8_0:
      return 7;
    case WeightFormat::kQ5_0:
      return 8;
    case WeightFormat::kQ5_1:
      return 9;
    case WeightFormat::kQ4_K:
      return 14;
    case WeightFormat::kQ6_K:
      return 18;
    case WeightFormat::kBF16:
      return 32;
    case WeightFormat::kQ2_K:
    case WeightFormat::kQ3_K:
    case WeightFormat::kQ5_K:
    case WeightFormat::kQ8_0_R16:
    case WeightFormat::kQ6_K_R16:
    case WeightFormat::kQ5_K_R16:
    case WeightFormat::kQ5_1_R16:
    case WeightFormat::kQ5_0_R16:
    case WeightFormat::kQ4_K_R16:
    case WeightFormat::kQ4_1_R16:
    case WeightFormat::kQ4_0_R16:
    case WeightFormat::kQ3_K_R16:
    case WeightFormat::kQ2_K_R16:
      return std::nullopt;
  }
  return std::nullopt;
}

// The matrix that makes the logits: rounding it coarsely costs more than anywhere else.
bool is_output(std::string_view name, const Checkpoint& source) {
  if (name == "output.weight") return true;
  return name == "token_embd.weight" &&
         source.tensors.find("output.weight") == source.tensors.end();
}

// What went wrong in any of the threads.
struct Findings {
  std::atomic<bool> not_finite{false};
  std::atomic<bool> too_large{false};  // for f16
};

// Rounds every row of `view` into `to`, rows of `format` one after the other.
void convert_rows(const TensorView& view, WeightFormat format, std::byte* to, cpu::ThreadTeam& team,
                  Findings& findings) {
  const auto n_cols = static_cast<size_t>(view.n_cols());
  const int64_t n_rows = view.n_rows();
  const size_t from_row_bytes = cpu::row_bytes(view.format, n_cols);
  const size_t to_row_bytes = cpu::row_bytes(format, n_cols);
  const cpu::Codec& decoder = cpu::codec(view.format);
  const cpu::Codec& encoder = cpu::codec(format);
  std::vector<std::vector<float>> rows(static_cast<size_t>(team.n_threads()),
                                       std::vector<float>(n_cols));
  const auto chunk = [&](int32_t index, int32_t worker) {
    std::vector<float>& row = rows[static_cast<size_t>(worker)];
    const int64_t begin = index * kRowsPerChunk;
    const int64_t end = std::min(n_rows, begin + kRowsPerChunk);
    for (int64_t r = begin; r < end; ++r) {
      const auto at = static_cast<size_t>(r);
      decoder.decode_row(view.data + at * from_row_bytes, row.data(), n_cols);
      float largest = 0;
      bool finite = true;
      for (const float weight : row) {
        finite = finite && std::isfinite(weight);
        largest = std::max(largest, std::fabs(weight));
      }
      if (!finite) findings.not_finite = true;
      if (largest > kLargestF16) findings.too_large = true;
      encoder.encode_row(row.data(), to + at * to_row_bytes, n_cols);
    }
  };
  team.for_each_chunk(static_cast<int32_t>((n_rows + kRowsPerChunk - 1) / kRowsPerChunk), chunk);
}

// Adds the matrix at `from`, rows of `format`, in the kernels' layout.
Status add_packed(Checkpoint& to, const std::string& name, const TensorView& shape,
                  WeightFormat format, const std::byte* from, cpu::ThreadTeam& team) {
  AC_TRY(const cpu::Isa* isa, cpu::choose_isa());
  AC_TRY(const std::span<std::byte> memory,
         to.add_tensor(name, cpu::packed_format(format), shape.axes()));
  const auto n_groups = static_cast<int32_t>(cpu::packed_groups(shape.n_rows()));
  team.for_each_chunk(n_groups, [&](int32_t group, int32_t) {
    const auto at = static_cast<size_t>(group);
    cpu::pack_groups(*isa->matmul, format,
                     {.from = from,
                      .to = memory.data(),
                      .n_out = static_cast<size_t>(shape.n_rows()),
                      .n_in = static_cast<size_t>(shape.n_cols()),
                      .group_begin = at,
                      .group_end = at + 1});
  });
  return {};
}

// One matrix in `format`. Returns false where f16 cannot hold its weights.
Result<bool> add_converted(Checkpoint& to, const std::string& name, const TensorView& view,
                           WeightFormat format, bool pack, cpu::ThreadTeam& team) {
  Findings findings;
  const auto judge = [&]() -> Result<bool> {
    if (findings.not_finite) {
      return fail(ErrorCode::kCorruptFile, "tensor '{}' holds a weight that is not finite", name);
    }
    return !(format == WeightFormat::kF16 && findings.too_large);
  };
  if (!pack) {
    Checkpoint one;  // not yet in `to`: f16 may turn out to be too narrow
    AC_TRY(const std::span<std::byte> memory, one.add_tensor(name, format, view.axes()));
    convert_rows(view, format, memory.data(), team, findings);
    AC_TRY(const bool fits, judge());
    if (fits) {
      to.set_tensor(name, one.tensors.at(name));
      to.keep_alive(std::make_shared<Checkpoint>(std::move(one)));
    }
    return fits;
  }
  AC_TRY(const uint64_t plain_bytes, tensor_bytes(format, view.axes()));
  AC_TRY(Buffer plain, Buffer::allocate(plain_bytes));
  convert_rows(view, format, plain.data(), team, findings);
  AC_TRY(const bool fits, judge());
  AC_TRY_STATUS(add_packed(to, name, view, format, plain.data(), team));
  return fits;
}

}  // namespace

FormatChoice choose_format(std::string_view name, const TensorView& view, WeightFormat target,
                           const Checkpoint& source) {
  if (view.n_axes != 2) return {view.format, ""};
  FormatChoice choice{target, ""};
  if (is_output(name, source) && bits_of(target) < 8) {
    choice = {WeightFormat::kQ8_0, "makes the logits, so it keeps 8 bits"};
  }
  const WeightFormatInfo& info = weight_format_info(choice.format);
  if (view.n_cols() % info.block_weights != 0) {
    choice = {WeightFormat::kF16, fmt::format("rows of {} weights are not whole {} blocks of {}",
                                              view.n_cols(), info.name, info.block_weights)};
  }
  if (bits_of(view.format) <= bits_of(choice.format)) choice.format = view.format;
  if (bits_of(choice.format) <= bits_of(target)) choice.reason.clear();
  return choice;
}

void set_file_type(Checkpoint& checkpoint, WeightFormat format) {
  checkpoint.metadata.erase("general.file_type");
  if (const auto type = file_type(format)) checkpoint.set_uint("general.file_type", *type);
  if (weight_format_info(format).block_weights > 1) {
    checkpoint.set_uint("general.quantization_version", 2);
  }
}

Result<Requantized> requantize(const Checkpoint& source, std::optional<WeightFormat> target,
                               cpu::ThreadTeam& team, const RequantizeOptions& options) {
  AC_CHECK(!target || cpu::codec(*target).encode_row != nullptr);
  Requantized result;
  Checkpoint& to = result.checkpoint;
  to.origin = source.origin;
  to.metadata = source.metadata;
  uint64_t done_bytes = 0;
  for (const std::string& name : source.tensor_order) {
    AC_TRY(const TensorView view, source.tensor(name));
    FormatChoice choice =
        target ? choose_format(name, view, *target, source) : FormatChoice{view.format, ""};
    const auto packs = [&](WeightFormat format) {
      return view.n_axes == 2 && cpu::packed_format(format) != format &&
             options.may_pack(name, view);
    };
    if (choice.format != view.format) {
      AC_TRY(const bool fits,
             add_converted(to, name, view, choice.format, packs(choice.format), team));
      if (fits) {
        result.changed = true;
      } else {
        choice = {view.format, "f16 cannot hold its largest weights"};
      }
    }
    if (choice.format == view.format) {
      if (packs(view.format)) {
        AC_TRY_STATUS(add_packed(to, name, view, view.format, view.data, team));
      } else {
        to.set_tensor(name, view);
      }
    }
    if (!choice.reason.empty()) {
      result.notes.push_back(
          fmt::format("{}: {}, {}", name, weight_format_info(choice.format).name, choice.reason));
    }
    done_bytes += view.size_bytes;
    if (options.progress) options.progress(done_bytes, name);
  }
  if (target) set_file_type(to, *target);
  return result;
}

Result<Checkpoint> unpacked(const Checkpoint& source) {
  AC_TRY(const cpu::Isa* isa, cpu::choose_isa());
  Checkpoint to;
  to.origin = source.origin;
  to.metadata = source.metadata;
  for (const std::string& name : source.tensor_order) {
    AC_TRY(const TensorView view, source.tensor(name));
    const WeightFormat plain = cpu::unpacked_format(view.format);
    if (plain == view.format) {
      to.set_tensor(name, view);
      continue;
    }
    AC_TRY(const std::span<std::byte> memory, to.add_tensor(name, plain, view.axes()));
    cpu::unpack_groups(*isa->matmul, plain,
                       {.from = view.data,
                        .to = memory.data(),
                        .n_out = static_cast<size_t>(view.n_rows()),
                        .n_in = static_cast<size_t>(view.n_cols()),
                        .group_begin = 0,
                        .group_end = static_cast<size_t>(cpu::packed_groups(view.n_rows()))});
  }
  return to;
}

}  // namespace ac
