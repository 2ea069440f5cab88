// Starts faulty_server.py as a process and reads what it saw. The process ends with this object, or
// with the test that owns it.
#pragma once

#include <string>
#include <vector>

#include "runtime/core/json.h"

namespace ac {

class FaultyServer {
 public:
  // `arguments` beside --log: "--cert", path, ... Aborts the test when the server does not start.
  explicit FaultyServer(const std::vector<std::string>& arguments = {});
  ~FaultyServer();
  FaultyServer(const FaultyServer&) = delete;
  FaultyServer& operator=(const FaultyServer&) = delete;

  int port() const { return port_; }
  // Base URL for a behaviour: "http://127.0.0.1:n/<behaviour>/v1".
  std::string url(const std::string& behaviour, const std::string& scheme = "http",
                  const std::string& host = "127.0.0.1") const;
  // Every request so far, in order: time (seconds), connection (its number), method, path, headers
  // ([name, value]), body.
  std::vector<Json> requests() const;

 private:
  std::string log_path_;
  int port_ = 0;
  int pid_ = 0;
  int stdin_ = -1;
};

// A TCP port of loopback on which nobody listens.
int closed_port();

// A listening socket of loopback whose queue is full: a connect to it gets no answer at all.
class BlackHole {
 public:
  BlackHole();
  ~BlackHole();
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;
  int port() const { return port_; }

 private:
  int port_ = 0;
  std::vector<int> sockets_;
};

}  // namespace ac
