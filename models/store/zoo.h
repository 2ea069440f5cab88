// The zoo: every variant of a model in one file, mapped, not copied.
//
// A pax tar written and read through libarchive, nothing compressed. First member manifest.json;
// then tokenizer.gguf (metadata only), one GGUF per variant without the tokenizer, and
// predictor.gguf. The byte layout is drawn in docs/zoo_format.md.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/checkpoint.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"

namespace ac {

struct ZooMember {
  std::string name;  // "variants/q4_0.gguf"
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  std::string sha256;  // 64 hexadecimal digits
};

// How a variant compares with its base on text that it was not made from.
struct VariantQuality {
  uint64_t n_tokens = 0;  // positions that were predicted
  double perplexity = 0;
  double base_perplexity = 0;
  double kl_mean = 0;  // nats; divergence of the next-token distribution from the base's
  double kl_median = 0;
  double kl_99 = 0;      // 99th percentile over positions
  double same_top1 = 0;  // share of positions with the same likeliest token
};

// Answers of a variant that were right, of one kind of task.
struct TaskSuccess {
  std::string task;
  uint64_t n_right = 0;
  uint64_t n_total = 0;
};

struct ZooVariant {
  std::string id;  // ^[a-z0-9][a-z0-9._-]{0,63}$
  std::string member;
  // Of a nested variant: 0 to 100. Variants that differ only in it share one member.
  std::optional<int32_t> level = std::nullopt;
  std::vector<std::string> techniques =
      {};  // "quantize q4_0", "low_rank 0.5", in the order applied
  uint64_t parameters = 0;
  uint64_t macs_per_token = 0;
  uint64_t weight_bytes = 0;
  uint64_t bytes_per_token = 0;
  // Weight formats present and how many tensors have each; tensors left in a wider format than
  // asked, each with the reason.
  std::map<std::string, uint64_t> formats = {};
  std::vector<std::string> notes = {};
  std::optional<VariantQuality> quality = std::nullopt;
  double ms_per_token = 0;  // decoding, on the machine that made the zoo; 0: not measured
  std::vector<TaskSuccess> success = {};
};

struct ZooManifest {
  int schema_version = 1;  // as read; what is written follows from what is there
  std::string base;        // name of the checkpoint that all variants were made from
  std::string architecture;
  int32_t n_context = 0;
  std::vector<std::string> recipe = {};  // what was done before any variant: texts, tokens, hashes
  std::vector<ZooVariant> variants;      // cheapest first (bit-operations per token)
  std::vector<ZooMember> members;        // every member but manifest.json
};

// A check that runs on a thread of its own.
class PendingCheck {
 public:
  virtual ~PendingCheck() = default;
  // Blocks until the check is done. Thread-safe; may be asked again.
  virtual Status wait() const = 0;
};

// Weights that are being hashed while they are loaded. They are safe to run (parsing does not
// depend on the hash), but no result may leave before check->wait() has succeeded.
struct UncheckedVariant {
  Checkpoint checkpoint;
  std::shared_ptr<const PendingCheck> check;
};

// Immutable; members are checked against their SHA-256 the first time they are opened. Thread-safe.
class Zoo {
 public:
  // Errors: kNotFound, kIo, kCorruptFile (foreign, duplicate, linked, escaping, undeclared or
  // missing members, sizes that differ from the manifest, a manifest that breaks its schema, any
  // flipped bit outside the members' data).
  static Result<std::shared_ptr<const Zoo>> open(const std::string& path);
  // The same from memory; `owner` keeps `bytes` alive, `path` names it in errors.
  static Result<std::shared_ptr<const Zoo>> parse(std::span<const std::byte> bytes,
                                                  std::shared_ptr<const void> owner,
                                                  std::string path);
  virtual ~Zoo() = default;

  virtual const ZooManifest& manifest() const = 0;
  virtual const std::string& path() const = 0;
  // The variant's weights together with the zoo's tokenizer, and its level in the metadata. Errors:
  // kNotFound naming the variants there are; kCorruptFile when the member's hash differs.
  virtual Result<Checkpoint> open_variant(std::string_view id) const = 0;
  // The same without waiting for the hash of the weights (1.2 GB/s where the CPU has SHA
  // instructions): for a fast start.
  virtual Result<UncheckedVariant> open_variant_unchecked(std::string_view id) const = 0;
  virtual Result<std::optional<Checkpoint>> open_predictor() const = 0;
  // A member as it is, checked. Errors: kNotFound, kCorruptFile.
  virtual Result<std::span<const std::byte>> member(std::string_view name) const = 0;
  // Reads and hashes everything.
  virtual Status verify() const = 0;
};

// What a zoo is written from.
struct ZooDraft {
  ZooManifest manifest;  // members are filled in by write_zoo
  struct Member {
    std::string name;
    const Checkpoint* checkpoint = nullptr;  // written as GGUF, or
    std::span<const std::byte> bytes;        // copied as they are
  };
  std::vector<Member> members;
};
// Writes to a temporary file, syncs, renames: a reader sees the old zoo or the new one. The same
// draft gives the same bytes.
Status write_zoo(const std::string& path, const ZooDraft& draft);

// The manifest as JSON and back. Errors: kCorruptFile.
std::string manifest_to_json(const ZooManifest& manifest);
Result<ZooManifest> manifest_from_json(std::string_view text);
// One variant's entry, as it would be in a manifest. Errors: kCorruptFile.
std::string variant_to_json(const ZooVariant& variant);
Result<ZooVariant> variant_from_json(std::string_view text);

}  // namespace ac
