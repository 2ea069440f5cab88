// From a base checkpoint to a zoo, into it and out of it again.
//
// For now a variant is the base with its matrices rounded to nearest in another weight format.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "models/store/zoo.h"

namespace ac {

// Called on the caller's thread; `note` says what is being done.
using PackProgress = std::function<void(uint64_t done, uint64_t total, std::string_view note)>;

struct PackOptions {
  std::string base_path;  // a GGUF file or a Hugging Face folder
  std::string zoo_path;   // replaced when it exists
  // Weight formats, by name ("q8_0"). The base itself is always a variant, named after its own
  // format.
  std::vector<std::string> variants = {};
  int n_threads = 0;  // 0: one per core
  PackProgress progress = {};
};

struct PackReport {
  ZooManifest manifest;
  uint64_t zoo_bytes = 0;
};

// Matrices are rounded to nearest; vectors stay as they are; a matrix whose rows are not whole
// blocks of the format stays f16 (or as it is, if narrower) and the manifest notes it; the output
// matrix never has less than 8 bits, nor has the embedding where it is tied to it. Formats of
// blocks are stored in the kernels' layout, so that they are mapped and used in place. Errors:
// those of open_checkpoint and read_model_config; kInvalidArgument (an unknown format, one that is
// no smaller than the base), kUnsupported (a format without encoder), kCorruptFile (weights that
// are not finite), kIo, kOutOfMemory.
Result<PackReport> pack_zoo(const PackOptions& options);

struct ZooAddOptions {
  std::string zoo_path;
  std::string predictor_path = {};         // a GGUF file; replaces the one there is
  std::vector<std::string> variants = {};  // further weight formats, made from the zoo's base
  int n_threads = 0;
  PackProgress progress = {};
};
// Errors as pack_zoo; kInvalidArgument when the zoo has the variant already.
Result<PackReport> zoo_add(const ZooAddOptions& options);

// The zoo without a variant; its weights stay where another level of them is left. A predictor goes on judging
// the others. Errors: those of Zoo::open; kNotFound naming the variants there are; kInvalidArgument (the only
// variant); kIo. The zoo stays as it was then.
Result<PackReport> zoo_remove(const std::string& zoo_path, std::string_view variant);

struct ExtractReport {
  uint64_t bytes = 0;              // written
  std::vector<std::string> notes;  // what had to change
};
// Writes a variant as one standard GGUF file: tokenizer merged back, packed formats unpacked. At
// level 0 a nested variant is its Q4_0 base; above, matrices of two planes are rounded to Q8_0.
// Errors: kNotFound, kCorruptFile, kIo.
Result<ExtractReport> zoo_extract(const Zoo& zoo, std::string_view variant,
                                  const std::string& path);

}  // namespace ac
