// Offline means that no network socket is made: the kernel kills whoever tries.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>

#include "tests/cli/command.h"

namespace ac::test {
namespace {

constexpr int kKilled = 128 + SIGSYS;

// From here on a process that makes a socket for IPv4 or IPv6 is killed, and so is what it starts.
bool kill_who_makes_sockets() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = sizeof filter / sizeof *filter, .filter = filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

class Offline : public ModelTest {
 protected:
  // The exit code of a run under that rule; -1: there is no such rule here.
  int watched(std::vector<std::string> words) const {
    const pid_t pid = fork();
    if (pid == 0) {
      if (!kill_who_makes_sockets()) _exit(255);
      const Outcome outcome = run(std::move(words));
      if (outcome.exit_code != 0) std::fprintf(stderr, "%s", outcome.err.c_str());
      _exit(outcome.exit_code);
    }
    const int code = wait_for(pid);
    return code == 255 ? -1 : code;
  }
};

TEST_F(Offline, NoSocketIsMade) {
  const std::vector<std::string> remote = {"--remote-url", "http://127.0.0.1:9/v1",
                                           "--remote-model", "big"};
  const auto with = [](std::vector<std::string> words, const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  // Whoever does ask a remote is noticed.
  const int control = watched(with({"ask", "--remote", "Hi"}, remote));
  if (control == -1) GTEST_SKIP() << "no system call filters here";
  EXPECT_EQ(control, kKilled);
  const std::vector<std::string> ask = {"ask", "--model", model_, "--max-tokens", "4", "Hi"};
  EXPECT_EQ(watched(ask), 0) << "without a remote";
  EXPECT_EQ(watched(with(with(ask, remote), {"--offline"})), 0);
  EXPECT_EQ(watched(with(with(ask, remote), {"--local"})), 0);
  EXPECT_EQ(watched(with({"route", "--model", model_, "Hi"}, remote)), 0);
  EXPECT_EQ(watched({"stats"}), 0);
}

}  // namespace
}  // namespace ac::test
