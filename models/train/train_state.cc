#include "models/train/train_state.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cpu/formats/codecs.h"
#include "models/store/gguf.h"
#include "runtime/core/json.h"

namespace ac {
namespace {

constexpr std::string_view kMeanName = "train.mean";
constexpr std::string_view kRootName = "train.root_square";
constexpr std::string_view kAverageName = "train.average";
constexpr std::string_view kPlaceKey = "agentcompress.train.place";
constexpr std::string_view kRecipeKey = "agentcompress.train.recipe";
constexpr int64_t kMost = int64_t{1} << 53;
// Rows of the flat arrays: whole blocks of every format, and a divisor of the arrays' length.
constexpr size_t kRow = 32;

WeightFormat mean_format(MomentFormat format) {
  switch (format) {
    case MomentFormat::kF32:
      return WeightFormat::kF32;
    case MomentFormat::kBF16:
      return WeightFormat::kBF16;
    case MomentFormat::kSmall:
      break;
  }
  return WeightFormat::kQ4_0;
}

WeightFormat root_format(MomentFormat format) {
  return format == MomentFormat::kSmall ? WeightFormat::kQ8_0 : mean_format(format);
}

// Decodes a row; roots are squared. A root that was rounded to nothing beside a large one would make
// the next step huge, so none counts less than half a step of its block's scale.
void decode_moment(WeightFormat format, const std::byte* bytes, float factor, bool is_square,
                   float* out) {
  cpu::codec(format).decode_row(bytes, out, kRow);
  float least = 0;
  if (is_square && format == WeightFormat::kQ8_0) {
    for (size_t i = 0; i < kRow; ++i) least = std::max(least, std::abs(out[i]) / 254);
  }
  for (size_t i = 0; i < kRow; ++i) {
    const float value = is_square ? std::max(std::abs(out[i]), least) / factor : out[i] / factor;
    out[i] = is_square ? value * value : value;
  }
}

// Scales of blocks are halves, whose range ends at 6e-8: values are first multiplied by a power of
// two that brings the largest near 2^16.
constexpr double kLargest = 65536;

float factor_for(WeightFormat format, std::span<const float> values) {
  if (format != WeightFormat::kQ4_0 && format != WeightFormat::kQ8_0) return 1;
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  if (!(largest > 0)) return 1;
  const double exponent = std::floor(std::log2(kLargest / static_cast<double>(largest)));
  return static_cast<float>(std::exp2(std::clamp(exponent, -100.0, 100.0)));
}

std::string factor_key(std::string_view name) {
  return fmt::format("agentcompress.{}.factor", name);
}

// Adds one flat array; `live` becomes what will be read again.
Status add_moment(std::string_view name, WeightFormat format, std::span<float> live, bool is_square,
                  Checkpoint* out) {
  const int64_t shape[] = {static_cast<int64_t>(live.size())};
  AC_TRY(const std::span<std::byte> bytes, out->add_tensor(std::string(name), format, shape));
  const cpu::Codec& codec = cpu::codec(format);
  if (format == WeightFormat::kF32) {
    codec.encode_row(live.data(), bytes.data(), live.size());
    return {};
  }
  if (is_square) {
    for (float& value : live) value = std::sqrt(value);
  }
  const float factor = factor_for(format, live);
  out->set_float(factor_key(name), factor);
  const size_t row_bytes = cpu::row_bytes(format, kRow);
  float row[kRow];
  for (size_t i = 0; i < live.size(); i += kRow) {
    std::byte* to = bytes.data() + i / kRow * row_bytes;
    for (size_t j = 0; j < kRow; ++j) row[j] = live[i + j] * factor;
    codec.encode_row(row, to, kRow);
    decode_moment(format, to, factor, is_square, &live[i]);
  }
  return {};
}

Result<std::vector<float>> read_moment(const Checkpoint& file, std::string_view name, size_t n,
                                       bool is_square) {
  AC_TRY(const TensorView view, file.tensor(name));
  const WeightFormat format = view.format;
  const bool known = format == WeightFormat::kF32 || format == WeightFormat::kBF16 ||
                     format == WeightFormat::kQ4_0 || format == WeightFormat::kQ8_0;
  if (!known || view.n_axes != 1 || view.shape[0] != static_cast<int64_t>(n)) {
    return fail(ErrorCode::kCorruptFile, "{}: tensor {} is {} of [{}], expected [{}]", file.origin,
                name, weight_format_info(format).name, view.shape[0], n);
  }
  std::vector<float> values(n);
  if (format == WeightFormat::kF32) {
    cpu::codec(format).decode_row(view.data, values.data(), n);
  } else {
    AC_TRY(const double factor, file.get_number(factor_key(name)));
    if (!(factor > 0)) {
      return fail(ErrorCode::kCorruptFile, "{}: key '{}' is {}, expected above 0", file.origin,
                  factor_key(name), factor);
    }
    const size_t row_bytes = cpu::row_bytes(format, kRow);
    for (size_t i = 0; i < n; i += kRow) {
      decode_moment(format, view.data + i / kRow * row_bytes, static_cast<float>(factor), is_square,
                    &values[i]);
    }
  }
  const bool valid = std::ranges::all_of(
      values, [&](float value) { return std::isfinite(value) && (!is_square || value >= 0); });
  if (!valid) {
    return fail(ErrorCode::kCorruptFile, "{}: tensor {} has values that make no sense", file.origin,
                name);
  }
  return values;
}

}  // namespace

Status save_train_state(const std::string& path, Parameters& parameters, AdamW& optimizer,
                        WeightAverage* average, MomentFormat format, const TrainPlace& place,
                        std::string_view recipe) {
  const bool small = format == MomentFormat::kSmall;
  const WeightFormat weights = small ? WeightFormat::kBF16 : WeightFormat::kF32;
  AC_TRY(Checkpoint file, parameters.exported(weights));
  if (small) parameters.take_from(file);
  AC_TRY_STATUS(add_moment(kMeanName, mean_format(format), optimizer.mean(), false, &file));
  AC_TRY_STATUS(add_moment(kRootName, root_format(format), optimizer.square(), true, &file));
  const bool averaged = average != nullptr && average->n_seen() > 0;
  if (averaged) AC_TRY_STATUS(add_moment(kAverageName, weights, average->values(), false, &file));
  file.set_string(std::string(kPlaceKey),
                  json_line(OrderedJson{{"step", place.step},
                                        {"n_tokens", place.n_tokens},
                                        {"document", place.place.document},
                                        {"sequence", place.place.sequence},
                                        {"averaged", averaged ? average->n_seen() : 0}}));
  file.set_string(std::string(kRecipeKey), std::string(recipe));
  AC_TRY(const auto writer, create_file(path));
  AC_TRY_STATUS(write_gguf(file, *writer));
  return writer->commit();
}

Result<TrainState> load_train_state(const std::string& path) {
  AC_TRY(Checkpoint file, open_gguf(path));
  return parse_train_state(std::move(file));
}

Result<TrainState> parse_train_state(Checkpoint file) {
  TrainState state;
  auto text = file.get_string(kPlaceKey);
  if (!text) return with_context(text.error(), "not a training state");
  AC_TRY(const Json place, parse_json(*text));
  AC_TRY(state.place.step, json_integer(place, "step", 0, kMost));
  AC_TRY(state.place.n_tokens, json_integer(place, "n_tokens", 0, kMost));
  AC_TRY(const int64_t document, json_integer(place, "document", 0, kMost));
  AC_TRY(const int64_t sequence, json_integer(place, "sequence", 0, kMost));
  state.place.place = {static_cast<uint64_t>(document), static_cast<uint64_t>(sequence)};
  if (place.contains("averaged")) {
    AC_TRY(state.n_averaged, json_integer(place, "averaged", 0, kMost));
  }
  AC_TRY(const std::string_view recipe, file.get_string(kRecipeKey));
  state.recipe = recipe;
  file.metadata.erase(file.metadata.find(kPlaceKey));
  file.metadata.erase(file.metadata.find(kRecipeKey));
  // Parameters are made of the model's own tensors.
  std::vector<std::string> own;
  std::map<std::string, TensorView, std::less<>> others;
  std::map<std::string, MetaValue, std::less<>> factors;
  for (const std::string& name : file.tensor_order) {
    if (name != kMeanName && name != kRootName && name != kAverageName) {
      own.push_back(name);
      continue;
    }
    if (auto node = file.metadata.extract(factor_key(name))) factors.insert(std::move(node));
    others.insert(file.tensors.extract(name));
  }
  file.tensor_order = std::move(own);
  AC_TRY(state.parameters, Parameters::create(file));
  file.metadata.merge(factors);
  file.tensors.merge(others);
  AC_TRY(state.mean, read_moment(file, kMeanName, state.parameters->size(), false));
  AC_TRY(state.square, read_moment(file, kRootName, state.parameters->size(), true));
  if (file.tensors.contains(kAverageName)) {
    AC_TRY(state.average, read_moment(file, kAverageName, state.parameters->size(), false));
  }
  return state;
}

}  // namespace ac
