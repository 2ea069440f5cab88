// libarchive reads tar and nothing else: no other format and no filter is ever enabled, because
// that is where its security history is.
#include "models/store/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <set>
#include <string_view>

#include "models/store/byte_reader.h"
#include "models/store/zoo_layout.h"

namespace ac {
namespace {

constexpr size_t kMaxMembers = 512;
constexpr uint64_t kOctalSizeLimitBytes = uint64_t{1} << 33;  // eleven octal digits
constexpr size_t kTypeFlagOffset = 156;                       // in a ustar header

struct FreeArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};
using ArchiveReader = std::unique_ptr<archive, FreeArchive>;

Error broken(archive* a) {
  const char* text = archive_error_string(a);
  return fail(ErrorCode::kCorruptFile, "is not a zoo: {}",
              text == nullptr ? "not a tar" : printable(text));
}

std::string_view kind_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return "a hard link";
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return "";
    case AE_IFLNK:
      return "a symbolic link";
    case AE_IFDIR:
      return "a folder";
    case AE_IFIFO:
      return "a pipe";
    case AE_IFSOCK:
      return "a socket";
    default:
      return "a device";
  }
}

// Between the members there is nothing but their headers: one block each, and up to three more for
// the pax header of a member too large for the octal digits of a plain one.
Status check_header(std::span<const std::byte> bytes, uint64_t begin, uint64_t data_begin,
                    uint64_t size) {
  const uint64_t blocks = (data_begin - begin) / kTarBlockBytes;
  const uint64_t most = size < kOctalSizeLimitBytes ? 1 : 4;
  if (data_begin < begin + kTarBlockBytes || blocks > most ||
      bytes[data_begin - kTarBlockBytes + kTypeFlagOffset] != std::byte{'0'}) {
    return fail(ErrorCode::kCorruptFile, "has a header that no zoo has");
  }
  return {};
}

// The entry's data, which libarchive hands out as a pointer into `bytes`: one block, the whole
// entry.
Result<std::span<const std::byte>> mapped_data(archive* a, archive_entry* entry,
                                               std::span<const std::byte> bytes) {
  if (archive_entry_size_is_set(entry) == 0 || archive_entry_size(entry) < 0 ||
      archive_entry_sparse_count(entry) != 0) {
    return fail(ErrorCode::kCorruptFile, "is sparse or of unknown size");
  }
  const auto size = static_cast<uint64_t>(archive_entry_size(entry));
  if (size == 0) return fail(ErrorCode::kCorruptFile, "is empty");
  const void* block = nullptr;
  size_t block_bytes = 0;
  la_int64_t block_offset = 0;
  const int code = archive_read_data_block(a, &block, &block_bytes, &block_offset);
  if (code != ARCHIVE_OK) return broken(a);
  const auto* data = static_cast<const std::byte*>(block);
  const bool inside = std::less_equal<>()(bytes.data(), data) &&
                      std::less_equal<>()(data, bytes.data() + bytes.size()) &&
                      block_bytes <= static_cast<size_t>(bytes.data() + bytes.size() - data);
  if (!inside || block_offset != 0 || block_bytes != size) {
    return fail(ErrorCode::kCorruptFile, "is not stored in one piece");
  }
  if (static_cast<uint64_t>(data - bytes.data()) % kTarBlockBytes != 0) {
    return fail(ErrorCode::kCorruptFile, "is not on a 512-byte boundary");
  }
  return std::span(data, block_bytes);
}

}  // namespace

Result<std::vector<TarMember>> read_tar(std::span<const std::byte> bytes) {
  const ArchiveReader reader(archive_read_new());
  archive* a = reader.get();
  if (a == nullptr) return fail(ErrorCode::kOutOfMemory, "no memory for an archive reader");
  if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
      archive_read_open_memory(a, bytes.data(), bytes.size()) != ARCHIVE_OK) {
    return broken(a);
  }
  std::vector<TarMember> members;
  std::set<std::string, std::less<>> names;
  uint64_t header_begin = 0;  // where the header of the next member begins
  for (;;) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(a, &entry);
    if (code == ARCHIVE_EOF) break;
    if (code != ARCHIVE_OK) return broken(a);  // warnings too: our writer gives no cause for one
    if (members.size() == kMaxMembers) {
      return fail(ErrorCode::kCorruptFile, "has more than {} members", kMaxMembers);
    }
    const char* raw_name = archive_entry_pathname(entry);
    const std::string name = raw_name == nullptr ? "" : raw_name;
    if (const std::string_view kind = kind_of(entry); !kind.empty()) {
      return fail(ErrorCode::kCorruptFile, "member '{}' is {}, expected a regular file",
                  printable(name), kind);
    }
    if (!is_zoo_member_name(name)) {
      return fail(ErrorCode::kCorruptFile, "member '{}' has a name that no zoo has",
                  printable(name));
    }
    if (!names.insert(name).second) {
      return fail(ErrorCode::kCorruptFile, "member '{}' occurs twice", name);
    }
    auto data = mapped_data(a, entry, bytes);
    if (!data) return with_context(data.error(), fmt::format("member '{}'", name));
    const auto data_begin = static_cast<uint64_t>(data->data() - bytes.data());
    if (Status status = check_header(bytes, header_begin, data_begin, data->size()); !status) {
      return with_context(status.error(), fmt::format("member '{}'", name));
    }
    header_begin =
        (data_begin + data->size() + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes;
    members.push_back({name, *data});
  }
  return members;
}

}  // namespace ac
