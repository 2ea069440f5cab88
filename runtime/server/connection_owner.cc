#include "runtime/server/connection_owner.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <vector>

#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr uint64_t kListBytes = 64u << 20;

struct End {
  std::array<unsigned char, 16> address{};  // IPv4 as ::ffff:a.b.c.d
  uint16_t port = 0;
  bool operator==(const End&) const = default;
};

void map_v4(const unsigned char* v4, End& end) {
  end.address[10] = end.address[11] = 0xff;
  std::memcpy(&end.address[12], v4, 4);
}

std::optional<End> end_of(const TcpEnd& named) {
  End end{.address = {}, .port = named.port};
  in_addr v4{};
  if (inet_pton(AF_INET, named.address.c_str(), &v4) == 1) {
    map_v4(reinterpret_cast<const unsigned char*>(&v4), end);
    return end;
  }
  if (inet_pton(AF_INET6, named.address.c_str(), end.address.data()) == 1) return end;
  return std::nullopt;
}

template <class Number>
std::optional<Number> number_of(std::string_view text, int base) {
  Number number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

// "0100007F:1F90": words of 32 bits as this machine holds them.
std::optional<End> end_of_list(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon != 8 && colon != 32) return std::nullopt;
  const auto port = number_of<uint16_t>(text.substr(colon + 1), 16);
  if (!port) return std::nullopt;
  std::array<unsigned char, 16> bytes{};
  for (size_t i = 0; i < colon / 8; ++i) {
    const auto word = number_of<uint32_t>(text.substr(8 * i, 8), 16);
    if (!word) return std::nullopt;
    std::memcpy(&bytes[4 * i], &*word, 4);
  }
  End end{.address = bytes, .port = *port};
  if (colon == 8) {
    end.address = {};
    map_v4(bytes.data(), end);
  }
  return end;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const size_t end = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

}  // namespace

std::optional<uint32_t> owner_in_list(std::string_view list, const TcpEnd& peer,
                                      const TcpEnd& own) {
  constexpr size_t kLocal = 1, kRemote = 2, kState = 3, kUser = 7, kInode = 9;
  constexpr std::string_view kEstablished = "01", kNoInode = "0";
  const std::optional<End> theirs = end_of(peer), ours = end_of(own);
  if (!theirs || !ours) return std::nullopt;
  while (!list.empty()) {
    const size_t end = std::min(list.find('\n'), list.size());
    const std::vector<std::string_view> words = words_of(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
    if (words.size() <= kInode || end_of_list(words[kLocal]) != theirs ||
        end_of_list(words[kRemote]) != ours) {
      continue;
    }
    // A socket that its program has closed is listed as the superuser's.
    if (words[kState] != kEstablished || words[kInode] == kNoInode) return std::nullopt;
    return number_of<uint32_t>(words[kUser], 10);
  }
  return std::nullopt;
}

std::optional<uint32_t> connection_owner(const TcpEnd& peer, const TcpEnd& own) {
  // A program that speaks IPv6 may have made a connection of IPv4.
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const Result<std::string> list = read_file(path, kListBytes);
    if (!list) continue;
    if (const auto owner = owner_in_list(*list, peer, own)) return owner;
  }
  return std::nullopt;
}

}  // namespace ac
