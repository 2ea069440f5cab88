// A Hugging Face folder and the GGUF file that tells of the same model are the same model.
#include <cmath>

#include "cpu/formats/codecs.h"
#include "models/arch/model.h"
#include "models/store/hf_config.h"
#include "models/store/safetensors.h"
#include "tests/store/hf_folder.h"
#include "tests/support/plain_backend.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

using nlohmann::json;
using testing::HfFolder;
using testing::SafetensorsBuilder;
using testing::TemporaryFolder;

std::string dtype_of(WeightFormat format) {
  return format == WeightFormat::kF32 ? "F32" : format == WeightFormat::kF16 ? "F16" : "BF16";
}

int64_t key_of(const Checkpoint& c, const std::string& rest) {
  const std::string key = std::string(c.get_string("general.architecture").value()) + "." + rest;
  return static_cast<int64_t>(c.get_uint_or(key, 0, 1 << 30, 0).value());
}

json config_of(const Checkpoint& c, const std::string& class_name) {
  const std::string arch(c.get_string("general.architecture").value());
  const bool gemma = arch.starts_with("gemma");
  const auto d_model = key_of(c, "embedding_length"), heads = key_of(c, "attention.head_count");
  const int64_t head =
      key_of(c, "attention.key_length") > 0 ? key_of(c, "attention.key_length") : d_model / heads;
  json j = {{"architectures", {class_name}},
            {"hidden_size", d_model},
            {"num_hidden_layers", key_of(c, "block_count")},
            {"num_attention_heads", heads},
            {"num_key_value_heads", key_of(c, "attention.head_count_kv")},
            {"intermediate_size", key_of(c, "feed_forward_length")},
            {"max_position_embeddings", key_of(c, "context_length")},
            {"rms_norm_eps", c.get_number(arch + ".attention.layer_norm_rms_epsilon").value()},
            {"rope_theta", c.get_number(arch + ".rope.freq_base").value()},
            {"head_dim", head},
            {"tie_word_embeddings", c.tensors.find("output.weight") == c.tensors.end()},
            {gemma ? "hidden_activation" : "hidden_act", gemma ? "gelu_pytorch_tanh" : "silu"},
            {"sliding_window", key_of(c, "attention.sliding_window") > 0
                                   ? json(key_of(c, "attention.sliding_window"))
                                   : json(nullptr)}};
  if (arch == "gemma2") {
    j["attn_logit_softcapping"] = c.get_number("gemma2.attn_logit_softcapping").value();
    j["final_logit_softcapping"] = c.get_number("gemma2.final_logit_softcapping").value();
  }
  if (gemma) j["query_pre_attn_scalar"] = head;
  if (arch == "phi3") {
    j["partial_rotary_factor"] =
        static_cast<double>(key_of(c, "rope.dimension_count")) / static_cast<double>(head);
  }
  return j;
}

// The folder of `twin`. Gemma's norms lose their "+ 1", with what that costs in precision: `twin`
// is changed to hold what comes back.
HfFolder folder_of(Checkpoint& twin, const std::string& class_name, size_t n_files) {
  const std::string arch(twin.get_string("general.architecture").value());
  const bool gemma = arch.starts_with("gemma");
  HfFolder folder{class_name, config_of(twin, class_name), {}, testing::tiny_tokenizer_json()};
  for (size_t i = 0; i < n_files; ++i) {
    folder.files.emplace_back("model-0000" + std::to_string(i) + ".safetensors",
                              SafetensorsBuilder());
  }
  size_t n = 0;
  for (const std::string& name : twin.tensor_order) {
    if (name.starts_with("rope_f")) continue;
    const TensorView view = twin.tensor(name).value();
    std::string bytes(reinterpret_cast<const char*>(view.data), view.size_bytes);
    if (arch == "llama" && name.find(".attn_q.") != std::string::npos) {
      bytes = testing::halves(view, key_of(twin, "attention.head_count"));
    } else if (arch == "llama" && name.find(".attn_k.") != std::string::npos) {
      bytes = testing::halves(view, key_of(twin, "attention.head_count_kv"));
    } else if (gemma && name.ends_with("norm.weight")) {
      auto* stored = reinterpret_cast<float*>(bytes.data());
      auto* back = reinterpret_cast<float*>(const_cast<std::byte*>(view.data));
      for (int64_t i = 0; i < view.shape[0]; ++i) {
        stored[i] -= 1.0f;
        back[i] = stored[i] + 1.0f;
      }
    }
    folder.files[n++ % n_files].second.add(testing::hf_name(name, gemma, arch == "phi3"),
                                           dtype_of(view.format),
                                           {view.axes().begin(), view.axes().end()}, bytes);
  }
  return folder;
}

