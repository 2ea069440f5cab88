// What a checkpoint may say and what it may not: every key missing, zero, huge, of another type;
// every tensor missing, of another shape, with a lying size. An error each time, with the name in
// it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "models/arch/model.h"
#include "tests/support/random_model.h"

namespace ac {
namespace {

using test::random_model;
using testing::HasSubstr;

// Everything that load_model checks, without a backend's memory.
Status load(const Checkpoint& checkpoint) {
  auto cost = model_cost(checkpoint);
  if (!cost) return cost.error();
  return {};
}

MetaValue value_of(MetaType type, decltype(MetaValue::value) value) {
  return {type, std::move(value)};
}

MetaValue array_of(MetaType element, uint64_t count, size_t n_bytes) {
  MetaArray array;
  array.element = element;
  array.count = count;
  array.numbers.assign(n_bytes, std::byte{0x7f});
  return {MetaType::kArray, std::move(array)};
}

// Values that no key of this kind of file should survive unnoticed where a number belongs.
std::vector<std::pair<std::string, MetaValue>> hostile_values() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return {
      {"zero", value_of(MetaType::kU32, uint64_t{0})},
      {"max32", value_of(MetaType::kU32, uint64_t{0xffffffff})},
      {"max64", value_of(MetaType::kU64, uint64_t{0xffffffffffffffff})},
      {"minus one", value_of(MetaType::kI32, int64_t{-1})},
      {"min64", value_of(MetaType::kI64, std::numeric_limits<int64_t>::min())},
      {"nan", value_of(MetaType::kF32, nan)},
      {"infinity", value_of(MetaType::kF64, std::numeric_limits<double>::infinity())},
      {"tiny", value_of(MetaType::kF32, 1e-38)},
      {"string", value_of(MetaType::kString, std::string("7"))},
      {"bool", value_of(MetaType::kBool, true)},
      {"empty array", array_of(MetaType::kI32, 0, 0)},
      {"short array", array_of(MetaType::kI32, 1, 4)},
      {"lying array", array_of(MetaType::kI32, 3, 4)},
      {"huge array", array_of(MetaType::kI32, uint64_t{1} << 62, 12)},
      {"array of huge", array_of(MetaType::kI32, 3, 12)},
      {"array of floats", array_of(MetaType::kF32, 3, 12)},
      {"array of arrays", array_of(MetaType::kArray, 3, 12)},
      {"array of bools", array_of(MetaType::kBool, 3, 3)},
  };
}

// One change of a checkpoint, taken back at the end; making a model anew takes a hundred times
// longer.
class ChangedKey {
 public:
  ChangedKey(Checkpoint& checkpoint, std::string name, std::optional<MetaValue> value)
      : checkpoint_(checkpoint), name_(std::move(name)) {
    const auto it = checkpoint_.metadata.find(name_);
    if (it != checkpoint_.metadata.end()) before_ = it->second;
    set(std::move(value));
  }
  ~ChangedKey() { set(std::move(before_)); }
  ChangedKey(const ChangedKey&) = delete;
  ChangedKey& operator=(const ChangedKey&) = delete;

