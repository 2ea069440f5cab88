#include "runtime/core/checkpoint.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace ac {
namespace {

struct MetaTypeRow {
  std::string_view name;
  uint32_t bytes;
};

constexpr std::array<MetaTypeRow, 13> kMetaTypes = {{
    {"uint8", 1},
    {"int8", 1},
    {"uint16", 2},
    {"int16", 2},
    {"uint32", 4},
    {"int32", 4},
    {"float32", 4},
    {"bool", 1},
    {"string", 0},
    {"array", 0},
    {"uint64", 8},
    {"int64", 8},
    {"float64", 8},
}};
static_assert(kMetaTypes.size() == static_cast<size_t>(MetaType::kF64) + 1);
static_assert(std::endian::native == std::endian::little, "arrays are kept as they are on disk");

std::string describe(const MetaValue& value) {
  if (const auto* array = std::get_if<MetaArray>(&value.value)) {
    return fmt::format("array of {} {}", array->count, meta_type_name(array->element));
  }
  return std::string(meta_type_name(value.type));
}

Error wrong_type(const Checkpoint& checkpoint, std::string_view key, const MetaValue& found,
                 std::string_view expected) {
  return fail(ErrorCode::kCorruptFile, "{}: key '{}' is {}, expected {}", checkpoint.origin, key,
              describe(found), expected);
}

Result<const MetaValue*> find(const Checkpoint& checkpoint, std::string_view key) {
  const auto it = checkpoint.metadata.find(key);
  if (it == checkpoint.metadata.end()) {
    return fail(ErrorCode::kNotFound, "{}: key '{}' is missing", checkpoint.origin, key);
  }
  return &it->second;
}

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The array, when its bytes are as many as its count says.
const MetaArray* number_array(const MetaValue& value) {
  const auto* array = std::get_if<MetaArray>(&value.value);
  if (array == nullptr) return nullptr;
  const uint32_t bytes = meta_type_bytes(array->element);
  if (bytes == 0 || array->numbers.size() / bytes != array->count) return nullptr;
  return array;
}

template <class T>
MetaArray make_array(MetaType element, std::span<const T> values) {
  MetaArray array;
  array.element = element;
  array.count = values.size();
  const auto bytes = std::as_bytes(values);
  array.numbers.assign(bytes.begin(), bytes.end());
  return array;
}

template <class T>
Result<T> or_missing(Result<T> found, bool present, T missing) {
  if (!present) return missing;
  return found;
}

}  // namespace

std::string_view meta_type_name(MetaType type) {
  const auto index = static_cast<size_t>(type);
  return index < kMetaTypes.size() ? kMetaTypes[index].name : "unknown type";
}

uint32_t meta_type_bytes(MetaType type) {
  const auto index = static_cast<size_t>(type);
  return index < kMetaTypes.size() ? kMetaTypes[index].bytes : 0;
}

Result<uint64_t> Checkpoint::get_uint(std::string_view key, uint64_t min, uint64_t max) const {
  AC_TRY(const MetaValue* found, find(*this, key));
  uint64_t value = 0;
  if (const auto* u = std::get_if<uint64_t>(&found->value)) {
    value = *u;
  } else if (const auto* i = std::get_if<int64_t>(&found->value)) {
    if (*i < 0) {
      return fail(ErrorCode::kCorruptFile, "{}: key '{}' is {}, expected {} to {}", origin, key, *i,
                  min, max);
    }
    value = static_cast<uint64_t>(*i);
  } else {
    return wrong_type(*this, key, *found, "an integer");
  }
  if (value < min || value > max) {
    return fail(ErrorCode::kCorruptFile, "{}: key '{}' is {}, expected {} to {}", origin, key,
                value, min, max);
  }
  return value;
}

Result<double> Checkpoint::get_number(std::string_view key) const {
  AC_TRY(const MetaValue* found, find(*this, key));
  double value = 0;
  if (const auto* d = std::get_if<double>(&found->value)) {
    value = *d;
  } else if (const auto* u = std::get_if<uint64_t>(&found->value)) {
    value = static_cast<double>(*u);
  } else if (const auto* i = std::get_if<int64_t>(&found->value)) {
    value = static_cast<double>(*i);
  } else {
    return wrong_type(*this, key, *found, "a number");
  }
  if (!std::isfinite(value)) {
    return fail(ErrorCode::kCorruptFile, "{}: key '{}' is not a finite number", origin, key);
  }
  return value;
}

Result<bool> Checkpoint::get_bool(std::string_view key) const {
  AC_TRY(const MetaValue* found, find(*this, key));
  if (const auto* b = std::get_if<bool>(&found->value)) return *b;
  return wrong_type(*this, key, *found, "bool");
}

Result<std::string_view> Checkpoint::get_string(std::string_view key) const {
  AC_TRY(const MetaValue* found, find(*this, key));
  if (const auto* s = std::get_if<std::string>(&found->value)) return std::string_view(*s);
  return wrong_type(*this, key, *found, "string");
}

Result<std::span<const std::string_view>> Checkpoint::get_strings(std::string_view key) const {
  AC_TRY(const MetaValue* found, find(*this, key));
  const auto* array = std::get_if<MetaArray>(&found->value);
  if (array == nullptr || array->element != MetaType::kString) {
    return wrong_type(*this, key, *found, "an array of strings");
  }
  return std::span<const std::string_view>(array->strings);
}

