// Certificates: only a chain to the CA, for the right name, in its time, over TLS 1.2 or later will
// do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/route/remote_test_util.h"
#include "tests/support/private_ca.h"

namespace ac {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class RemoteTlsTest : public testing::Test {
 protected:
  // One for all tests: making it takes a while.
  static void SetUpTestSuite() { ca_ = new PrivateCa; }
  static void TearDownTestSuite() { delete ca_; }
  static std::string path(const std::string& name) { return ca_->path(name); }
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

  static PrivateCa* ca_;
};
PrivateCa* RemoteTlsTest::ca_ = nullptr;

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
