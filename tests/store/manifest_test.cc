// manifest.json: what is written is read, in every version; whatever else it says is refused.
#include <nlohmann/json.hpp>

#include "models/store/tar_reader.h"
#include "models/store/zoo.h"
#include "models/store/zoo_layout.h"
#include "runtime/core/json.h"
#include "tests/store/zoo_draft.h"

namespace ac {
namespace {

// That of the small zoo.
std::string small_manifest() {
  const std::string zoo = testing::small_zoo();
  const auto members = read_tar(std::as_bytes(std::span(zoo)));
  AC_CHECK(members.has_value() && !members->empty() && (*members)[0].name == "manifest.json");
  const std::span<const std::byte> bytes = (*members)[0].data;
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Manifest, OfAnotherShapeIsRefused) {
  const Json right = *parse_json(small_manifest());
  ASSERT_TRUE(manifest_from_json(right.dump()));
  EXPECT_EQ(manifest_to_json(*manifest_from_json(right.dump())), small_manifest());
  // Every value of the manifest replaced by a value of each other kind.
  const std::vector<Json> others = {nullptr,
                                    true,
                                    -1,
                                    1.5,
                                    1e300,
                                    18446744073709551615u,
                                    "",
                                    "../x",
                                    "x\ny",
                                    Json::array(),
                                    Json::object(),
                                    Json::array({1}),
                                    Json{{"a", 1}}};
  size_t n_refused = 0, n_accepted = 0;
  const auto flat = right.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    for (const Json& other : others) {
      Json changed = right;
      changed[Json::json_pointer(pointer)] = other;
      const auto read = manifest_from_json(changed.dump());
      if (!read) {
        ++n_refused;
        continue;
      }
      ++n_accepted;
      const auto again = manifest_from_json(manifest_to_json(*read));
      ASSERT_TRUE(again) << again.error().message;
      EXPECT_EQ(manifest_to_json(*again), manifest_to_json(*read));
    }
  }
  EXPECT_GT(n_refused, 5 * n_accepted);
  // Every key missing, and one too many.
  for (const auto& [key, value] : right.items()) {
    Json changed = right;
    changed.erase(key);
    EXPECT_FALSE(manifest_from_json(changed.dump())) << key;
  }
  for (const char* list : {"variants", "members"}) {
    for (const auto& [key, value] : right[list][0].items()) {
      Json changed = right;
      changed[list][0].erase(key);
      EXPECT_FALSE(manifest_from_json(changed.dump())) << list << ' ' << key;
    }
    Json changed = right;
    changed[list][0]["extra"] = 1;
    EXPECT_FALSE(manifest_from_json(changed.dump()));
    changed = right;
    changed[list].push_back(changed[list][0]);
    EXPECT_FALSE(manifest_from_json(changed.dump()));  // listed twice
  }
  Json changed = right;
  changed["extra"] = 1;
  EXPECT_FALSE(manifest_from_json(changed.dump()));
  changed = right;
  changed["schema_version"] = 4;
  const auto newer = manifest_from_json(changed.dump());
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, ErrorCode::kUnsupported);
  const std::string text = right.dump();
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(manifest_from_json(text.substr(0, n))) << n;
}

