#include "tests/cli/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace ac::test {
namespace {

std::string first_line(int fd) {
  std::string line;
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  char byte = 0;
  while (poll(&ready, 1, 30000) > 0 && ::read(fd, &byte, 1) == 1 && byte != '\n') line += byte;
  return line;
}

}  // namespace

ServerProcess::ServerProcess(const std::filesystem::path& folder, std::vector<std::string> words) {
  words.insert(words.begin(), {"serve", "--server-port", "0"});
  int err[2];
  EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  pid_ = start({words}, folder, null, null, err[1]);
  close(err[1]);
  close(null);
  err_ = err[0];
  const std::string line = first_line(err_);
  EXPECT_NE(line.find(" is ready"), std::string::npos) << line;
  url_ = line.substr(0, line.find(' '));
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) end(SIGKILL);
  close(err_);
}

std::string ServerProcess::port() const {
  const size_t colon = url_.rfind(':');
  return url_.substr(colon + 1, url_.rfind('/') - colon - 1);
}

int ServerProcess::end(int signal) {
  kill(pid_, signal);
  return wait_for(std::exchange(pid_, -1));
}

std::string free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(fd);
  return std::to_string(ntohs(address.sin_port));
}

TlsFront::TlsFront(const std::string& certificate, const std::string& key, const std::string& port,
                   const std::string& behind) {
  const std::string script = std::string(AC_SOURCE_DIR) + "/tests/support/tls_front.py";
  int in[2], out[2];
  EXPECT_EQ(pipe2(in, O_CLOEXEC) + pipe2(out, O_CLOEXEC), 0);
  pid_ = fork();
  if (pid_ == 0) {
    if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0) _exit(126);
    execl("/usr/bin/python3", "python3", script.c_str(), certificate.c_str(), key.c_str(),
          port.c_str(), behind.c_str(), nullptr);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  in_ = in[1];
  port_ = first_line(out[0]);
  close(out[0]);
  EXPECT_FALSE(port_.empty());
}

TlsFront::~TlsFront() {
  close(in_);
  wait_for(pid_);
}

}  // namespace ac::test
