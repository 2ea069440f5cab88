// Writes the seeds of the fuzz targets gguf, safetensors, zoo and manifest: make_seeds FOLDER.
// One small file for each thing that a reader distinguishes, right and wrong.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "models/store/zoo.h"
#include "tests/store/gguf_builder.h"
#include "tests/store/safetensors_builder.h"
#include "tests/store/zoo_builder.h"

namespace ac::testing {
namespace {

class Seeds {
 public:
  Seeds(std::string folder, std::string target) : folder_(std::move(folder) + "/" + target) {
    std::filesystem::create_directories(folder_);
  }
  void add(const std::string& name, std::string_view bytes) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::string folder_;
};

// A value of `type`, in a file of `version`.
std::string raw_value(const GgufBuilder& b, uint32_t type) {
  constexpr size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  if (type == 9) return "";
  std::string raw;
  if (type == 8) {
    b.put_string(raw, "text");
  } else {
    raw.assign(kBytes[type], '\1');
  }
  return raw;
}

void gguf_seeds(const Seeds& seeds) {
  for (uint32_t version = 1; version <= 3; ++version) {
    const std::string v = "v" + std::to_string(version) + "_";
    const GgufBuilder b(version);
    for (uint32_t type = 0; type <= 12; ++type) {
      const std::string t = std::to_string(type);
      if (type != 9)
        seeds.add(v + "value_" + t,
                  GgufBuilder(version).pair("k", type, raw_value(b, type)).build());
      std::string array;
      GgufBuilder::put(array, type);
      b.put_count(array, 2);
      array += raw_value(b, type) + raw_value(b, type);
      seeds.add(v + "array_" + t, GgufBuilder(version).pair("k", 9, array).build());
    }
    seeds.add(v + "empty", GgufBuilder(version).build());
    seeds.add(v + "two_tensors", GgufBuilder(version)
                                     .tensor("a.weight", {4, 2}, 0, 0)
                                     .tensor("b.weight", {8}, 1, 32)
                                     .data(std::string(48, 'w'))
                                     .build());
  }
  for (const uint32_t type : {0u, 1u, 2u, 3u, 4u, 6u, 7u, 8u, 10u, 11u, 12u, 13u, 14u, 15u, 30u,
                              0x41430002u, 0x41430008u}) {
    const bool packed = type > 0xffff;
    seeds.add("tensor_type_" + std::to_string(type),
              GgufBuilder()
                  .u32("general.alignment", packed ? 64 : 32)
                  .tensor("t", {packed ? 64u : 256u}, type, 0)
                  .data(std::string(1100, 'w'))
                  .build(packed ? 64 : 32));
  }
  for (uint32_t alignment = 1; alignment <= 4096; alignment *= 2) {
    seeds.add("alignment_" + std::to_string(alignment), GgufBuilder()
                                                            .u32("general.alignment", alignment)
                                                            .tensor("t", {2}, 0, 0)
                                                            .data("12345678")
                                                            .build(alignment));
  }
  const std::string data(64, 'w');
  const auto tensor = [&](const std::string& name, const std::vector<uint64_t>& axes, uint32_t type,
                          uint64_t offset) {
    seeds.add("wrong_" + name, GgufBuilder().tensor("t", axes, type, offset).data(data).build());
  };
  tensor("no_axes", {}, 0, 0);
  tensor("five_axes", {1, 1, 1, 1, 1}, 0, 0);
  tensor("zero_axis", {0}, 0, 0);
  tensor("huge_axis", {UINT64_MAX}, 0, 0);
  tensor("product_wraps", {1ull << 32, 1ull << 32}, 0, 0);
  tensor("not_blocks", {31}, 8, 0);
  tensor("past_the_end", {17}, 0, 0);
  tensor("not_aligned", {4}, 0, 4);
  tensor("offset_wraps", {4}, 0, UINT64_MAX - 31);
  seeds.add("wrong_overlap",
            GgufBuilder().tensor("t", {8}, 0, 0).tensor("u", {8}, 0, 0).data(data).build());
  seeds.add("wrong_twice",
            GgufBuilder().tensor("t", {8}, 0, 0).tensor("t", {8}, 0, 32).data(data).build());
  seeds.add("wrong_key_twice", GgufBuilder().u32("k", 1).u32("k", 1).build());
  seeds.add("wrong_bool", GgufBuilder().pair("k", 7, "\2").build());
  seeds.add("wrong_alignment_type", GgufBuilder().f32("general.alignment", 32).build());
  seeds.add("wrong_many_tensors", GgufBuilder().build(32, 1ull << 60, 0));
  seeds.add("wrong_many_keys", GgufBuilder().build(32, 0, 1ull << 60));
  seeds.add("wrong_big_endian", std::string("GGUF\0\0\0\3", 8) + std::string(16, '\0'));
  seeds.add("wrong_version", GgufBuilder(4).build());
}

void safetensors_seeds(const Seeds& seeds) {
  for (const char* dtype : {"F32", "F16", "BF16", "F64", "I64", "U8"}) {
    SafetensorsBuilder b;
    b.add("a.weight", dtype, {2, 2}, std::string(dtype == std::string("F32") ? 16 : 8, 'w'));
    seeds.add(std::string("dtype_") + dtype, b.build());
  }
  SafetensorsBuilder two;
  two.add("a", "F32", {1}, "1234").add("b", "BF16", {1, 1, 1, 2}, "1234");
  two.header()["__metadata__"] = {{"format", "pt"}};
  seeds.add("two", two.build());
  seeds.add("trailing", two.build() + "x");
  seeds.add("zip_before", "PK\3\4" + two.build());
  seeds.add("empty", safetensors_file("{}", ""));
  int n = 0;
  for (const char* entry : {R"("dtype":"F32","shape":[],"data_offsets":[0,4])",
                            R"("dtype":"F32","shape":[0],"data_offsets":[0,0])",
                            R"("dtype":"F32","shape":[2],"data_offsets":[0,4])",
                            R"("dtype":"F32","shape":[1],"data_offsets":[4,0])",
                            R"("dtype":"F16","shape":[1],"data_offsets":[2,4])",
                            R"("dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4])",
                            R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])",
                            R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])",
                            R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])",
                            R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"}) {
    seeds.add("wrong_" + std::to_string(n++),
              safetensors_file(std::string(R"({"a":{)") + entry + "}}", "1234"));
  }
  for (const uint64_t size : {uint64_t{0}, uint64_t{100'000'001}, uint64_t{1} << 63, UINT64_MAX}) {
    std::string text = two.build();
    std::memcpy(text.data(), &size, 8);
    seeds.add("header_" + std::to_string(size), text);
  }
}

