// load_model on small models whose metadata and tensors were changed as the input says: an error or
// a model, never a crash. Bytes: family, options, then changes of (what, which, kind, eight of
// value).
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "models/arch/model.h"
#include "tests/fuzz/fuzz_check.h"
#include "tests/support/random_model.h"

namespace {

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool more() const { return !bytes_.empty(); }
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }
  uint64_t word() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }

 private:
  std::span<const uint8_t> bytes_;
};

ac::MetaValue value_of(uint8_t kind, uint64_t word) {
  double number = 0;
  std::memcpy(&number, &word, sizeof number);
  ac::MetaArray array;
  switch (kind % 8) {
    case 0:
      return {ac::MetaType::kU64, word};
    case 1:
      return {ac::MetaType::kU32, word & 0xff};
    case 2:
      return {ac::MetaType::kI64, static_cast<int64_t>(word)};
    case 3:
      return {ac::MetaType::kF64, number};
    case 4:
      return {ac::MetaType::kString, std::string(word & 1 ? "yarn" : "llama3")};
    case 5:
      return {ac::MetaType::kBool, (word & 1) != 0};
    case 6:
      // One small number for each of three layers.
      array.element = ac::MetaType::kU8;
      array.count = 3;
      for (int i = 0; i < 3; ++i) array.numbers.push_back(static_cast<std::byte>(word >> 8 * i));
      return {ac::MetaType::kArray, array};
    default:
      array.element = static_cast<ac::MetaType>(word % 13);
      array.count = word >> 8;
      array.numbers.resize(word % 17);
      return {ac::MetaType::kArray, array};
  }
}

constexpr std::string_view kOptionalKeys[] = {
    "attention.key_length",
    "attention.value_length",
    "attention.scale",
    "attention.sliding_window",
    "vocab_size",
    "attention.sliding_window_pattern",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.high_freq_factor",
    "expert_count",
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Reader in({data, size});
  const auto families = ac::test::random_model_families();
  ac::test::RandomModelOptions options;
  options.family = families[in.byte() % families.size()];
  const uint8_t flags = in.byte();
  options.per_layer = (flags & 1) != 0;
  options.low_rank = (flags & 2) != 0;
  options.untied = (flags & 4) != 0;
  options.stretched = (flags & 8) != 0;
  options.n_layers = 3;
  const bool nested = (flags & 16) != 0;
  if (nested) options.format = ac::WeightFormat::kQ4_0;
  ac::Checkpoint checkpoint = ac::test::random_model(options);
  if (nested) {
    ac::test::add_residuals(checkpoint, 2);
    checkpoint.set_uint(std::string(ac::kNestedLevelKey), 50);
  }
  std::vector<std::string> keys;
  for (const auto& [key, value] : checkpoint.metadata) keys.push_back(key);
  for (std::string_view rest : kOptionalKeys) {
    keys.push_back(std::string(options.family) + "." + std::string(rest));
  }
  for (int i = 0; i < 16 && in.more(); ++i) {
    const uint8_t what = in.byte();
    const uint8_t which = in.byte();
    const uint8_t kind = in.byte();
    const uint64_t word = in.word();
    if (what % 3 == 0) {
      checkpoint.metadata[keys[which % keys.size()]] = value_of(kind, word);
    } else if (what % 3 == 1) {
      checkpoint.metadata.erase(keys[which % keys.size()]);
    } else {
      const std::string& name = checkpoint.tensor_order[which % checkpoint.tensor_order.size()];
      ac::TensorView& view = checkpoint.tensors.at(name);
      // As a reader leaves it: the bytes are those of the shape, which may be any that they hold.
      std::swap(view.shape[0], view.shape[1]);
      if (kind % 2 == 0 && view.n_axes == 2) view.n_axes = 1;
      if (kind % 3 == 0) view.shape[0] = static_cast<int64_t>(word);
    }
  }
  const auto cost = ac::model_cost(checkpoint);
  if (!cost) FUZZ_CHECK(!cost.error().message.empty());
  return 0;
}
