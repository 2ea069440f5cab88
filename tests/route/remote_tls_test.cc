// Certificates: only a chain to the CA, for the right name, in its time, over TLS 1.2 or later will
// do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/route/remote_test_util.h"

namespace ac {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Makes a CA and certificates of it with the openssl command, once for all tests.
class RemoteTlsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string folder = std::filesystem::temp_directory_path() / "remote_tls_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = new std::filesystem::path(folder);
    {
      std::ofstream script(path("make.sh"));
      script << R"(set -e
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
    }
    const std::string command =
        "bash " + path("make.sh") + " " + folder + " > " + path("log") + " 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << "see " << path("log");
  }
  static void TearDownTestSuite() {
    std::filesystem::remove_all(*folder_);
    delete folder_;
  }
  static std::string path(const std::string& name) { return *folder_ / name; }
  static std::vector<std::string> serve(const std::string& name) {
    return {"--cert", path(name + ".pem"), "--key", path(name + ".key")};
  }
  static RemoteOptions options(const FaultyServer& server, const std::string& behaviour = "ok",
                               const std::string& host = "127.0.0.1") {
    RemoteOptions out = options_for(server.url(behaviour, "https", host));
    out.ca_file = path("ca.pem");
    out.connect_timeout = milliseconds(3000);
    return out;
  }
  // Refused, at once, once, with nothing of the question having left; and not asked again.
  static void refused(const FaultyServer& server, const RemoteOptions& remote,
                      const std::string& why) {
    const auto client = client_for(remote);
    const Asked asked = ask(*client);
    ASSERT_FALSE(asked.answer.has_value());
    EXPECT_THAT(asked.message(), StartsWith("tls: "));
    EXPECT_THAT(asked.message(), HasSubstr(why));
    EXPECT_LE(asked.took, milliseconds(1000));
    EXPECT_TRUE(server.requests().empty());
    EXPECT_FALSE(client->available());
  }

  static std::filesystem::path* folder_;
};
std::filesystem::path* RemoteTlsTest::folder_ = nullptr;

TEST_F(RemoteTlsTest, B7_Good) {
  const FaultyServer server(serve("good"));
  for (const char* host : {"127.0.0.1", "localhost"}) {
    const Asked asked = ask(options(server, "ok", host));
    ASSERT_TRUE(asked.answer.has_value()) << asked.message();
    EXPECT_EQ(asked.relayed, "The answer is forty-two.");
  }
  EXPECT_EQ(ask(options(server, "eof~3")).message(), "stream cut after 3 events");
  for (const char* behaviour : {"rst~3", "rstnow", "closenow", "http09"}) {
    EXPECT_FALSE(ask(options(server, behaviour)).answer.has_value()) << behaviour;
  }
}

TEST_F(RemoteTlsTest, B7_UnknownAuthority) {
  const FaultyServer server(serve("good"));
  RemoteOptions remote = options(server);
  remote.ca_file.clear();  // the system's authorities know nothing of ours
  refused(server, remote, "certificate");
}

TEST_F(RemoteTlsTest, B7_SelfSigned) {
  const FaultyServer server(serve("selfsigned"));
  refused(server, options(server), "self-signed");
}

TEST_F(RemoteTlsTest, B7_Expired) {
  const FaultyServer server(serve("expired"));
  refused(server, options(server), "expired");
}

TEST_F(RemoteTlsTest, B7_WrongHost) {
  const FaultyServer server(serve("wronghost"));
  refused(server, options(server), "127.0.0.1");
}

TEST_F(RemoteTlsTest, B7_OldTls) {
  std::vector<std::string> arguments = serve("good");
  arguments.push_back("--tls11");
  const FaultyServer server(arguments);
  refused(server, options(server), "");
}

TEST_F(RemoteTlsTest, B7_NotTls) {
  // It waits for the end of a request that never comes: the connect deadline covers the handshake.
  const FaultyServer server;
  RemoteOptions remote = options(server);
  remote.connect_timeout = milliseconds(300);
  const Asked asked = ask(remote);
  EXPECT_EQ(asked.message(), "connect: none within 0.3 s");
  EXPECT_TRUE(asked.took_about(milliseconds(300))) << asked.took.count();
}

TEST_F(RemoteTlsTest, B7_NoSuchCaFile) {
  const FaultyServer server(serve("good"));
  RemoteOptions remote = options(server);
  remote.ca_file = path("missing.pem");
  refused(server, remote, "missing.pem");
}

// There is no way to switch verification off: every mention of the options is one that sets them.
TEST(RemoteTlsSource, VerificationIsNeverOff) {
  int n_mentions = 0;
  for (const char* folder : {"runtime", "models", "cpu"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             std::filesystem::path(AC_SOURCE_DIR) / folder)) {
      if (entry.path().extension() != ".cc" && entry.path().extension() != ".h") continue;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        if (line.find("SSL_VERIFY") == std::string::npos) continue;
        ++n_mentions;
        EXPECT_TRUE(line == "  set(CURLOPT_SSL_VERIFYPEER, 1L);" ||
                    line == "  set(CURLOPT_SSL_VERIFYHOST, 2L);")
            << entry.path() << ": " << line;
      }
    }
  }
  EXPECT_EQ(n_mentions, 2);
}

}  // namespace
}  // namespace ac
