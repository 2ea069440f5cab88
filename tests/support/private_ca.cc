#include "tests/support/private_ca.h"

#include <cstdlib>
#include <fstream>

#include "runtime/core/check.h"

namespace ac {
namespace {

constexpr const char* kScript = R"(set -e
cd "$1"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
leaf() { # name, subject alternative name, further options of `openssl x509`
  local name=$1 san=$2; shift 2
  key "$name"
  openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
  printf 'subjectAltName=%s\n' "$san" > "$name.ext"
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -extfile "$name.ext" \
    -out "$name.pem" "$@"
}
key ca
openssl req -x509 -new -key ca.key -subj /CN=test-ca -days 2 -out ca.pem
leaf good IP:127.0.0.1,DNS:localhost -days 2
leaf wronghost DNS:other.example -days 2
leaf expired IP:127.0.0.1 -days -1
key selfsigned
openssl req -x509 -new -key selfsigned.key -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
  -days 2 -out selfsigned.pem
)";

}  // namespace

PrivateCa::PrivateCa() {
  std::string folder = std::filesystem::temp_directory_path() / "private_ca_XXXXXX";
  AC_CHECK(mkdtemp(folder.data()) != nullptr);
  folder_ = folder;
  std::ofstream(path("make.sh")) << kScript;
  const std::string command =
      "bash " + path("make.sh") + " " + folder + " > " + path("log") + " 2>&1";
  AC_CHECK(std::system(command.c_str()) == 0);
}

PrivateCa::~PrivateCa() { std::filesystem::remove_all(folder_); }

}  // namespace ac
