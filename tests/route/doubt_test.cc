// What the router does with a local draft that its checks doubt.
#include "tests/route/router_fixture.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kWrong = {"2 + 2", " = ", "5"};
constexpr const char* kWrongText = "2 + 2 = 5";

class Doubt : public RouterTest {
 protected:
  void make_with(Verify verify, Parts which = kAll) {
    RouterOptions options;
    options.verify = verify;
    make(which, options);
    world_.local_pieces = kWrong;
  }
};

TEST_F(Doubt, IsMarked) {
  make_with(Verify::kMark);
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, kWrongText);
  EXPECT_EQ(relayed_, kWrongText);
  EXPECT_EQ(answer->receipt.doubts, "wrong: 2 + 2 = 5");
  EXPECT_THAT(answer->receipt.format_line(), HasSubstr("doubtful: wrong: 2 + 2 = 5"));
  EXPECT_EQ(world_.n_questions, 0);
}

TEST_F(Doubt, CanBeLeftOut) {
  make_with(Verify::kNo);
  EXPECT_EQ(ask(kEasy)->receipt.doubts, "");
}

TEST_F(Doubt, AsksTheFullModelInstead) {
  make_with(Verify::kEscalate);
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, kWhole);
  EXPECT_EQ(relayed_, kWhole) << "nothing of the draft may have been shown";
  EXPECT_EQ(answer->receipt.place, Place::kRemote);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kDoubted);
  EXPECT_THAT(answer->receipt.note, HasSubstr("q4 answered first, doubtful: wrong"));
  EXPECT_EQ(answer->receipt.doubts, "");
}

TEST_F(Doubt, ADraftThatPassesIsShownWhole) {
  make_with(Verify::kEscalate);
  world_.local_pieces = kPieces;
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(relayed_, kWhole);
  EXPECT_EQ(answer->receipt.place, Place::kLocal);
  EXPECT_EQ(world_.n_questions, 0);
}

TEST_F(Doubt, TheDraftStandsWhereTheRemoteFails) {
  make_with(Verify::kEscalate);
  world_.remote_error = Error{ErrorCode::kRemote, "connect: refused"};
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, kWrongText);
  EXPECT_EQ(relayed_, kWrongText);
  EXPECT_EQ(answer->receipt.place, Place::kLocal);
  EXPECT_TRUE(answer->receipt.degraded);
  EXPECT_THAT(answer->receipt.degraded_cause, HasSubstr("connect: refused"));
  EXPECT_EQ(answer->receipt.doubts, "wrong: 2 + 2 = 5");
}

TEST_F(Doubt, WhatIsPinnedOrOfflineIsOnlyMarked) {
  make_with(Verify::kEscalate);
  EXPECT_EQ(ask(kEasy, "local")->receipt.doubts, "wrong: 2 + 2 = 5");
  EXPECT_EQ(world_.n_questions, 0);
  make_with(Verify::kEscalate, kNoRemote);
  EXPECT_EQ(ask(kEasy)->receipt.doubts, "wrong: 2 + 2 = 5");
}

}  // namespace
}  // namespace ac
