// Writes a zoo in two passes over its members: first their hashes, because the manifest that holds
// them comes first in the file; then the archive itself, which is hashed again as it goes by.
#include <archive.h>
#include <archive_entry.h>

#include <algorithm>

#include "models/store/gguf.h"
#include "models/store/sha256.h"
#include "models/store/zoo.h"
#include "models/store/zoo_layout.h"

namespace ac {
namespace {

// Counts and hashes, keeps nothing.
class HashingWriter final : public FileWriter {
 public:
  using FileWriter::write;
  Status write(std::span<const std::byte> bytes) override {
    hash_.update(bytes);
    n_bytes_ += bytes.size();
    return {};
  }
  Status commit() override { return {}; }
  uint64_t offset_bytes() const override { return n_bytes_; }
  std::string hex_digest() { return hash_.hex_digest(); }

 private:
  Sha256 hash_;
  uint64_t n_bytes_ = 0;
};

// The archive being written. The bytes that libarchive makes (headers, padding) and the manifest go
// into the seal; members' data do not.
class TarWriter {
 public:
  explicit TarWriter(FileWriter& out) : out_(out), archive_(archive_write_new()) {}
  ~TarWriter() {
    if (archive_ == nullptr) return;
    abandoned_ = true;
    archive_write_free(archive_);
  }
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  Status open() {
    if (archive_ == nullptr)
      return fail(ErrorCode::kOutOfMemory, "no memory for an archive writer");
    // "Restricted": a plain ustar header wherever it can hold the entry, a pax header where it
    // cannot (members of 8 GiB and more).
    AC_TRY_STATUS(check(archive_write_set_format_pax_restricted(archive_)));
    AC_TRY_STATUS(check(archive_write_add_filter_none(archive_)));
    AC_TRY_STATUS(
        check(archive_write_set_bytes_per_block(archive_, 0)));  // no buffering, no blocking
    return check(archive_write_open2(archive_, this, nullptr, on_write, nullptr, nullptr));
  }

  Status begin_member(std::string_view name, uint64_t size_bytes) {
    archive_entry* entry = archive_entry_new();
    if (entry == nullptr) return fail(ErrorCode::kOutOfMemory, "no memory for an archive entry");
    archive_entry_set_pathname(entry, std::string(name).c_str());
    archive_entry_set_size(entry, static_cast<int64_t>(size_bytes));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);  // the same input gives the same file
    const Status status = check(archive_write_header(archive_, entry));
    archive_entry_free(entry);
    left_bytes_ = size_bytes;
    return status;
  }

  Status data(std::span<const std::byte> bytes, bool sealed) {
    if (bytes.size() > left_bytes_) {
      return fail(ErrorCode::kIo, "a member grew while it was written");
    }
    left_bytes_ -= bytes.size();
    sealing_ = sealed;
    while (!bytes.empty()) {
      const la_ssize_t n = archive_write_data(archive_, bytes.data(), bytes.size());
      if (n <= 0 || failure_) {
        sealing_ = true;
        return error();
      }
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    sealing_ = true;
    return {};
  }

  // Pads the member to a block.
  Status end_member() {
    if (left_bytes_ != 0) return fail(ErrorCode::kIo, "a member shrank while it was written");
    return check(archive_write_finish_entry(archive_));
  }

  Status close() { return check(archive_write_close(archive_)); }
  // The digest of all that was sealed so far; what follows cannot be part of it.
  std::string take_seal() {
    seal_taken_ = true;
    return seal_.hex_digest();
  }

 private:
  // Always well, as far as libarchive knows: a writer that it has seen fail never frees what it
  // holds for this callback. check() and data() look at failure_.
  static la_ssize_t on_write(archive*, void* self, const void* data, size_t n_bytes) {
    auto& tar = *static_cast<TarWriter*>(self);
    if (tar.failure_ || tar.abandoned_) return static_cast<la_ssize_t>(n_bytes);
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(data), n_bytes);
    if (tar.sealing_ && !tar.seal_taken_) tar.seal_.update(bytes);
    if (Status status = tar.out_.write(bytes); !status) tar.failure_ = status.error();
    return static_cast<la_ssize_t>(n_bytes);
  }