// What a build measures goes into version 2 and comes back; version 1 knows none of it.
TEST(Manifest, WhatWasMeasured) {
  ZooManifest manifest = *manifest_from_json(small_manifest());
  ASSERT_EQ(manifest.schema_version, 1);
  manifest.recipe = {"calibrate tokens=100"};
  ZooVariant& variant = manifest.variants[0];
  variant.quality = VariantQuality{.n_tokens = 99,
                                   .perplexity = 4.5,
                                   .base_perplexity = 4.25,
                                   .kl_mean = 0.125,
                                   .kl_median = 0.0625,
                                   .kl_99 = 1.5,
                                   .same_top1 = 0.875};
  variant.ms_per_token = 0.75;
  variant.success = {{"citations", 19, 20}};
  const std::string text = manifest_to_json(manifest);
  const auto read = manifest_from_json(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->schema_version, 2);
  EXPECT_EQ(read->recipe, manifest.recipe);
  EXPECT_EQ(manifest_to_json(*read), text);
  const ZooVariant& back = read->variants[0];
  ASSERT_TRUE(back.quality);
  EXPECT_EQ(back.quality->n_tokens, 99u);
  EXPECT_EQ(back.quality->kl_99, 1.5);
  EXPECT_EQ(back.ms_per_token, 0.75);
  ASSERT_EQ(back.success.size(), 1u);
  EXPECT_EQ(back.success[0].n_right, 19u);
  EXPECT_FALSE(read->variants[1].quality);
  const auto alone = variant_from_json(variant_to_json(variant));
  ASSERT_TRUE(alone) << alone.error().message;
  EXPECT_EQ(variant_to_json(*alone), variant_to_json(variant));

  const Json right = *parse_json(text);
  Json changed = right;
  changed["schema_version"] = 1;
  EXPECT_FALSE(manifest_from_json(changed.dump()));
  for (const char* key : {"perplexity", "kl_mean", "same_top1"}) {
    for (const Json& wrong : {Json(-1), Json("x"), Json(nullptr)}) {
      changed = right;
      changed["variants"][0]["quality"][key] = wrong;
      EXPECT_FALSE(manifest_from_json(changed.dump())) << key << wrong;
    }
  }
  changed = right;
  changed["variants"][0]["quality"]["more"] = 1;
  EXPECT_FALSE(manifest_from_json(changed.dump()));
  changed = right;
  changed["variants"][0]["success"][0]["n_right"] = 21;
  EXPECT_FALSE(manifest_from_json(changed.dump()));
  changed = right;
  changed["variants"][0]["ms_per_token"] = -1;
  EXPECT_FALSE(manifest_from_json(changed.dump()));
  for (size_t n = 0; n + 1 < text.size(); ++n) {
    EXPECT_FALSE(manifest_from_json(text.substr(0, n))) << n;
  }
}

// Variants of several levels share a member, which version 3 says; nothing else may share one.
TEST(Manifest, Levels) {
  ZooManifest manifest = *manifest_from_json(small_manifest());
  ZooVariant& low = manifest.variants[0];
  low.level = 0;
  ZooVariant high = low;
  high.id = "high";
  high.level = 100;
  manifest.variants.push_back(high);
  const std::string text = manifest_to_json(manifest);
  const auto read = manifest_from_json(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->schema_version, 3);
  EXPECT_EQ(read->variants[0].level, 0);
  EXPECT_EQ(read->variants[1].level, std::nullopt);
  EXPECT_EQ(read->variants[2].level, 100);
  EXPECT_EQ(manifest_to_json(*read), text);

  const Json right = *parse_json(text);
  const auto expect_refused = [&](const std::function<void(Json&)>& change, std::string_view part) {
    Json changed = right;
    change(changed);
    const auto refused = manifest_from_json(changed.dump());
    ASSERT_FALSE(refused) << part;
    EXPECT_EQ(refused.error().code, ErrorCode::kCorruptFile);
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
  };
  for (const Json& wrong : {Json(-1), Json(101), Json(0.5), Json("50"), Json(nullptr)}) {
    expect_refused([&](Json& m) { m["variants"][0]["level"] = wrong; }, "level");
  }
  expect_refused([](Json& m) { m["schema_version"] = 2; }, "level");
  expect_refused([](Json& m) { m["variants"][2]["level"] = 0; }, "a level of its own");
  expect_refused([](Json& m) { m["variants"][2].erase("level"); }, "a level of its own");
  expect_refused([](Json& m) { m["variants"][0].erase("level"); }, "a level of its own");
  expect_refused([](Json& m) { m["variants"][2]["member"] = m["variants"][1]["member"]; },
                 "a level of its own");
  expect_refused([](Json& m) { m["variants"][2]["member"] = "tokenizer.gguf"; },
                 "a level of its own");
}

}  // namespace
}  // namespace ac
