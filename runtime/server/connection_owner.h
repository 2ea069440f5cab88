// Whose program is at the other end of a connection of this machine.
//
// A loopback port is shared by all users of a machine. Linux lists every TCP socket with its owner;
// the other end of a connection is the socket with the same two ends the other way round.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ac {

struct TcpEnd {
  std::string address;  // "127.0.0.1", "::1"
  uint16_t port = 0;
};

// The user who owns the socket at `peer` that is connected to `own`; nullopt: there is none in the
// lists of this machine, or they cannot be read.
std::optional<uint32_t> connection_owner(const TcpEnd& peer, const TcpEnd& own);

// The same of one list (/proc/net/tcp or tcp6).
std::optional<uint32_t> owner_in_list(std::string_view list, const TcpEnd& peer, const TcpEnd& own);

}  // namespace ac