  Error error() {
    if (failure_) return *failure_;
    const char* text = archive_error_string(archive_);
    return fail(ErrorCode::kIo, "cannot write the archive: {}", text == nullptr ? "unknown" : text);
  }
  Status check(int code) {
    if (code == ARCHIVE_OK && !failure_) return {};
    return error();
  }

  FileWriter& out_;
  archive* archive_;
  Sha256 seal_;
  bool sealing_ = true;
  bool seal_taken_ = false;
  bool abandoned_ = false;  // the destructor closes the archive, but nothing more is written
  uint64_t left_bytes_ = 0;
  std::optional<Error> failure_;
};

// A member on its way into the archive, hashed once more: a source that changed between the two
// passes must not end up under the first pass's hash.
class MemberWriter final : public FileWriter {
 public:
  explicit MemberWriter(TarWriter& tar) : tar_(tar) {}
  using FileWriter::write;
  Status write(std::span<const std::byte> bytes) override {
    hash_.update(bytes);
    n_bytes_ += bytes.size();
    return tar_.data(bytes, false);
  }
  Status commit() override { return {}; }
  uint64_t offset_bytes() const override { return n_bytes_; }
  std::string hex_digest() { return hash_.hex_digest(); }

 private:
  TarWriter& tar_;
  Sha256 hash_;
  uint64_t n_bytes_ = 0;
};

Status emit(const ZooDraft::Member& member, FileWriter& out) {
  if (member.checkpoint != nullptr) return write_gguf(*member.checkpoint, out);
  return out.write(member.bytes);
}

Result<ZooManifest> complete_manifest(const ZooDraft& draft) {
  ZooManifest manifest = draft.manifest;
  manifest.members.clear();
  for (const ZooDraft::Member& member : draft.members) {
    HashingWriter out;
    if (Status status = emit(member, out); !status)
      return with_context(status.error(), member.name);
    manifest.members.push_back({member.name, 0, out.offset_bytes(), out.hex_digest()});
  }
  return manifest;
}

Status write_member(TarWriter& tar, std::string_view name, std::string_view text) {
  AC_TRY_STATUS(tar.begin_member(name, text.size()));
  AC_TRY_STATUS(tar.data(std::as_bytes(std::span(text)), true));
  return tar.end_member();
}

Status write_archive(TarWriter& tar, const ZooDraft& draft, const ZooManifest& manifest,
                     std::string_view json) {
  AC_TRY_STATUS(tar.open());
  AC_TRY_STATUS(write_member(tar, kManifestMember, json));
  for (size_t i = 0; i < draft.members.size(); ++i) {
    const ZooMember& promised = manifest.members[i];
    AC_TRY_STATUS(tar.begin_member(promised.name, promised.size_bytes));
    MemberWriter out(tar);
    AC_TRY_STATUS(emit(draft.members[i], out));
    if (out.hex_digest() != promised.sha256) {
      return fail(ErrorCode::kIo, "member '{}' changed while it was written", promised.name);
    }
    AC_TRY_STATUS(tar.end_member());
  }
  AC_TRY_STATUS(tar.begin_member(kSealMember, kSealBytes));
  const std::string seal = tar.take_seal() + "\n";
  AC_TRY_STATUS(tar.data(std::as_bytes(std::span(std::string_view(seal))), true));
  AC_TRY_STATUS(tar.end_member());
  return tar.close();
}

}  // namespace

Status write_zoo(const std::string& path, const ZooDraft& draft) {
  AC_TRY(const ZooManifest manifest, complete_manifest(draft));
  const std::string json = manifest_to_json(manifest);
  // What the reader would refuse is not written.
  if (auto read = manifest_from_json(json); !read) {
    return fail(ErrorCode::kInvalidArgument, "{}: {}", path, read.error().message);
  }
  AC_TRY(const std::unique_ptr<FileWriter> out, create_file(path));
  {
    TarWriter tar(*out);
    if (Status status = write_archive(tar, draft, manifest, json); !status) {
      return with_context(status.error(), path);
    }
  }
  return out->commit();
}

}  // namespace ac
