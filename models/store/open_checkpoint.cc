// One way in for every kind of checkpoint that people have on disk.
#include <sys/stat.h>

#include "models/store/byte_reader.h"
#include "models/store/gguf.h"
#include "models/store/safetensors.h"
#include "models/store/zoo.h"
#include "models/store/zoo_layout.h"

namespace ac {
namespace {

// What a file that is not GGUF seems to be.
std::string guess(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 512));
  if (text.starts_with(kManifestMember)) {
    return "is a zoo: extract a variant of it, or use it as a zoo";
  }
  if (text.starts_with("PK\3\4"))
    return "is a zip archive (a PyTorch checkpoint?), expected GGUF or safetensors";
  if (text.size() > 262 && text.substr(257, 5) == "ustar")
    return "is a tar archive that is not a zoo";
  for (const std::string_view old : {"ggml", "ggmf", "ggjt", "lmgg", "fmgg", "tjgg"}) {
    if (text.starts_with(old)) return "is in a format from before GGUF, which is not read";
  }
  if (text.size() > 9 && text[8] == '{') {
    return "is a safetensors file alone: give the folder that also has its config.json";
  }
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
  if (plain) return "is a text file, expected a GGUF file or a Hugging Face folder";
  return fmt::format("begins with '{}', expected a GGUF file or a Hugging Face folder",
                     printable(text.substr(0, 4)));
}

}  // namespace

Result<Checkpoint> open_checkpoint(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return open_hugging_face(path);
  AC_TRY(std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  const std::span<const std::byte> bytes = file->bytes();
  if (bytes.size() < 4 ||
      std::string_view(reinterpret_cast<const char*>(bytes.data()), 4) != "GGUF") {
    return fail(ErrorCode::kUnsupported, "{}: {}", path, guess(bytes));
  }
  return open_gguf(path);
}

}  // namespace ac
