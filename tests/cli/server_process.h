// A process of `agentcompress serve`, and one that puts TLS in front of it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/cli/command.h"

namespace ac::test {

class ServerProcess {
 public:
  // `words`: what follows `serve --server-port 0`. Returns once it is ready.
  ServerProcess(const std::filesystem::path& folder, std::vector<std::string> words);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  const std::string& url() const { return url_; }  // "http://127.0.0.1:41234/v1"
  std::string port() const;
  pid_t pid() const { return pid_; }
  // Sends a signal and waits. -> the exit code
  int end(int signal);

 private:
  pid_t pid_ = -1;
  int err_ = -1;
  std::string url_;
};

// A port of loopback on which nobody listens.
std::string free_port();

class TlsFront {
 public:
  // Listens on `port` and passes on to `behind`.
  TlsFront(const std::string& certificate, const std::string& key, const std::string& port,
           const std::string& behind);
  ~TlsFront();
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  const std::string& port() const { return port_; }

 private:
  pid_t pid_ = -1;
  int in_ = -1;
  std::string port_;
};

}  // namespace ac::test
