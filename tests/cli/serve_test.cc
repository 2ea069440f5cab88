// serve, and a second process that has it as its remote full model.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/cli/server_process.h"
#include "tests/support/namespaces.h"
#include "tests/support/private_ca.h"

namespace ac::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Serve : public ModelTest {};

TEST_F(Serve, IsTheRemoteOfAnotherProcess) {
  ServerProcess server(folder_, {"--model", model_});
  const std::string& url = server.url();
  EXPECT_THAT(url, StartsWith("http://127.0.0.1:"));
  const std::vector<std::string> ask = {
      "ask",          "--remote", "--remote-url",    url, "--remote-model", "auto",
      "--max-tokens", "20",       "Once upon a time"};
  const Outcome remote = run(ask);
  EXPECT_EQ(remote.exit_code, 0) << remote.err;
  EXPECT_THAT(remote.err, StartsWith("remote stories260K · 20 tok"));
  const Outcome local = run({"ask", "--model", model_, "--max-tokens", "20", "Once upon a time"});
  EXPECT_EQ(remote.out, local.out);
  const Json asked = run_json({"doctor", "--remote-url", url, "--remote-model", "auto", "--json"});
  EXPECT_THAT(asked.dump(), HasSubstr("stories260K"));
  EXPECT_EQ(server.end(SIGINT), 0);
  EXPECT_EQ(run(ask).exit_code, 1);
}

// Every internet socket of a process, as /proc shows it: "0100007F:1F90 0A" is 127.0.0.1:8080, listening.
std::vector<std::string> sockets_of(pid_t pid) {
  const std::string process = fmt::format("/proc/{}", pid);
  std::set<std::string> inodes;
  for (const auto& fd : std::filesystem::directory_iterator(process + "/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(fd, gone).string();
    if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
  }
  std::vector<std::string> found;
  for (const char* kind : {"tcp", "tcp6", "udp", "udp6", "raw", "raw6"}) {
    std::ifstream table(fmt::format("{}/net/{}", process, kind));
    std::string line;
    while (std::getline(table, line)) {
      std::istringstream words(line);
      std::string number, local, remote, state, skip, inode;
      words >> number >> local >> remote >> state;
      for (int i = 0; i < 5; ++i) words >> skip;
      words >> inode;
      if (inodes.contains(inode)) found.push_back(local + " " + state);
    }
  }
  return found;
}

TEST_F(Serve, ListensWhereItSaysAndNowhereElse) {
  const auto hex = [](const std::string& port) { return fmt::format("{:04X}", std::stoi(port)); };
  const ServerProcess v4(folder_, {"--model", model_});
  EXPECT_THAT(sockets_of(v4.pid()), ElementsAre("0100007F:" + hex(v4.port()) + " 0A"));
  if (std::ifstream("/proc/net/if_inet6").peek() == std::ifstream::traits_type::eof()) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  const ServerProcess v6(folder_, {"--model", model_, "--server-address", "::1"});
  EXPECT_THAT(v6.url(), StartsWith("http://[::1]:"));
  EXPECT_THAT(sockets_of(v6.pid()),
              ElementsAre("00000000000000000000000001000000:" + hex(v6.port()) + " 0A"));
}

TEST_F(Serve, EndsWhenItIsToldTo) {
  for (const int signal : {SIGTERM, SIGHUP}) {
    ServerProcess server(folder_, {"--model", model_});
    EXPECT_EQ(server.end(signal), 0) << signal;
  }
}

// As a lab has it: the full model behind TLS, with a certificate of the lab's own authority.
TEST_F(Serve, IsARemoteBehindTls) {
  const PrivateCa ca;
  // The server has to know by which names it may be asked; the proxies listen where they were told.
  const std::string port = free_port(), other_port = free_port();
  const ServerProcess full(folder_, {"--model", model_, "--server-anonymous-spends", "--server-hosts",
                                     fmt::format("127.0.0.1:{}, 127.0.0.1:{}", port, other_port)});
  const TlsFront good(ca.path("good.pem"), ca.path("good.key"), port, full.port());
  const TlsFront foreign(ca.path("selfsigned.pem"), ca.path("selfsigned.key"), other_port,
                         full.port());
  const auto through = [&](const TlsFront& front) {
    return std::vector<std::string>{"--remote-url", fmt::format("https://127.0.0.1:{}/v1", front.port()),
                                    "--remote-model", "auto", "--remote-ca-file", ca.path("ca.pem")};
  };
  const auto asked = [&](std::vector<std::string> words, const std::vector<std::string>& remote) {
    words.insert(words.end(), remote.begin(), remote.end());
    words.insert(words.end(), {"--max-tokens", "20", "Once upon a time"});
    return run(words);
  };
  const Outcome remote = asked({"ask", "--remote"}, through(good));
  EXPECT_EQ(remote.exit_code, 0) << remote.err;
  EXPECT_EQ(remote.out, asked({"ask", "--model", model_}, {}).out);
  const Outcome refused = asked({"ask", "--remote"}, through(foreign));
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("tls: "));
  // Server to server: the local one has no model, so all it is asked goes on.
  std::vector<std::string> words = through(good);
  words.insert(words.end(), {"--shipped-zoo", "no"});
  const ServerProcess local(folder_, words);
  const Outcome chained = asked({"ask", "--remote"}, {"--remote-url", local.url(), "--remote-model", "auto"});
  EXPECT_EQ(chained.exit_code, 0) << chained.err;
  EXPECT_EQ(chained.out, remote.out);
}

