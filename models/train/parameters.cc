#include "models/train/parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/formats/codecs.h"

namespace ac {
namespace {

// Whole blocks of the formats in which a training state is kept.
constexpr size_t kAlignFloats = 32;

// Copies keys and values, and the strings that values of the original only point to.
void copy_metadata(const Checkpoint& from, Checkpoint* to) {
  to->origin = from.origin;
  for (const auto& [key, value] : from.metadata) {
    MetaValue copy = value;
    if (auto* array = std::get_if<MetaArray>(&copy.value)) {
      for (std::string_view& text : array->strings) text = to->own_string(std::string(text));
    }
    to->metadata.emplace(key, std::move(copy));
  }
}

}  // namespace

Result<std::unique_ptr<Parameters>> Parameters::create(const Checkpoint& from) {
  std::unique_ptr<Parameters> made(new Parameters());
  size_t n = 0;
  for (const std::string& name : from.tensor_order) {
    AC_TRY(const TensorView view, from.tensor(name));
    if (cpu::codec(view.format).decode_row == nullptr) {
      return fail(ErrorCode::kUnsupported, "{}: tensor {} is {}, which cannot be trained",
                  from.origin, name, weight_format_info(view.format).name);
    }
    Entry entry{.name = name,
                .shape = {view.axes().begin(), view.axes().end()},
                .offset = n,
                .size = static_cast<size_t>(view.n_rows() * view.n_cols())};
    n += (entry.size + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
    made->entries_.push_back(std::move(entry));
  }
  AC_TRY(made->values_, Buffer::allocate(n * sizeof(float)));
  AC_TRY(made->gradients_, Buffer::allocate(n * sizeof(float)));
  copy_metadata(from, &made->checkpoint_);
  made->take_from(from);
  for (const Entry& entry : made->entries_) {
    AC_TRY(const TensorView view, from.tensor(entry.name));
    const std::span<float> values = made->values().subspan(entry.offset, entry.size);
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      return fail(ErrorCode::kCorruptFile, "{}: tensor {} has values that are not finite",
                  from.origin, entry.name);
    }
    TensorView own;
    own.data = reinterpret_cast<const std::byte*>(values.data());
    own.size_bytes = entry.size * sizeof(float);
    own.n_axes = view.n_axes;
    std::ranges::copy(view.axes(), own.shape);
    made->checkpoint_.set_tensor(entry.name, own);
  }
  return made;
}

void Parameters::take_from(const Checkpoint& copy) {
  for (const Entry& entry : entries_) {
    const auto view = copy.tensor(entry.name);
    AC_CHECK(view.has_value());
    const auto n_cols = static_cast<size_t>(view->n_cols());
    const size_t row_bytes = cpu::row_bytes(view->format, n_cols);
    float* const values = values_.as<float>().data() + entry.offset;
    for (size_t row = 0; row < entry.size / n_cols; ++row) {
      cpu::codec(view->format)
          .decode_row(view->data + row * row_bytes, values + row * n_cols, n_cols);
    }
  }
}

uint64_t Parameters::n_parameters() const {
  uint64_t n = 0;
  for (const Entry& entry : entries_) n += entry.size;
  return n;
}

float* Parameters::gradient_of(const void* value) {
  const auto* at = static_cast<const std::byte*>(value);
  if (at < values_.data() || at >= values_.data() + values_.size_bytes()) return nullptr;
  return reinterpret_cast<float*>(gradients_.data() + (at - values_.data()));
}

Result<Checkpoint> Parameters::exported(WeightFormat matrices) const {
  Checkpoint out;
  copy_metadata(checkpoint_, &out);
  for (const Entry& entry : entries_) {
    const WeightFormat format = entry.is_matrix() ? matrices : WeightFormat::kF32;
    const cpu::Codec& codec = cpu::codec(format);
    if (codec.encode_row == nullptr) {
      return fail(ErrorCode::kUnsupported, "weights cannot be written as {}",
                  weight_format_info(format).name);
    }
    AC_TRY(const std::span<std::byte> bytes, out.add_tensor(entry.name, format, entry.shape));
    const auto n_cols = static_cast<size_t>(entry.shape.back());
    const size_t row_bytes = cpu::row_bytes(format, n_cols);
    const auto* values = reinterpret_cast<const float*>(values_.data()) + entry.offset;
    for (size_t row = 0; row < entry.size / n_cols; ++row) {
      codec.encode_row(values + row * n_cols, bytes.data() + row * row_bytes, n_cols);
    }
  }
  return out;
}

}  // namespace ac
