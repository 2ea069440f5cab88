#include "runtime/server/connection_owner.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/server/raw_client.h"

namespace ac {
namespace {

// As Linux writes it on a little-endian machine.
constexpr const char* kList =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0\n"
    "   1: 0200007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 2 1 0\n"
    "   2: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 3 1 0\n"
    "   3: 0100007F:9C41 0100007F:1F90 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0\n"
    "   4: 0000000000000000FFFF00000100007F:9C42 0000000000000000FFFF00000100007F:1F90 01 "
    "00000000:00000000 00:00000000 00000000  1003        0 4 1 0\n"
    "   5: 00000000000000000000000001000000:9C43 00000000000000000000000001000000:1F90 01 "
    "00000000:00000000 00:00000000 00000000  1004        0 5 1 0\n"
    "   6: 0100007F:9C44 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  many        0 6 1 0\n"
    "   7: 0100007F:9C45";

TEST(ConnectionOwner, IsReadFromTheList) {
  const TcpEnd own{"127.0.0.1", 8080};
  const auto owner = [&](const char* address, uint16_t port) {
    return owner_in_list(kList, {address, port}, own);
  };
  EXPECT_EQ(owner("127.0.0.1", 40000), 1001u);
  EXPECT_EQ(owner("127.0.0.2", 40000), 1002u) << "the same port of another address";
  EXPECT_EQ(owner("127.0.0.1", 40002), 1003u) << "IPv4 through an IPv6 socket";
  EXPECT_EQ(owner("127.0.0.1", 40001), std::nullopt) << "closed: whose it was is not known";
  EXPECT_EQ(owner("127.0.0.1", 40004), std::nullopt);
  EXPECT_EQ(owner("127.0.0.1", 40005), std::nullopt);
  EXPECT_EQ(owner("127.0.0.1", 40006), std::nullopt);
  EXPECT_EQ(owner("nonsense", 40000), std::nullopt);
  EXPECT_EQ(owner_in_list(kList, {"::1", 40003}, {"::1", 8080}), 1004u);
  EXPECT_EQ(owner_in_list(kList, {"127.0.0.1", 40000}, {"127.0.0.1", 8081}), std::nullopt);
}

TEST(ConnectionOwner, IsOursForOurOwn) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  RawClient client(ntohs(address.sin_port));
  sockaddr_in peer{};
  length = sizeof peer;
  const int accepted = accept(listener, reinterpret_cast<sockaddr*>(&peer), &length);
  ASSERT_GE(accepted, 0);
  const TcpEnd theirs{"127.0.0.1", ntohs(peer.sin_port)};
  const TcpEnd ours{"127.0.0.1", ntohs(address.sin_port)};
  EXPECT_EQ(connection_owner(theirs, ours), geteuid());
  client.leave();
  EXPECT_EQ(connection_owner(theirs, ours), std::nullopt);
  close(accepted);
  close(listener);
}

}  // namespace
}  // namespace ac
