// What the zoo's reader and writer must agree on; drawn in docs/zoo_format.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ac {

inline constexpr std::string_view kManifestMember = "manifest.json";
inline constexpr std::string_view kTokenizerMember = "tokenizer.gguf";
inline constexpr std::string_view kPredictorMember = "predictor.gguf";
inline constexpr std::string_view kVariantFolder = "variants/";
// The last member: a SHA-256 over every byte before its own data that is not the data of a member
// in the manifest (those have hashes of their own), as 64 hexadecimal digits and a line feed.
inline constexpr std::string_view kSealMember = "seal.sha256";
inline constexpr uint64_t kSealBytes = 65;

inline constexpr uint64_t kTarBlockBytes = 512;
inline constexpr uint64_t kTarEndBytes = 1024;  // two blocks of zeros end the archive, and the file
inline constexpr uint64_t kMaxManifestBytes = 4u << 20;

// ^[a-z0-9][a-z0-9._-]{0,63}$
bool is_variant_id(std::string_view id);
// A name of that form, alone or inside variants/; never "..".
bool is_zoo_member_name(std::string_view name);

}  // namespace ac