Result<std::vector<float>> Checkpoint::get_floats(std::string_view key) const {
  AC_TRY(const MetaValue* found, find(*this, key));
  const MetaArray* array = number_array(*found);
  if (array == nullptr || (array->element != MetaType::kF32 && array->element != MetaType::kF64)) {
    return wrong_type(*this, key, *found, "an array of float32 or float64");
  }
  std::vector<float> values(array->count);
  const std::byte* at = array->numbers.data();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = array->element == MetaType::kF32 ? load<float>(at + 4 * i)
                                                 : static_cast<float>(load<double>(at + 8 * i));
  }
  return values;
}

Result<std::vector<int64_t>> Checkpoint::get_integers(std::string_view key) const {
  AC_TRY(const MetaValue* found, find(*this, key));
  const MetaArray* array = number_array(*found);
  if (array == nullptr) return wrong_type(*this, key, *found, "an array of integers");
  std::vector<int64_t> values(array->count);
  const uint32_t bytes = meta_type_bytes(array->element);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::byte* at = array->numbers.data() + i * bytes;
    switch (array->element) {
      case MetaType::kU8:
        values[i] = load<uint8_t>(at);
        break;
      case MetaType::kI8:
        values[i] = load<int8_t>(at);
        break;
      case MetaType::kU16:
        values[i] = load<uint16_t>(at);
        break;
      case MetaType::kI16:
        values[i] = load<int16_t>(at);
        break;
      case MetaType::kU32:
        values[i] = load<uint32_t>(at);
        break;
      case MetaType::kI32:
        values[i] = load<int32_t>(at);
        break;
      case MetaType::kI64:
        values[i] = load<int64_t>(at);
        break;
      case MetaType::kU64: {
        const auto value = load<uint64_t>(at);
        if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
          return fail(ErrorCode::kCorruptFile, "{}: key '{}' element {} is {}, expected at most {}",
                      origin, key, i, value, std::numeric_limits<int64_t>::max());
        }
        values[i] = static_cast<int64_t>(value);
        break;
      }
      case MetaType::kF32:
      case MetaType::kF64:
      case MetaType::kBool:
      case MetaType::kString:
      case MetaType::kArray:
        return wrong_type(*this, key, *found, "an array of integers");
    }
  }
  return values;
}

Result<uint64_t> Checkpoint::get_uint_or(std::string_view key, uint64_t min, uint64_t max,
                                         uint64_t missing) const {
  return or_missing(get_uint(key, min, max), has(key), missing);
}

Result<double> Checkpoint::get_number_or(std::string_view key, double missing) const {
  return or_missing(get_number(key), has(key), missing);
}

Result<bool> Checkpoint::get_bool_or(std::string_view key, bool missing) const {
  return or_missing(get_bool(key), has(key), missing);
}

Result<std::string_view> Checkpoint::get_string_or(std::string_view key,
                                                   std::string_view missing) const {
  return or_missing(get_string(key), has(key), missing);
}

Result<TensorView> Checkpoint::tensor(std::string_view name) const {
  const auto it = tensors.find(name);
  if (it == tensors.end()) {
    return fail(ErrorCode::kNotFound, "{}: tensor '{}' is missing", origin, name);
  }
  return it->second;
}

void Checkpoint::set_uint(std::string key, uint32_t value) {
  metadata[std::move(key)] = {MetaType::kU32, uint64_t{value}};
}

void Checkpoint::set_float(std::string key, float value) {
  metadata[std::move(key)] = {MetaType::kF32, static_cast<double>(value)};
}

void Checkpoint::set_bool(std::string key, bool value) {
  metadata[std::move(key)] = {MetaType::kBool, value};
}

void Checkpoint::set_string(std::string key, std::string value) {
  metadata[std::move(key)] = {MetaType::kString, std::move(value)};
}

void Checkpoint::set_strings(std::string key, std::span<const std::string> values) {
  MetaArray array;
  array.element = MetaType::kString;
  array.count = values.size();
  array.strings.reserve(values.size());
  for (const std::string& value : values) array.strings.push_back(own_string(value));
  metadata[std::move(key)] = {MetaType::kArray, std::move(array)};
}

void Checkpoint::set_floats(std::string key, std::span<const float> values) {
  metadata[std::move(key)] = {MetaType::kArray, make_array(MetaType::kF32, values)};
}

void Checkpoint::set_integers(std::string key, std::span<const int32_t> values) {
  metadata[std::move(key)] = {MetaType::kArray, make_array(MetaType::kI32, values)};
}

void Checkpoint::set_tensor(std::string name, const TensorView& tensor) {
  const auto [it, inserted] = tensors.insert_or_assign(std::move(name), tensor);
  if (inserted) tensor_order.push_back(it->first);
}

Result<std::span<std::byte>> Checkpoint::add_tensor(std::string name, WeightFormat format,
                                                    std::span<const int64_t> shape) {
  auto bytes = tensor_bytes(format, shape);
  if (!bytes) return with_context(bytes.error(), fmt::format("tensor '{}'", name));
  AC_TRY(Buffer allocated, Buffer::allocate(*bytes));
  auto buffer = std::make_shared<Buffer>(std::move(allocated));
  TensorView view;
  view.data = buffer->data();
  view.size_bytes = *bytes;
  view.format = format;
  view.n_axes = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), view.shape);
  const std::span<std::byte> memory(buffer->data(), static_cast<size_t>(*bytes));
  keep_alive(std::move(buffer));
  set_tensor(std::move(name), view);
  return memory;
}

std::string_view Checkpoint::own_string(std::string text) {
  if (strings_ == nullptr) strings_ = std::make_unique<std::deque<std::string>>();
  return strings_->emplace_back(std::move(text));
}

}  // namespace ac