std::vector<float> logits(const Checkpoint& c) {
  const auto backend = test::make_plain_backend();
  const std::vector<int32_t> tokens = test::random_tokens(11, 101, 5);
  const auto result = test::run_logits(c, *backend, tokens);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : std::vector<float>();
}

struct Case {
  const char* class_name;
  const char* family;
  bool untied = false;
  bool stretched = false;
  WeightFormat format = WeightFormat::kF32;
  size_t n_files = 1;
};

class HuggingFace : public ::testing::TestWithParam<Case> {};

TEST_P(HuggingFace, IsTheSameModelAsItsTwin) {
  const Case& p = GetParam();
  Checkpoint twin = test::random_model(
      {.family = p.family, .format = p.format, .untied = p.untied, .stretched = p.stretched});
  HfFolder folder = folder_of(twin, p.class_name, p.n_files);
  if (std::string_view(p.family).starts_with("qwen")) folder.config["use_sliding_window"] = false;
  if (p.stretched) {
    const std::string_view f = p.family;
    json& scaling = folder.config["rope_scaling"];
    if (f == "qwen2") {
      scaling = {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 24}};
    } else if (f == "phi3") {
      const auto list = [&](const char* name) {
        const TensorView view = twin.tensor(name).value();
        const auto* values = reinterpret_cast<const float*>(view.data);
        return std::vector<float>(values, values + view.shape[0]);
      };
      scaling = {{"type", "longrope"},
                 {"short_factor", list("rope_factors_short.weight")},
                 {"long_factor", list("rope_factors_long.weight")},
                 {"attention_factor", twin.get_number("phi3.rope.scaling.attn_factor").value()}};
      folder.config["original_max_position_embeddings"] = 24;
    } else {
      scaling = {{"type", "linear"}, {"factor", 8.0}};
    }
  }
  const TemporaryFolder at;
  testing::write_folder(at.path(), folder);
  const auto read = open_hugging_face(at.path());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tensors.size(), twin.tensors.size());
  for (const auto& [name, view] : twin.tensors) {
    const auto other = read->tensor(name);
    ASSERT_TRUE(other) << name;
    EXPECT_TRUE(testing::same_tensor(view, *other)) << name;
  }
  EXPECT_EQ(logits(*read), logits(twin));
  EXPECT_EQ(read->get_strings("tokenizer.ggml.tokens")->size(), 101u);
  // And so from the general way in.
  EXPECT_TRUE(open_checkpoint(at.path()));
}

INSTANTIATE_TEST_SUITE_P(
    Families, HuggingFace,
    ::testing::Values(
        Case{"LlamaForCausalLM", "llama"},
        Case{"LlamaForCausalLM", "llama", true, false, WeightFormat::kBF16},
        Case{"MistralForCausalLM", "llama", true, false, WeightFormat::kF16, 3},
        Case{"Qwen2ForCausalLM", "qwen2"}, Case{"Qwen2ForCausalLM", "qwen2", true, true},
        Case{"Qwen3ForCausalLM", "qwen3", false, false, WeightFormat::kF32, 2},
        Case{"Gemma2ForCausalLM", "gemma2"}, Case{"Gemma2ForCausalLM", "gemma2", false, true},
        Case{"Gemma3ForCausalLM", "gemma3"}, Case{"Gemma3ForCausalLM", "gemma3", false, true},
        Case{"Phi3ForCausalLM", "phi3", true}, Case{"Phi3ForCausalLM", "phi3", true, true}),
    [](const auto& of) { return std::string(of.param.class_name) + std::to_string(of.index); });

// --- config.json ---------------------------------------------------------------------------------

json llama_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"intermediate_size", 96},
          {"max_position_embeddings", 131072},
          {"rms_norm_eps", 1e-5}};
}

Result<HfModel> translate(const json& config, Checkpoint& out) {
  return translate_config(parse_json(config.dump()).value(), out);
}

