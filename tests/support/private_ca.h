// A certificate authority of a test's own, made with the openssl command.
#pragma once

#include <filesystem>
#include <string>

namespace ac {

// Makes, in a scratch folder: ca, and of it good (127.0.0.1 and localhost), wronghost, expired; and
// selfsigned, which is of none. Each is NAME.pem and NAME.key. Aborts the test where it cannot.
class PrivateCa {
 public:
  PrivateCa();
  ~PrivateCa();
  PrivateCa(const PrivateCa&) = delete;
  PrivateCa& operator=(const PrivateCa&) = delete;

  std::string path(const std::string& name) const { return folder_ / name; }

 private:
  std::filesystem::path folder_;
};

}  // namespace ac
