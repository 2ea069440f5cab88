// The keys that clients of the server may show, and what each may do.
//
// A file with a key a line: NAME KEY, or NAME KEY local for one that may not have the remote asked.
// Kept are digests; looking one up takes the same time whatever was shown.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace ac {

struct ServerKey {
  std::string name;
  bool may_spend = true;
  std::array<unsigned char, 32> digest{};  // SHA-256
};

class KeyRing {
 public:
  static constexpr size_t kShortest = 22;  // 128 bits in base64

  // Errors: kInvalidArgument (with line and never with the key: none, too short, twice; a file that
  // other users may read, or that is not ours), kNotFound, kIo.
  static Result<KeyRing> load(const std::string& path);
  static Result<KeyRing> parse(std::string_view text, std::string_view where);

  // nullptr: it is none of them.
  const ServerKey* find(std::string_view key) const;
  // Of an Authorization field: "Bearer KEY". nullptr: as find().
  const ServerKey* find_bearer(std::string_view authorization) const;

 private:
  std::vector<ServerKey> keys_;
};

}  // namespace ac
