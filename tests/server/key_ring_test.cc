#include "runtime/server/key_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace ac {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kKey = "0123456789abcdefghijklmn";

TEST(KeyRing, FindsItsKeysAndNoOthers) {
  const auto ring =
      KeyRing::parse(fmt::format("# ours\nann {}\n\nbot zz{} local\n", kKey, kKey), "keys").value();
  ASSERT_NE(ring.find(kKey), nullptr);
  EXPECT_EQ(ring.find(kKey)->name, "ann");
  EXPECT_TRUE(ring.find(kKey)->may_spend);
  const ServerKey* bot = ring.find_bearer(fmt::format("bEARER zz{}", kKey));
  ASSERT_NE(bot, nullptr);
  EXPECT_FALSE(bot->may_spend);
  for (const std::string& wrong : {std::string(), std::string(kKey) + "x", std::string(kKey, 23),
                                  std::string("ann"), std::string(1 << 20, 'x')}) {
    EXPECT_EQ(ring.find(wrong), nullptr);
  }
  for (const std::string& wrong : {std::string(kKey), std::string("Bearer"),
                                   std::string("Bearer "), "Basic " + std::string(kKey)}) {
    EXPECT_EQ(ring.find_bearer(wrong), nullptr) << wrong;
  }
}

TEST(KeyRing, MistakesAreNamedAndKeysAreNot) {
  const auto error = [](const std::string& text) {
    const auto ring = KeyRing::parse(text, "keys");
    EXPECT_FALSE(ring);
    EXPECT_THAT(ring.error().message, Not(HasSubstr("0123")));
    return ring.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("keys: no key"));
  EXPECT_THAT(error("ann"), HasSubstr("keys:1: a name without a key"));
  EXPECT_THAT(error("\nann 0123456789"), HasSubstr("keys:2: a key of 10 characters"));
  EXPECT_THAT(error(fmt::format("ann {}\nbob {}", kKey, kKey)), HasSubstr("keys:2: the key of another"));
  EXPECT_THAT(error(fmt::format("ann {} remote", kKey)), HasSubstr("more than a name and a key"));
  EXPECT_THAT(error(fmt::format("ann {} local now", kKey)), HasSubstr("more than a name and a key"));
  EXPECT_THAT(error(fmt::format("ann {}\xC3\xA4", kKey)), HasSubstr("beyond ASCII"));
}

TEST(KeyRing, OthersMayNotReadTheFile) {
  const std::string path = testing::TempDir() + "/ac_keys";
  std::ofstream(path) << "ann " << kKey << "\n";
  for (const mode_t mode : {0644u, 0640u, 0604u, 0660u, 0610u}) {
    chmod(path.c_str(), mode);
    EXPECT_THAT(KeyRing::load(path).error().message, HasSubstr("chmod 600"));
  }
  chmod(path.c_str(), 0600);
  EXPECT_TRUE(KeyRing::load(path));
  EXPECT_EQ(KeyRing::load(path + "_none").error().code, ErrorCode::kNotFound);
  remove(path.c_str());
}

TEST(KeyRing, NobodyElseMayPutAnotherInItsPlace) {
  const std::string folder = testing::TempDir() + "/ac_key_folder";
  mkdir(folder.c_str(), 0700);
  const std::string path = folder + "/keys", link = folder + "/link";
  std::ofstream(path) << "ann " << kKey << "\n";
  chmod(path.c_str(), 0600);
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  EXPECT_TRUE(KeyRing::load(path));
  EXPECT_TRUE(KeyRing::load(link));
  if (geteuid() == 0) {  // only the superuser can give a link or a file away
    ASSERT_EQ(lchown(link.c_str(), 12345, 12345), 0);
    EXPECT_THAT(KeyRing::load(link).error().message, HasSubstr("a link of user 12345"));
    ASSERT_EQ(chown(path.c_str(), 12345, 12345), 0);
    EXPECT_THAT(KeyRing::load(path).error().message, HasSubstr("belongs to user 12345"));
    ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  }
  chmod(folder.c_str(), 0777);
  EXPECT_THAT(KeyRing::load(path).error().message, HasSubstr("chmod o-w"));
  chmod(folder.c_str(), 01777);  // as /tmp: nobody but the owner may replace a file
  EXPECT_TRUE(KeyRing::load(path));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ac