TEST(HfConfig, DefaultsAreThoseOfTheFamilies) {
  Checkpoint out;
  const auto model = translate(llama_config(), out);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->n_kv_heads, 4);
  EXPECT_EQ(model->d_head, 16);
  EXPECT_FALSE(model->tied);
  EXPECT_EQ(out.get_number("llama.rope.freq_base").value(), 10000);
  EXPECT_FALSE(out.has("llama.attention.sliding_window"));
  json gemma = llama_config();
  gemma["architectures"] = {"Gemma3ForCausalLM"};
  Checkpoint out3;
  const auto g = translate(gemma, out3);
  ASSERT_TRUE(g);
  EXPECT_TRUE(g->tied);
  EXPECT_EQ(g->d_head, 256);
  EXPECT_EQ(out3.get_number("gemma3.rope.freq_base").value(), 1e6);
}

// Llama 3.1's published scaling, in the form in which it was published: by wavelength.
TEST(HfConfig, Llama3RopeFactors) {
  json config = llama_config();
  config["head_dim"] = 128;
  config["rope_theta"] = 500000.0;
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  Checkpoint out;
  const auto model = translate(config, out);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->rope_factors.size(), 64u);
  for (size_t i = 0; i < 64; ++i) {
    const double wavelength =
        2 * 3.14159265358979323846 * std::pow(500000.0, 2.0 * static_cast<double>(i) / 128);
    double want = 1;
    if (wavelength > 8192.0 / 1) {
      want = 8;
    } else if (wavelength > 8192.0 / 4) {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      want = 1 / ((1 - smooth) / 8 + smooth);
    }
    // One rounding to float.
    EXPECT_NEAR(static_cast<double>(model->rope_factors[i]), want, want * 0x1p-23) << i;
  }
  EXPECT_EQ(model->rope_factors.front(), 1);
  EXPECT_EQ(model->rope_factors.back(), 8);
}

TEST(HfConfig, NewerFilesGatherTheRope) {
  json config = llama_config();
  config["architectures"] = {"Gemma3ForCausalLM"};
  config["rope_parameters"] = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 2e6}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 20000.0}}}};
  Checkpoint out;
  ASSERT_TRUE(translate(config, out));
  EXPECT_EQ(out.get_number("gemma3.rope.freq_base").value(), 2e6);
  EXPECT_EQ(out.get_number("gemma3.rope.freq_base_swa").value(), 20000);
  EXPECT_EQ(out.get_string("gemma3.rope.scaling.type").value(), "linear");
  EXPECT_EQ(out.get_number("gemma3.rope.scaling.factor").value(), 8);
}

TEST(HfConfig, WindowsByLayer) {
  json config = llama_config();
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["sliding_window"] = 32;
  Checkpoint unused;
  ASSERT_TRUE(translate(config, unused));
  EXPECT_FALSE(unused.has("qwen2.attention.sliding_window"));
  config["use_sliding_window"] = true;
  config["max_window_layers"] = 1;
  Checkpoint out;
  ASSERT_TRUE(translate(config, out));
  EXPECT_EQ(out.get_uint("qwen2.attention.sliding_window", 0, 99).value(), 32u);
  const auto& pattern = std::get<MetaArray>(
      out.metadata.find("qwen2.attention.sliding_window_pattern")->second.value);
  EXPECT_EQ(pattern.numbers, (std::vector<std::byte>{std::byte{0}, std::byte{1}}));
}

// Every key missing, and of every other type and size.
TEST(HfConfig, AnythingElseIsAnErrorOrSound) {
  json full = llama_config();
  full["num_key_value_heads"] = 2;
  full["head_dim"] = 16;
  full["rope_theta"] = 1e4;
  full["sliding_window"] = 8;
  full["partial_rotary_factor"] = 0.5;
  full["hidden_act"] = "silu";
  full["rope_scaling"] = {{"rope_type", "llama3"},
                          {"factor", 8.0},
                          {"low_freq_factor", 1.0},
                          {"high_freq_factor", 4.0},
                          {"original_max_position_embeddings", 8192}};
  const std::vector<json> others = {nullptr,
                                    true,
                                    0,
                                    1,
                                    -1,
                                    3,
                                    1u << 31,
                                    18446744073709551615u,
                                    1e300,
                                    0.1,
                                    "",
                                    "x",
                                    json::array(),
                                    json::array({1}),
                                    json::object()};
  size_t n = 0;
  const json flat = full.flatten();
  for (const char* family :
       {"LlamaForCausalLM", "Qwen2ForCausalLM", "Gemma2ForCausalLM", "Phi3ForCausalLM"}) {
    for (const auto& [pointer, value] : flat.items()) {
      for (const json& other : others) {
        json changed = full;
        changed["architectures"] = {family};
        changed[json::json_pointer(pointer)] = other;
        Checkpoint out;
        const auto model = translate(changed, out);
        ++n;
        if (!model) {
          EXPECT_FALSE(model.error().message.empty());
          continue;
        }
        EXPECT_GE(model->d_rot, 2);
        EXPECT_LE(model->d_rot, model->d_head);
        EXPECT_LE(model->rope_factors.size(), static_cast<size_t>(model->d_rot));
      }
    }
  }
  EXPECT_GT(n, 800u);
  for (const char* key :
       {"architectures", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size", "max_position_embeddings", "rms_norm_eps"}) {
    json changed = full;
    changed.erase(key);
    Checkpoint out;
    EXPECT_FALSE(translate(changed, out)) << key;
  }
  json other = full;
  other["architectures"] = {"BertModel"};
  Checkpoint out;
  const auto refused = translate(other, out);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("BertModel"), std::string::npos);
}

