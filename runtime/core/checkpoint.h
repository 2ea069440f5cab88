// What a file of weights contains, once read: named tensors and typed metadata. The one currency
// between the readers (models/store) and those who interpret them (models/arch, models/text).
//
// Metadata keys and tensor names are GGUF's ("llama.block_count", "blk.0.attn_q.weight"), whatever
// file they came from; readers of other formats translate.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/core/tensor.h"

namespace ac {

// GGUF's value types. On disk: never renumber.
enum class MetaType : uint32_t {
  kU8 = 0, kI8 = 1, kU16 = 2, kI16 = 3, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7,
  kString = 8, kArray = 9, kU64 = 10, kI64 = 11, kF64 = 12,
};

std::string_view meta_type_name(MetaType type);
// Bytes of one value; 0 for strings and arrays.
uint32_t meta_type_bytes(MetaType type);

// An array of numbers (`numbers`, little-endian, `count` values) or of strings (`strings`).
struct MetaArray {
  MetaType element = MetaType::kU8;
  uint64_t count = 0;
  std::vector<std::byte> numbers;
  std::vector<std::string_view> strings;  // point into the mapping or into Checkpoint::own_string
};

struct MetaValue {
  MetaType type = MetaType::kU8;
  // Unsigned types are held as uint64_t, signed ones as int64_t, kF32 and kF64 as double.
  std::variant<uint64_t, int64_t, double, bool, std::string, MetaArray> value;
};

// The level of precision, 0 to 100, at which a nested checkpoint (models/arch/nested.h) is meant to
// be run. A zoo sets it, since variants of several levels share one file.
inline constexpr std::string_view kNestedLevelKey = "agentcompress.nested.level";

// Plain data; move-only. Views point into memory that the checkpoint keeps alive.
class Checkpoint {
 public:
  Checkpoint() = default;
  Checkpoint(Checkpoint&&) = default;
  Checkpoint& operator=(Checkpoint&&) = default;
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  std::string origin;  // shown in errors: a path, or "stories.zoo: q4_0"
  std::map<std::string, MetaValue, std::less<>> metadata;
  std::map<std::string, TensorView, std::less<>> tensors;
  std::vector<std::string> tensor_order;  // names in the order of the file
  // Tells the kernel that bytes of a tensor, copied elsewhere, need not stay resident. Empty where
  // tensors do not lie in a mapped file.
  std::function<void(std::span<const std::byte>)> drop_pages;

  // --- typed reading. A missing key is kNotFound, another type or a value out of range is
  // kCorruptFile; the message names the origin, the key, the type found and the one expected.
  bool has(std::string_view key) const { return metadata.find(key) != metadata.end(); }
  Result<uint64_t> get_uint(std::string_view key, uint64_t min, uint64_t max) const;
  Result<double> get_number(std::string_view key) const;  // any numeric type; finite
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  Result<std::span<const std::string_view>> get_strings(std::string_view key) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;      // array of kF32 or kF64
  Result<std::vector<int64_t>> get_integers(std::string_view key) const;  // array of any integer type
  // With a default for a missing key; a key that is there with another type is still an error.
  Result<uint64_t> get_uint_or(std::string_view key, uint64_t min, uint64_t max,
                               uint64_t missing) const;
  Result<double> get_number_or(std::string_view key, double missing) const;
  Result<bool> get_bool_or(std::string_view key, bool missing) const;
  Result<std::string_view> get_string_or(std::string_view key, std::string_view missing) const;

  // Errors: kNotFound.
  Result<TensorView> tensor(std::string_view name) const;

  // --- writing
  void set_uint(std::string key, uint32_t value);
  void set_float(std::string key, float value);
  void set_bool(std::string key, bool value);
  void set_string(std::string key, std::string value);
  void set_strings(std::string key, std::span<const std::string> values);
  void set_floats(std::string key, std::span<const float> values);
  void set_integers(std::string key, std::span<const int32_t> values);
  // Replaces a tensor of the same name, otherwise appends it.
  void set_tensor(std::string name, const TensorView& tensor);
  // A tensor whose memory the checkpoint owns; returns where to write it.
  Result<std::span<std::byte>> add_tensor(std::string name, WeightFormat format,
                                          std::span<const int64_t> shape);

  // Keeps something (a mapping, a buffer) alive as long as the checkpoint.
  void keep_alive(std::shared_ptr<const void> owner) { owners_.push_back(std::move(owner)); }
  // Stores a string for the life of the checkpoint.
  std::string_view own_string(std::string text);

 private:
  std::vector<std::shared_ptr<const void>> owners_;
  std::unique_ptr<std::deque<std::string>> strings_;
};

}  // namespace ac