// The full variant of the zoo that ships as the remote of the evaluation of workflows, behind TLS: what
// two machines of a lab would do.
TEST_F(Serve, CarriesWorkflowsThroughTls) {
  const std::string zoo = std::string(AC_SOURCE_DIR) + "/models/zoo/research-mini.zoo";
  if (!std::filesystem::exists(zoo)) GTEST_SKIP() << zoo << " is not there";
  const PrivateCa ca;
  const std::string port = free_port();
  const ServerProcess full(folder_, {"--zoo", zoo, "--variant", "full", "--server-anonymous-spends",
                                     "--server-hosts", fmt::format("127.0.0.1:{}", port)});
  const TlsFront front(ca.path("good.pem"), ca.path("good.key"), port, full.port());
  const Json report = run_json({"eval", "--zoo", zoo, "--n", "16", "--calibration", "16", "--json",
                                "--remote-url", fmt::format("https://127.0.0.1:{}/v1", port),
                                "--remote-model", "auto", "--remote-ca-file", ca.path("ca.pem"),
                                "--remote-usd-per-million-completion-tokens", "1"});
  EXPECT_EQ(report["workflows"], 16);
  ASSERT_FALSE(report["rows"].empty());
  const Json& alone = report["rows"][0];
  EXPECT_EQ(alone["remote_share"], 1);
  EXPECT_GT(alone["usd"], 0);
}

// The whole of it where there is no network at all.
TEST_F(Serve, NeedsNoNetwork) {
  const int result = in_namespace([&] {
    if (!raise_loopback()) return kNotPossible;
    const ServerProcess full(folder_, {"--model", model_});
    const std::vector<std::string> prompt = {"--max-tokens", "20", "Once upon a time"};
    const auto asked = [&](std::vector<std::string> words) {
      words.insert(words.end(), prompt.begin(), prompt.end());
      return run(words);
    };
    const Outcome local = asked({"ask", "--model", model_});
    const Outcome remote = asked({"ask", "--remote", "--remote-url", full.url(), "--remote-model", "auto"});
    const Outcome offline = asked({"ask", "--model", model_, "--offline"});
    const Outcome unreachable = asked({"ask", "--model", model_, "--remote-url",
                                       "https://remote.example.org/v1", "--remote-model", "big"});
    const Outcome stats = run({"stats"});
    const bool good = local.exit_code == 0 && remote.out == local.out && offline.out == local.out &&
                      unreachable.out == local.out && stats.exit_code == 0;
    if (!good) {
      std::fprintf(stderr, "%s\n%s\n%s\n%s\n%s\n", local.err.c_str(), remote.err.c_str(),
                   offline.err.c_str(), unreachable.err.c_str(), stats.err.c_str());
    }
    return good ? kGood : kBad;
  });
  if (result == kNotPossible) GTEST_SKIP() << "no right to make a network namespace";
  EXPECT_EQ(result, kGood);
}

TEST_F(Serve, SlipsAreNamed) {
  expect_refused({"serve", "--model", model_, "--server-address", "0.0.0.0"},
                 "needs keys_file in [server]");
  expect_refused({"serve", "--model", model_, "--server-hosts", "lab.example"},
                 "needs keys_file in [server]");
  write("keys", "ann 0123456789abcdefghijklmn\n");
  std::filesystem::permissions(path("keys"), std::filesystem::perms::owner_read);
  expect_refused({"serve", "--model", model_, "--server-address", "somewhere", "--server-keys-file",
                  path("keys")},
                 "not an address");
  expect_refused({"serve", "--model", model_, "--server-keys-file", path("none")}, "keys_file");
  write("never", "/(/\n");
  expect_refused({"serve", "--model", model_, "--never-forward", path("never")}, "never:1");
  expect_refused({"serve", "--model", model_, "--server-port", "70000"}, "0 to 65535");
  expect_refused({"serve", "--shipped-zoo", "no"}, "no model");
}

}  // namespace
}  // namespace ac::test
