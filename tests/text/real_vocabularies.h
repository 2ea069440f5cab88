// The vocabularies of real models that lie beside a checkout, as checkpoints with tokenizer keys
// only.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "models/store/gguf.h"
#include "runtime/core/checkpoint.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"

namespace ac {

struct RealVocabulary {
  std::string name;
  std::string path;      // a GGUF, a folder with vocab.json and merges.txt, or a tokenizer.json
  std::string expected;  // ids, a line a text
};

// The name that GoogleTest shows for a parameter.
inline void PrintTo(const RealVocabulary& vocabulary, std::ostream* out) {
  *out << vocabulary.name;
}

inline std::vector<RealVocabulary> real_vocabularies(const std::string& shared) {
  const std::string folder = shared + "/tokenizers/";
  std::vector<RealVocabulary> all;
  for (const char* name : {"gpt-2", "falcon", "starcoder", "deepseek-llm", "llama-spm", "phi-3"}) {
    const std::string path = folder + "ggml-vocab-" + name + ".gguf";
    all.push_back({name, path, path + ".out"});
  }
  all.push_back({"qwen2", folder + "qwen2", folder + "qwen2/ggml-vocab-qwen2.gguf.out"});
  all.push_back({"smollm2", folder + "smollm2/tokenizer.json",
                 folder + "smollm2/ggml-vocab-smollm.gguf.out"});
  return all;
}

// A byte-level vocabulary in Hugging Face's files, as keys; only what these two models need.
inline Result<Checkpoint> byte_level_from_json(const std::string& path) {
  constexpr uint64_t kLimit = 64u << 20;
  const bool folder = std::filesystem::is_directory(path);
  AC_TRY(const std::string text, read_file(folder ? path + "/vocab.json" : path, kLimit));
  AC_TRY(const Json json, parse_json(text, {.max_bytes = kLimit}));
  const Json& vocab = folder ? json : json["model"]["vocab"];
  Json added = folder ? Json::array() : json["added_tokens"];
  std::vector<std::string> merges;
  if (folder) {
    AC_TRY(const std::string lines, read_file(path + "/merges.txt", kLimit));
    std::istringstream stream(lines);
    for (std::string line; std::getline(stream, line);) {
      if (!line.empty() && !line.starts_with("#version")) merges.push_back(line);
    }
    AC_TRY(const std::string config, read_file(path + "/tokenizer_config.json", kLimit));
    AC_TRY(const Json parsed, parse_json(config));
    for (const auto& [id, token] : parsed["added_tokens_decoder"].items()) {
      added.push_back({{"id", std::stoi(id)}, {"content", token["content"]}});
    }
  } else {
    for (const Json& pair : json["model"]["merges"]) {
      merges.push_back(pair[0].get<std::string>() + " " + pair[1].get<std::string>());
    }
  }
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  const auto put = [&](const std::string& token, size_t id, int32_t type) {
    if (tokens.size() <= id) {
      tokens.resize(id + 1);
      types.resize(id + 1, 5);
    }
    tokens[id] = token;
    types[id] = type;
  };
  for (const auto& [token, id] : vocab.items()) put(token, id.get<size_t>(), 1);
  for (const Json& token : added) put(token["content"], token["id"].get<size_t>(), 3);
  Checkpoint checkpoint;
  checkpoint.origin = path;
  checkpoint.set_string("tokenizer.ggml.model", "gpt2");
  checkpoint.set_string("tokenizer.ggml.pre", folder ? "qwen2" : "smollm");
  checkpoint.set_strings("tokenizer.ggml.tokens", tokens);
  checkpoint.set_integers("tokenizer.ggml.token_type", types);
  checkpoint.set_strings("tokenizer.ggml.merges", merges);
  return checkpoint;
}

inline Result<Checkpoint> open_vocabulary(const RealVocabulary& vocabulary) {
  if (vocabulary.path.ends_with(".gguf")) return open_gguf(vocabulary.path);
  return byte_level_from_json(vocabulary.path);
}

}  // namespace ac
