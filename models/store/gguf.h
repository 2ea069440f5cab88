// GGUF, versions 1 to 3 read, version 3 written.
// Source: the format's specification, ggml docs/gguf.md.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "runtime/core/checkpoint.h"
#include "runtime/core/file.h"

namespace ac {

// Maps the file; tensors and strings point into the mapping, which the checkpoint keeps alive.
// Errors: kNotFound, kIo, kCorruptFile (what, offset, expected, actual), kUnsupported (a big-endian
// file, an unknown tensor type).
Result<Checkpoint> open_gguf(const std::string& path);

// The same from memory; `owner` keeps `bytes` alive, `origin` names it in errors.
Result<Checkpoint> parse_gguf(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                              std::string origin);

// Writes metadata in key order and tensors in tensor_order, 32-byte aligned (64 when the checkpoint
// holds a packed format).
Status write_gguf(const Checkpoint& checkpoint, FileWriter& out);
// Bytes that write_gguf writes.
Result<uint64_t> gguf_bytes(const Checkpoint& checkpoint);

// A GGUF file, a Hugging Face folder, or an error that says what the path is instead.
Result<Checkpoint> open_checkpoint(const std::string& path);

}  // namespace ac