// --- folders that are not whole
// --------------------------------------------------------------------

TEST(HuggingFaceFolder, WhatIsMissingOrForeignIsSaid) {
  const auto attempt = [](const std::function<void(HfFolder&)>& change, size_t n_files = 2) {
    Checkpoint twin = test::random_model({.family = "llama", .untied = true});
    HfFolder folder = folder_of(twin, "LlamaForCausalLM", n_files);
    change(folder);
    const TemporaryFolder at;
    testing::write_folder(at.path(), folder);
    const auto read = open_hugging_face(at.path());
    return read ? std::string("accepted") : read.error().message;
  };
  const auto mentions = [](const std::string& message, std::string_view words) {
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  EXPECT_EQ(attempt([](HfFolder&) {}), "accepted");
  mentions(attempt([](HfFolder& f) { f.files[0].first = "../escape.safetensors"; }),
           "not in a file of this folder");
  mentions(attempt([](HfFolder& f) { f.files[0].first = "/abs.safetensors"; }),
           "not in a file of this folder");
  mentions(attempt([](HfFolder& f) { f.files[0].first = "model.bin"; }),
           "not in a file of this folder");
  mentions(
      attempt([](HfFolder& f) { f.files[0].second.add("model.extra.weight", "F32", {1}, "1234"); }),
      "model.extra.weight");
  mentions(attempt([](HfFolder& f) {
             f.files[0].second.add("model.layers.99.mlp.up_proj.weight", "F32", {1}, "1234");
           }),
           "has no place");
  mentions(attempt([](HfFolder& f) {
             f.files[0].second.add("model.layers.01.mlp.up_proj.weight", "F32", {1}, "1234");
           }),
           "has no place");
  mentions(attempt([](HfFolder& f) {
             f.config["num_attention_heads"] = 7;
             f.config["num_key_value_heads"] = 7;
           }),
           "heads");
  mentions(attempt([](HfFolder& f) { f.tokenizer_json = "{}"; }), "model");
  mentions(attempt([](HfFolder& f) { f.tokenizer_json = "["; }), "tokenizer.json");
  mentions(attempt([](HfFolder& f) { f.files.pop_back(); }, 3), "");
  // A tied model whose folder repeats the embedding as lm_head.
  EXPECT_EQ(attempt([](HfFolder& f) { f.config["tie_word_embeddings"] = true; }), "accepted");
  const TemporaryFolder empty;
  mentions(open_checkpoint(empty.path()).error().message, "no config.json");
}

TEST(OpenCheckpoint, SaysWhatAFileIsInstead) {
  const TemporaryFolder at;
  const auto said = [&](std::string_view bytes) {
    testing::spill(at / "file", bytes);
    const auto read = open_checkpoint(at / "file");
    EXPECT_FALSE(read);
    return read ? "" : read.error().message;
  };
  const auto mentions = [](const std::string& message, std::string_view words) {
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  mentions(said("hello there, this is text"), "a text file");
  mentions(said("PK\3\4 and so on"), "a zip archive");
  mentions(said("ggjt\1\2\3\4"), "before GGUF");
  SafetensorsBuilder tensors;
  tensors.add("a", "F32", {1}, "1234");
  mentions(said(tensors.build()), "safetensors file alone");
  mentions(said(std::string("manifest.json") + std::string(499, '\0')), "is a zoo");
  mentions(said(std::string("\1\2\3\4\5", 5)), "begins with");
  mentions(said(""), "empty");
  EXPECT_EQ(open_checkpoint(at / "none").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace ac
