// A zoo that is open: mapped, its skeleton (every byte outside the members' data) checked against
// the seal, each member checked against its SHA-256 when it is first asked for.
#include <algorithm>
#include <functional>
#include <future>
#include <mutex>
#include <system_error>

#include "models/store/gguf.h"
#include "models/store/sha256.h"
#include "models/store/tar_reader.h"
#include "models/store/zoo.h"
#include "models/store/zoo_layout.h"

namespace ac {
namespace {

using DropPages = std::function<void(std::span<const std::byte>)>;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// Compares the archive's members with the manifest's, in order.
Status match_members(const std::vector<TarMember>& found, ZooManifest& manifest,
                     std::span<const std::byte> bytes) {
  // manifest.json, the members, the seal.
  for (const TarMember& member : found) {
    const bool declared =
        member.name == kManifestMember || member.name == kSealMember ||
        std::any_of(manifest.members.begin(), manifest.members.end(),
                    [&](const ZooMember& promised) { return promised.name == member.name; });
    if (!declared) {
      return fail(ErrorCode::kCorruptFile, "member '{}' is not in the manifest", member.name);
    }
  }
  size_t at = 1;
  for (ZooMember& promised : manifest.members) {
    if (at >= found.size() || found[at].name != promised.name) {
      return fail(ErrorCode::kCorruptFile, "member '{}' is missing or out of order", promised.name);
    }
    const std::span<const std::byte> data = found[at].data;
    if (data.size() != promised.size_bytes) {
      return fail(ErrorCode::kCorruptFile, "member '{}' has {} bytes, the manifest says {}",
                  promised.name, data.size(), promised.size_bytes);
    }
    promised.offset_bytes = static_cast<uint64_t>(data.data() - bytes.data());
    ++at;
  }
  if (at + 1 != found.size() || found[at].name != kSealMember) {
    return fail(ErrorCode::kCorruptFile, "the last member is not the seal '{}'", kSealMember);
  }
  return {};
}

// Every byte that belongs to no member is under the seal or zero.
Status check_seal(std::span<const std::byte> bytes, const ZooManifest& manifest,
                  std::span<const std::byte> seal) {
  if (seal.size() != kSealBytes || seal.back() != std::byte{'\n'}) {
    return fail(ErrorCode::kCorruptFile, "the seal has {} bytes, expected {}", seal.size(),
                kSealBytes);
  }
  const auto seal_begin = static_cast<uint64_t>(seal.data() - bytes.data());
  Sha256 hash;
  uint64_t from = 0;
  for (const ZooMember& member : manifest.members) {
    hash.update(bytes.subspan(from, member.offset_bytes - from));
    from = member.offset_bytes + member.size_bytes;
  }
  hash.update(bytes.subspan(from, seal_begin - from));
  if (as_text(seal.first(kSha256HexDigits)) != hash.hex_digest()) {
    return fail(ErrorCode::kCorruptFile, "its headers or its manifest do not match the seal");
  }
  const uint64_t padded =
      (seal_begin + kSealBytes + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes;
  if (bytes.size() != padded + kTarEndBytes || !all_zero(bytes.subspan(seal_begin + kSealBytes))) {
    return fail(ErrorCode::kCorruptFile, "does not end where its archive ends");
  }
  return {};
}

// One member's check, done once and remembered.
class MemberCheck final : public PendingCheck {
 public:
  MemberCheck(const ZooMember& member, std::span<const std::byte> data,
              std::shared_ptr<const void> owner, const std::string& zoo_path)
      : member_(member), data_(data), owner_(std::move(owner)), zoo_path_(zoo_path) {}

  Status wait() const override {
    const std::lock_guard lock(mutex_);
    if (background_.valid()) background_.get();
    if (!status_) run();
    return *status_;
  }

  // Starts hashing on another thread; without one, wait() does the work.
  void start() const {
    const std::lock_guard lock(mutex_);
    if (background_.valid() || status_) return;  // in this order: run() writes status_ meanwhile
    try {
      background_ = std::async(std::launch::async, [this] { run(); });
    } catch (const std::system_error&) {
    }
  }

 private:
  void run() const {
    const std::string found = sha256_hex(data_);
    if (found == member_.sha256) {
      status_ = Status();
    } else {
      status_ =
          fail(ErrorCode::kCorruptFile, "{}: member '{}' has the SHA-256 {}, the manifest says {}",
               zoo_path_, member_.name, found, member_.sha256);
    }
  }

  const ZooMember& member_;
  std::span<const std::byte> data_;
  std::shared_ptr<const void> owner_;
  const std::string& zoo_path_;
  mutable std::mutex mutex_;
  mutable std::optional<Status> status_;
  mutable std::future<void> background_;  // last: its destructor waits for run()
};

class MappedZoo final : public Zoo, public std::enable_shared_from_this<MappedZoo> {
 public:
  // `drop_pages` (may be empty) is told of weights that were copied elsewhere.
  MappedZoo(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, std::string path,
            DropPages drop_pages, ZooManifest manifest)
      : bytes_(bytes),
        owner_(std::move(owner)),
        path_(std::move(path)),
        drop_pages_(std::move(drop_pages)),
        manifest_(std::move(manifest)) {
    for (const ZooMember& member : manifest_.members) {
      checks_.push_back(std::make_unique<MemberCheck>(member, data_of(member), owner_, path_));
    }
  }

  const ZooManifest& manifest() const override { return manifest_; }
  const std::string& path() const override { return path_; }

  Result<Checkpoint> open_variant(std::string_view id) const override {
    AC_TRY(UncheckedVariant variant, open_variant_unchecked(id));
    AC_TRY_STATUS(variant.check->wait());
    return std::move(variant.checkpoint);
  }

  Result<UncheckedVariant> open_variant_unchecked(std::string_view id) const override {
    AC_TRY(const ZooVariant* variant, find_variant(id));
    AC_TRY(const size_t index, member_index(variant->member));
    checks_[index]->start();
    // The tokenizer is small and is always checked first.
    const std::string origin = fmt::format("{}: {}", path_, id);
    AC_TRY(Checkpoint weights, parse_gguf(data_of(manifest_.members[index]), owner_, origin));
    weights.drop_pages = drop_pages_;
    if (variant->level) {
      weights.set_uint(std::string(kNestedLevelKey), static_cast<uint32_t>(*variant->level));
    }
    if (has_member(kTokenizerMember)) {
      AC_TRY(const std::span<const std::byte> bytes, member(kTokenizerMember));
      AC_TRY(Checkpoint tokenizer, parse_gguf(bytes, owner_, origin));
      for (auto& [key, value] : tokenizer.metadata) {
        if (key.starts_with("tokenizer.")) weights.metadata.insert_or_assign(key, std::move(value));
      }
    }
    // The check lives inside the zoo.
    return UncheckedVariant{std::move(weights), {shared_from_this(), checks_[index].get()}};
  }

  Result<std::optional<Checkpoint>> open_predictor() const override {
    if (!has_member(kPredictorMember)) return std::optional<Checkpoint>();
    AC_TRY(const std::span<const std::byte> bytes, member(kPredictorMember));
    AC_TRY(Checkpoint predictor,
           parse_gguf(bytes, owner_, fmt::format("{}: {}", path_, kPredictorMember)));
    return std::optional<Checkpoint>(std::move(predictor));
  }

  Result<std::span<const std::byte>> member(std::string_view name) const override {
    AC_TRY(const size_t index, member_index(name));
    AC_TRY_STATUS(checks_[index]->wait());
    return data_of(manifest_.members[index]);
  }

  Status verify() const override {
    for (size_t i = 0; i < checks_.size(); ++i) {  // two at a time
      checks_[i]->start();
      if (i > 0) AC_TRY_STATUS(checks_[i - 1]->wait());
    }
    if (!checks_.empty()) AC_TRY_STATUS(checks_.back()->wait());
    // Right bytes can still be wrong weights: each member must also be readable.
    for (const ZooVariant& variant : manifest_.variants)
      AC_TRY_STATUS(readable(open_variant(variant.id)));
    return readable(open_predictor());
  }

 private:
  template <class T>
  static Status readable(const Result<T>& opened) {
    return opened ? Status() : Status(opened.error());
  }

  std::span<const std::byte> data_of(const ZooMember& member) const {
    return bytes_.subspan(member.offset_bytes, member.size_bytes);
  }

  bool has_member(std::string_view name) const { return member_index(name).has_value(); }

  Result<size_t> member_index(std::string_view name) const {
    for (size_t i = 0; i < manifest_.members.size(); ++i) {
      if (manifest_.members[i].name == name) return i;
    }
    return fail(ErrorCode::kNotFound, "{}: no member '{}'", path_, name);
  }

  Result<const ZooVariant*> find_variant(std::string_view id) const {
    std::string known;
    for (const ZooVariant& variant : manifest_.variants) {
      if (variant.id == id) return &variant;
      known += (known.empty() ? "" : ", ") + variant.id;
    }
    return fail(ErrorCode::kNotFound, "{}: no variant '{}', there are: {}", path_, id, known);
  }

  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
  std::string path_;
  DropPages drop_pages_;
  ZooManifest manifest_;
  std::vector<std::unique_ptr<MemberCheck>> checks_;  // one per member, in the manifest's order
};

Result<ZooManifest> read_zoo(std::span<const std::byte> bytes) {
  if (as_text(bytes).substr(0, 4) == "GGUF") {
    return fail(ErrorCode::kCorruptFile, "is a GGUF file, not a zoo");
  }
  AC_TRY(const std::vector<TarMember> found, read_tar(bytes));
  if (found.empty() || found[0].name != kManifestMember) {
    return fail(ErrorCode::kCorruptFile, "is not a zoo: its first member is not {}",
                kManifestMember);
  }
  auto manifest = manifest_from_json(as_text(found[0].data));
  if (!manifest) return with_context(manifest.error(), kManifestMember);
  AC_TRY_STATUS(match_members(found, *manifest, bytes));
  AC_TRY_STATUS(check_seal(bytes, *manifest, found.back().data));
  return manifest;
}

Result<std::shared_ptr<const Zoo>> make_zoo(std::span<const std::byte> bytes,
                                            std::shared_ptr<const void> owner, std::string path,
                                            DropPages drop_pages) {
  auto manifest = read_zoo(bytes);
  if (!manifest) return with_context(manifest.error(), path);
  return std::shared_ptr<const Zoo>(std::make_shared<MappedZoo>(
      bytes, std::move(owner), std::move(path), std::move(drop_pages), std::move(*manifest)));
}

}  // namespace

Result<std::shared_ptr<const Zoo>> Zoo::parse(std::span<const std::byte> bytes,
                                              std::shared_ptr<const void> owner, std::string path) {
  return make_zoo(bytes, std::move(owner), std::move(path), nullptr);
}

Result<std::shared_ptr<const Zoo>> Zoo::open(const std::string& path) {
  AC_TRY(const std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  return make_zoo(file->bytes(), file, path,
                  [file](std::span<const std::byte> range) { file->drop_pages(range); });
}

}  // namespace ac
