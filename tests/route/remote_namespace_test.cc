// Networks that cannot be had on loopback: no interface at all, and bad name servers.
// Each test runs in a child process with a network namespace of its own.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/route/remote_test_util.h"
#include "tests/support/namespaces.h"

namespace ac {
namespace {

// Asks once, throws the client away, and checks what came of it and how long both took.
int check(const std::string& url, milliseconds least, milliseconds most, const char* begins) {
  RemoteOptions options = options_for(url);
  options.connect_timeout = milliseconds(600);
  const auto start = std::chrono::steady_clock::now();
  const Asked asked = ask(std::move(options));
  const auto took = std::chrono::steady_clock::now() - start;
  const bool good =
      asked.message().starts_with(begins) && took + kTimerGrain >= least && took <= most;
  if (!good) {
    std::fprintf(stderr, "%s: '%s' after %lld ms\n", url.c_str(), asked.message().c_str(),
                 static_cast<long long>(std::chrono::duration_cast<milliseconds>(took).count()));
  }
  return good ? kGood : kBad;
}

// Makes 127.0.0.1 the name server and binds its port. -> the socket, or -1.
int become_name_server() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!raise_loopback() ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return -1;
  }
  std::string file = std::filesystem::temp_directory_path() / "resolv_XXXXXX";
  close(mkstemp(file.data()));
  std::ofstream(file) << "nameserver 127.0.0.1\n";
  const bool mounted = mount(file.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0;
  unlink(file.c_str());
  return mounted ? fd : -1;
}

// Sends every question back as an answer with this code (RFC 1035, section 4.1.1).
void answer_all(int fd, uint8_t code) {
  std::array<uint8_t, 512> message{};
  for (;;) {
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const ssize_t n =
        recvfrom(fd, message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 12) continue;
    message[2] |= 0x80;
    message[3] = static_cast<uint8_t>(0x80 | code);
    sendto(fd, message.data(), static_cast<size_t>(n), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
}

TEST(RemoteNamespaceTest, B9_SilentNameServer) {
  const int result = in_namespace([] {
    if (become_name_server() < 0) return kNotPossible;
    // glibc alone would wait for 10 s.
    return check("https://remote.example.org/v1", milliseconds(600), milliseconds(600) + kSlack,
                 "connect: none within 0.6 s");
  });
  if (result == kNotPossible) GTEST_SKIP() << "no right to make a network namespace";
  EXPECT_EQ(result, kGood);
}

TEST(RemoteNamespaceTest, B9_NameServerThatFailsOrDenies) {
  for (const uint8_t code : {uint8_t{2}, uint8_t{3}}) {  // SERVFAIL, NXDOMAIN
    const int result = in_namespace([code] {
      const int fd = become_name_server();
      if (fd < 0) return kNotPossible;
      std::thread(answer_all, fd, code).detach();  // ends with the process
      return check("https://remote.example.org/v1", milliseconds(0), milliseconds(900) + kSlack,
                   "dns: ");
    });
    if (result == kNotPossible) GTEST_SKIP() << "no right to make a network namespace";
    EXPECT_EQ(result, kGood) << int{code};
  }
}

TEST(RemoteNamespaceTest, B10_NoNetworkAtAll) {
  const int result = in_namespace([] {
    // An address: unreachable, twice. A name: cannot be found, twice.
    if (check("https://192.0.2.1/v1", milliseconds(0), milliseconds(900) + kSlack, "connect: ") !=
        kGood) {
      return kBad;
    }
    return check("https://remote.example.org/v1", milliseconds(0), milliseconds(900) + kSlack,
                 "dns: ");
  });
  if (result == kNotPossible) GTEST_SKIP() << "no right to make a network namespace";
  EXPECT_EQ(result, kGood);
}

}  // namespace
}  // namespace ac
