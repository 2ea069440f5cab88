// Processes that have a network of their own, with nothing but loopback.
#pragma once

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace ac {

inline constexpr int kGood = 0;
inline constexpr int kBad = 1;
inline constexpr int kNotPossible = 77;  // no right to make a namespace

// What `child` returns, run in a forked process inside namespaces of its own.
template <class Child>
int in_namespace(Child&& child) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) _exit(kNotPossible);
    // Mounts made here must not be seen outside.
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(kNotPossible);
    _exit(child());
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : kBad;
}

inline bool raise_loopback() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  return ok;
}

}  // namespace ac
