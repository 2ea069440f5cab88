// What the router writes into the ledger, and what it does when it cannot.
#include "runtime/route/written_down.h"

#include "tests/route/router_fixture.h"

namespace ac {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr TokenPrices kPrices = {.usd_per_million_prompt_tokens = 1,
                                 .usd_per_million_completion_tokens = 10};

class WrittenDown : public RouterTest {
 protected:
  void make_with_ledger() {
    ledger_ = Ledger::open(":memory:", system_clock()).value();
    make(kAll, {.prices = kPrices, .source = "ask", .local_watts = 36});
  }
  std::vector<LedgerRow> rows() { return ledger_->rows({}).value(); }
};

TEST_F(WrittenDown, EveryAnswerHasARow) {
  make_with_ledger();
  const auto easy = ask(kEasy), hard = ask(kHard);
  ASSERT_TRUE(easy && hard);
  const std::vector<LedgerRow> found = rows();
  ASSERT_THAT(found, SizeIs(2));
  const LedgerEntry& local = found[0].entry;
  EXPECT_EQ(local.source, "ask");
  EXPECT_EQ(local.place, "local");
  EXPECT_EQ(local.model, easy->receipt.model);
  EXPECT_EQ(local.reason, "confident");
  EXPECT_EQ(local.cost_micro_usd, 0);
  EXPECT_EQ(local.full_cost_micro_usd,
            micro_usd(kPrices.of(local.prompt_tokens, local.completion_tokens)));
  EXPECT_GT(local.full_cost_micro_usd, 0);
  EXPECT_NEAR(local.local_watt_hours, local.seconds / 100, 1e-12);
  const LedgerEntry& remote = found[1].entry;
  EXPECT_EQ(remote.place, "remote");
  EXPECT_EQ(remote.cost_micro_usd, micro_usd(hard->receipt.cost_usd));
  EXPECT_EQ(remote.full_cost_micro_usd, remote.cost_micro_usd);
  EXPECT_EQ(remote.local_watt_hours, 0);
}

TEST_F(WrittenDown, NothingWithoutASource) {
  ledger_ = Ledger::open(":memory:", system_clock()).value();
  make(kAll, {.prices = kPrices});
  ASSERT_TRUE(ask(kEasy));
  EXPECT_THAT(rows(), SizeIs(0));
}

TEST_F(WrittenDown, WhatFailedIsNot) {
  make_with_ledger();
  world_.remote_error = Error{ErrorCode::kRemote, "connect: refused"};
  EXPECT_FALSE(ask(kHard, "remote"));
  EXPECT_THAT(rows(), SizeIs(0));
  const auto degraded = ask(kHard);
  ASSERT_TRUE(degraded);
  ASSERT_THAT(rows(), SizeIs(1));
  EXPECT_TRUE(rows()[0].entry.degraded);
}

}  // namespace
}  // namespace ac
