#include "runtime/server/key_ring.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cctype>
#include <sstream>

#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr uint64_t kFileBytes = 1u << 20;

std::array<unsigned char, 32> digest_of(std::string_view key) {
  std::array<unsigned char, 32> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

}  // namespace

Result<KeyRing> KeyRing::load(const std::string& path) {
  AC_TRY_STATUS(check_private(path));
  AC_TRY(const std::string text, read_file(path, kFileBytes));
  return parse(text, path);
}

Result<KeyRing> KeyRing::parse(std::string_view text, std::string_view where) {
  KeyRing ring;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string name, key, what, more;
    words >> name >> key >> what >> more;
    if (name.empty() || name.front() == '#') continue;
    const auto wrong = [&](std::string_view how) {
      return fail(ErrorCode::kInvalidArgument, "{}:{}: {}", where, number, how);
    };
    if (key.empty()) return wrong("a name without a key, expected NAME KEY [local]");
    if (!is_printable(name) || !is_printable(key)) return wrong("letters beyond ASCII");
    if (key.size() < kShortest) {
      return wrong(fmt::format("a key of {} characters, expected {} or more (openssl rand -base64 24)",
                               key.size(), kShortest));
    }
    if ((!what.empty() && what != "local") || !more.empty()) {
      return wrong("more than a name and a key, expected NAME KEY [local]");
    }
    if (ring.find(key) != nullptr) return wrong("the key of another line");
    ring.keys_.push_back({name, what.empty(), digest_of(key)});
  }
  if (ring.keys_.empty()) {
    return fail(ErrorCode::kInvalidArgument, "{}: no key, expected lines of NAME KEY", where);
  }
  return ring;
}

const ServerKey* KeyRing::find(std::string_view key) const {
  const std::array<unsigned char, 32> digest = digest_of(key);
  const ServerKey* found = nullptr;
  for (const ServerKey& each : keys_) {
    if (CRYPTO_memcmp(each.digest.data(), digest.data(), digest.size()) == 0) found = &each;
  }
  return found;
}

const ServerKey* KeyRing::find_bearer(std::string_view authorization) const {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return nullptr;
  const bool is_bearer = std::equal(
      kScheme.begin(), kScheme.end(), authorization.begin(),
      [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
  return is_bearer ? find(authorization.substr(kScheme.size())) : nullptr;
}

}  // namespace ac
