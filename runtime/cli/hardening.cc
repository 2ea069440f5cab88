#include "runtime/cli/hardening.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace ac::cli {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = 0;
#endif

constexpr uint32_t kX32 = 0x40000000;  // set in numbers of calls of that ABI

constexpr sock_filter load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}
constexpr sock_filter if_equal(uint32_t value, uint8_t then, uint8_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise);
}
constexpr sock_filter if_at_least(uint32_t value, uint8_t then, uint8_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, then, otherwise);
}
constexpr sock_filter end(uint32_t verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }

}  // namespace

Status deny_network_sockets() {
  if (kArchitecture == 0) return fail(ErrorCode::kUnsupported, "no system call filter here");
  // The lower half of an argument comes first: both processors are little-endian.
  // Other ways into the kernel (32 bits, x32, rings) make sockets, too.
  std::array filter = {
      load(offsetof(seccomp_data, arch)),
      if_equal(kArchitecture, 0, 7),
      load(offsetof(seccomp_data, nr)),
      if_at_least(kX32, 5, 0),
      if_equal(__NR_io_uring_setup, 4, 0),
      if_equal(__NR_socket, 0, 4),
      load(offsetof(seccomp_data, args)),
      if_equal(AF_INET, 1, 0),
      if_equal(AF_INET6, 0, 1),
      end(SECCOMP_RET_ERRNO | EACCES),
      end(SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                           .filter = filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
    return fail(ErrorCode::kUnsupported, "no system call filter: {}", std::strerror(errno));
  }
  return {};
}

void hide_memory() { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

}  // namespace ac::cli
