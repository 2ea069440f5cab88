#include "tests/support/faulty_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/core/file.h"

namespace ac {
namespace {

// REQUIRES: nothing has failed; a test without its server says nothing.
void must(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int bind_any(int fd) {
  sockaddr_in address = loopback(0);
  must(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, "bind");
  socklen_t size = sizeof(address);
  must(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
  return ntohs(address.sin_port);
}

}  // namespace

FaultyServer::FaultyServer(const std::vector<std::string>& arguments) {
  std::string path = std::filesystem::temp_directory_path() / "faulty_server_XXXXXX";
  const int log = mkstemp(path.data());
  must(log >= 0, "mkstemp");
  close(log);
  log_path_ = path;

  std::array<int, 2> in{};
  std::array<int, 2> out{};
  must(pipe2(in.data(), O_CLOEXEC) == 0 && pipe2(out.data(), O_CLOEXEC) == 0, "pipe2");
  std::vector<std::string> words = {"/usr/bin/python3",
                                    "-E",
                                    "-Wignore",
                                    AC_SOURCE_DIR "/tests/support/faulty_server.py",
                                    "--log",
                                    log_path_};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  must(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) == 0, "posix_spawn");
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  stdin_ = in[1];
  FILE* reader = fdopen(out[0], "r");
  must(reader != nullptr && std::fscanf(reader, "PORT %d", &port_) == 1, "faulty_server.py");
  std::fclose(reader);
}

FaultyServer::~FaultyServer() {
  close(stdin_);
  int status = 0;
  waitpid(pid_, &status, 0);
  unlink(log_path_.c_str());
}

std::string FaultyServer::url(const std::string& behaviour, const std::string& scheme,
                              const std::string& host) const {
  return scheme + "://" + host + ":" + std::to_string(port_) + "/" + behaviour + "/v1";
}

std::vector<Json> FaultyServer::requests() const {
  const Result<std::string> text = read_file(log_path_, 256u << 20);
  must(text.has_value(), "log of faulty_server.py");
  std::vector<Json> out;
  size_t start = 0;
  for (size_t end = text->find('\n'); end != std::string::npos; end = text->find('\n', start)) {
    Result<Json> line = parse_json(text->substr(start, end - start));
    must(line.has_value(), "line in the log of faulty_server.py");
    out.push_back(std::move(*line));
    start = end + 1;
  }
  return out;
}

int closed_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  const int port = bind_any(fd);
  close(fd);
  return port;
}

BlackHole::BlackHole() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(listener >= 0, "socket");
  sockets_.push_back(listener);
  port_ = bind_any(listener);
  must(listen(listener, 0) == 0, "listen");
  // The queue holds one more than asked for; then SYNs are dropped, as by a firewall.
  const sockaddr_in address = loopback(port_);
  for (int i = 0; i < 3; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(fd >= 0, "socket");
    sockets_.push_back(fd);
    static_cast<void>(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  }
}

BlackHole::~BlackHole() {
  for (const int fd : sockets_) close(fd);
}

}  // namespace ac