// A zoo of two variants, and the same as a manifest with the members' bytes behind it.
void zoo_seeds(const Seeds& seeds, const Seeds& manifests) {
  const std::string tokenizer = GgufBuilder().strings("tokenizer.ggml.tokens", {"a", "b"}).build();
  const std::string weights = GgufBuilder()
                                  .string("general.architecture", "llama")
                                  .tensor("w", {4}, 0, 0)
                                  .data(std::string(16, 'w'))
                                  .build();
  const std::vector<std::pair<std::string, std::string>> members = {{"tokenizer.gguf", tokenizer},
                                                                    {"variants/q4_0.gguf", weights},
                                                                    {"variants/f32.gguf", weights},
                                                                    {"predictor.gguf", tokenizer}};
  ZooManifest manifest;
  manifest.base = "base";
  manifest.architecture = "llama";
  manifest.n_context = 64;
  manifest.variants = {{.id = "q4_0",
                        .member = "variants/q4_0.gguf",
                        .techniques = {"quantize q4_0"},
                        .parameters = 4,
                        .macs_per_token = 4,
                        .weight_bytes = 16,
                        .bytes_per_token = 16,
                        .formats = {{"f32", 1}},
                        .notes = {"w: f32"}},
                       {.id = "f32", .member = "variants/f32.gguf"}};
  for (const auto& [name, bytes] : members)
    manifest.members.push_back({name, 0, bytes.size(), sha256_of(bytes)});
  const std::string json = manifest_to_json(manifest);
  manifests.add("whole", json);
  manifests.add(
      "least",
      R"({"schema_version":1,"base":"","architecture":"","n_context":0,"variants":[],"members":[]})");
  ZooManifest leveled = manifest;
  leveled.variants[0].level = 0;
  leveled.variants.push_back(leveled.variants[0]);
  leveled.variants.back().id = "high";
  leveled.variants.back().level = 100;
  manifests.add("levels", manifest_to_json(leveled));
  manifests.add("newer", R"({"schema_version":4})");
  std::string behind = json + '\0';
  for (const auto& [name, bytes] : members) behind += bytes;
  seeds.add("behind_manifest", behind);
  const auto archive = [&](const std::string& extra_name, char type) {
    TarBuilder tar;
    tar.add("manifest.json", json, true);
    for (const auto& [name, bytes] : members) tar.add(name, bytes);
    if (!extra_name.empty()) tar.add(extra_name, "12 size=10\n", true, type);
    return tar.seal();
  };
  seeds.add("whole", archive("", '0'));
  seeds.add("cut", archive("", '0').substr(0, 2000));
  seeds.add("escaping", archive("../x", '0'));
  seeds.add("symlink", archive("link", '2'));
  seeds.add("hardlink", archive("link", '1'));
  seeds.add("folder", archive("folder", '5'));
  seeds.add("fifo", archive("pipe", '6'));
  seeds.add("pax", archive("pax", 'x'));
  seeds.add("global_pax", archive("pax", 'g'));
  seeds.add("gnu_long_name", archive("long", 'L'));
  seeds.add("gnu_sparse", archive("sparse", 'S'));
}

}  // namespace
}  // namespace ac::testing

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  using ac::testing::Seeds;
  ac::testing::gguf_seeds(Seeds(argv[1], "gguf"));
  ac::testing::safetensors_seeds(Seeds(argv[1], "safetensors"));
  ac::testing::zoo_seeds(Seeds(argv[1], "zoo"), Seeds(argv[1], "manifest"));
  return 0;
}
