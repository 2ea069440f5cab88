// The members of a zoo's archive, found through libarchive and mapped in place.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace ac {

struct TarMember {
  std::string name;
  std::span<const std::byte> data;  // inside the bytes given, on a 512-byte boundary, not empty
};

// In the order of the file. Errors: kCorruptFile for anything but a plain tar of regular files with
// distinct names of the zoo's form, each stored in one piece behind its own header.
Result<std::vector<TarMember>> read_tar(std::span<const std::byte> bytes);

}  // namespace ac