 private:
  void set(std::optional<MetaValue> value) {
    if (value.has_value()) {
      checkpoint_.metadata[name_] = std::move(*value);
    } else {
      checkpoint_.metadata.erase(name_);
    }
  }
  Checkpoint& checkpoint_;
  std::string name_;
  std::optional<MetaValue> before_;
};

class EveryFamily : public testing::TestWithParam<std::string_view> {
 protected:
  Checkpoint make() const {
    return random_model({.family = GetParam(), .stretched = true, .tokenizer = true});
  }
  std::string key(std::string_view rest) const {
    return std::string(GetParam()) + "." + std::string(rest);
  }
};

INSTANTIATE_TEST_SUITE_P(Families, EveryFamily, testing::ValuesIn(test::random_model_families()),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(EveryFamily, LoadsWhole) {
  const auto status = load(make());
  EXPECT_TRUE(status.has_value()) << status.error().message;
}

TEST_P(EveryFamily, NeedsItsKeys) {
  Checkpoint checkpoint = make();
  for (const std::string& name :
       {std::string("general.architecture"), key("block_count"), key("context_length"),
        key("embedding_length"), key("attention.head_count"), key("feed_forward_length"),
        key("attention.layer_norm_rms_epsilon")}) {
    const ChangedKey change(checkpoint, name, std::nullopt);
    const auto status = load(checkpoint);
    ASSERT_FALSE(status.has_value()) << name;
    EXPECT_EQ(status.error().code, ErrorCode::kNotFound) << status.error().message;
    EXPECT_THAT(status.error().message, HasSubstr(name));
  }
}

TEST_P(EveryFamily, RefusesHostileValuesOfNeededKeys) {
  Checkpoint checkpoint = make();
  for (const std::string& name :
       {std::string("general.architecture"), key("block_count"), key("context_length"),
        key("embedding_length"), key("attention.head_count"), key("attention.head_count_kv"),
        key("attention.layer_norm_rms_epsilon")}) {
    for (const auto& [what, value] : hostile_values()) {
      // 10^-38 is a small epsilon, and one all the same.
      if (what == "tiny" && name.ends_with("epsilon")) continue;
      const ChangedKey change(checkpoint, name, value);
      EXPECT_FALSE(load(checkpoint).has_value()) << name << " = " << what;
    }
  }
}

// Some of these are harmless (a window of 2^32 - 1 is refused, one of 0 is none); none may crash.
TEST_P(EveryFamily, SurvivesHostileValuesOfEveryKey) {
  std::vector<std::string> names;
  Checkpoint checkpoint = make();
  for (const auto& [name, value] : checkpoint.metadata) names.push_back(name);
  for (std::string_view rest :
       {"attention.key_length", "attention.value_length", "attention.scale", "vocab_size",
        "attention.sliding_window", "attention.sliding_window_pattern", "attn_logit_softcapping",
        "final_logit_softcapping", "rope.dimension_count", "rope.freq_base", "rope.freq_base_swa",
        "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor", "rope.scaling.attn_factor",
        "rope.scaling.original_context_length", "rope.scaling.low_freq_factor",
        "rope.scaling.yarn_beta_fast", "expert_count"}) {
    names.push_back(key(rest));
  }
  for (const std::string& name : names) {
    for (const auto& [what, value] : hostile_values()) {
      const ChangedKey change(checkpoint, name, value);
      const auto status = load(checkpoint);
      EXPECT_TRUE(status.has_value() || !status.error().message.empty()) << name << " = " << what;
    }
  }
}

TEST_P(EveryFamily, RefusesNonsenseOfOptionalKeys) {
  Checkpoint checkpoint = make();
  for (std::string_view rest : {"attention.key_length", "vocab_size", "rope.freq_base",
                                "rope.dimension_count", "attention.scale"}) {
    for (const auto& [what, value] : hostile_values()) {
      // Small numbers are scales, and large ones are bases.
      if (what == "tiny" && rest == "attention.scale") continue;
      if (what == "max32" && rest == "rope.freq_base") continue;
      const ChangedKey change(checkpoint, key(rest), value);
      EXPECT_FALSE(load(checkpoint).has_value()) << rest << " = " << what;
    }
  }
}

TEST_P(EveryFamily, NeedsItsTensors) {
  Checkpoint checkpoint = make();
  for (const std::string& name : checkpoint.tensor_order) {
    if (name.starts_with("rope_")) continue;  // optional: their absence is another model
    const TensorView view = checkpoint.tensors.at(name);
    checkpoint.tensors.erase(name);
    const auto status = load(checkpoint);
    checkpoint.tensors[name] = view;
    ASSERT_FALSE(status.has_value()) << name;
    EXPECT_EQ(status.error().code, ErrorCode::kNotFound) << status.error().message;
  }
}

TEST_P(EveryFamily, ComparesEveryShape) {
  Checkpoint checkpoint = make();
  for (const std::string& name : checkpoint.tensor_order) {
    for (const int change : {0, 1, 2, 3, 4}) {
      TensorView& view = checkpoint.tensors.at(name);
      const TensorView before = view;
      if (change == 0) view.shape[view.n_axes - 1] += 1;
      if (change == 1) view.shape[0] -= 1;
      if (change == 2) view.n_axes += 1;
      if (change == 3) view.size_bytes -= 1;
      if (change == 4) view.data = nullptr;
      const auto status = load(checkpoint);
      view = before;
      ASSERT_FALSE(status.has_value()) << name << " change " << change;
      if (change == 0 && name.starts_with("blk.")) {
        EXPECT_THAT(status.error().message, HasSubstr("tensor " + name + ": shape ["));
        EXPECT_THAT(status.error().message, HasSubstr("], expected ["));
      }
    }
  }
}

TEST_P(EveryFamily, RefusesBlockTensorsItDoesNotKnow) {
  Checkpoint checkpoint = make();
  test::add_random_matrix(checkpoint, "blk.0.attn_sinks.weight", 4, 4, WeightFormat::kF32, 1, 1);
  const auto status = load(checkpoint);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(status.error().message, HasSubstr("blk.0.attn_sinks.weight"));
}

TEST_P(EveryFamily, RefusesAVocabularyThatDisagrees) {
  Checkpoint listed = make();
  const std::vector<std::string> tokens = {"a", "b"};
  listed.set_strings("tokenizer.ggml.tokens", tokens);
  EXPECT_THAT(load(listed).error().message, HasSubstr("the tokenizer lists 2"));
  Checkpoint stated = make();
  stated.set_uint(key("vocab_size"), 5);
  EXPECT_THAT(load(stated).error().message, HasSubstr("says 5"));
}

TEST(Config, NamesTheKnownArchitectures) {
  Checkpoint checkpoint = random_model({});
  checkpoint.set_string("general.architecture", "mamba");
  const auto status = load(checkpoint);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(status.error().message, HasSubstr("llama, qwen2, qwen3, gemma2, gemma3, phi3, deci"));
  EXPECT_EQ(architecture_names().size(), 7u);
}

TEST(Config, RefusesHeadsThatDoNotDivide) {
  Checkpoint checkpoint = random_model({});
  checkpoint.set_uint("llama.attention.head_count_kv", 4);  // of 6 heads
  EXPECT_THAT(load(checkpoint).error().message, HasSubstr("6 heads and 4 kv heads"));
}

TEST(Config, ReadsTheWindowPattern) {
  Checkpoint gemma = random_model({.family = "gemma3"});
  auto config = read_model_config(gemma);
  ASSERT_TRUE(config.has_value());
  for (size_t i = 0; i < config->layers.size(); ++i) {
    EXPECT_EQ(config->layers[i].window, i == 5 ? 0 : 7) << i;
    EXPECT_EQ(config->layers[i].local_rope, i != 5) << i;
  }
  Checkpoint stated = random_model({.family = "gemma3"});
  MetaArray truths;
  truths.element = MetaType::kBool;
  truths.count = 7;
  truths.numbers = {std::byte{0}, std::byte{1}, std::byte{0}, std::byte{0},
                    std::byte{0}, std::byte{0}, std::byte{1}};
  stated.metadata["gemma3.attention.sliding_window_pattern"] = {MetaType::kArray, truths};
  config = read_model_config(stated);
  ASSERT_TRUE(config.has_value());
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(config->layers[i].window, i == 1 || i == 6 ? 7 : 0);
}

TEST(Config, RefusesAMixtureOfExperts) {
  Checkpoint checkpoint = random_model({});
  checkpoint.set_uint("llama.expert_count", 8);
  EXPECT_EQ(load(checkpoint).error().code, ErrorCode::kUnsupported);
}

TEST(Config, RefusesALinearThatIsDenseAndLowRank) {
  Checkpoint checkpoint = random_model({});
  test::add_random_matrix(checkpoint, "blk.0.attn_q.lowrank_out.weight", 60, 4, WeightFormat::kF32,
                          1, 1);
  test::add_random_matrix(checkpoint, "blk.0.attn_q.lowrank_in.weight", 4, 60, WeightFormat::kF32,
                          1, 1);
  EXPECT_THAT(load(checkpoint).error().message, HasSubstr("beside its low-rank factors"));
}

// Rows of a fused tensor in a format that interleaves 16 rows can be cut between groups only.
TEST(Config, CutsPackedTensorsBetweenGroups) {
  struct Heads {
    int32_t n_heads, n_kv_heads, d_head;
    bool whole_groups;
  };
  for (const Heads& h : {Heads{6, 3, 32, true},
                         {4, 1, 24, false},
                         {4, 2, 24, true},
                         {3, 1, 16, true},
                         {3, 3, 24, false}}) {
    Checkpoint checkpoint =
        random_model({.family = "phi3", .format = WeightFormat::kQ8_0, .n_layers = 1});
    checkpoint.set_uint("phi3.attention.head_count", static_cast<uint32_t>(h.n_heads));
    checkpoint.set_uint("phi3.attention.head_count_kv", static_cast<uint32_t>(h.n_kv_heads));
    checkpoint.set_uint("phi3.attention.key_length", static_cast<uint32_t>(h.d_head));
    checkpoint.set_uint("phi3.attention.value_length", static_cast<uint32_t>(h.d_head));
    checkpoint.set_uint("phi3.rope.dimension_count", 16);
    const int64_t fused[] = {(h.n_heads + 2 * h.n_kv_heads) * h.d_head, 96};
    const int64_t out[] = {96, h.n_heads * h.d_head};
    checkpoint.tensors.erase("blk.0.attn_qkv.weight");
    checkpoint.tensors.erase("blk.0.attn_output.weight");
    ASSERT_TRUE(
        checkpoint.add_tensor("blk.0.attn_qkv.weight", WeightFormat::kQ8_0_R16, fused).has_value());
    ASSERT_TRUE(
        checkpoint.add_tensor("blk.0.attn_output.weight", WeightFormat::kF32, out).has_value());
    const auto status = load(checkpoint);
    EXPECT_EQ(status.has_value(), h.whole_groups) << h.n_heads << " x " << h.d_head;
    if (!status) {
      EXPECT_THAT(status.error().message, HasSubstr("do not begin and end with a group of 16"));
    }
  }
}

// Counted by hand for a model of which every number is known.
TEST(Cost, CountsWhatOneTokenTakes) {
  const Checkpoint checkpoint = random_model({.n_layers = 2});
  const auto cost = model_cost(checkpoint);
  ASSERT_TRUE(cost.has_value());
  // d_model 60, 6 heads and 2 kv heads of 10, d_ff 86, 101 tokens.
  const uint64_t linears = 60 * 60 + 2 * 20 * 60 + 60 * 60 + 3 * 86 * 60;
  const uint64_t head = 101 * 60;
  EXPECT_EQ(cost->macs_per_token, 2 * (linears + 2 * 60) + head);
  EXPECT_EQ(cost->parameters, 2 * (linears + 2 * 60) + head + 60);
  EXPECT_EQ(cost->weight_bytes, cost->parameters * 4);
  // The tied table is read whole for the logits, and one row of it for the embedding.
  EXPECT_EQ(cost->bytes_per_token, cost->weight_bytes + 60 * 4);
}

}  // namespace
}  // namespace ac
