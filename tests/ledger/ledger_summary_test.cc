// What rows come to, as text, JSON, CSV and a picture.
#include "runtime/ledger/ledger_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ac {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kNoon = 1795953600'000;  // 2026-11-29 12:00:00
constexpr int64_t kDay = 24 * 3600 * 1000;

std::vector<LedgerRow> three_rows() {
  LedgerEntry local{.at_ms = kNoon,
                    .source = "chat",
                    .place = "local",
                    .model = "lean",
                    .reason = "confident",
                    .finish = "stop",
                    .prompt_tokens = 100,
                    .completion_tokens = 20,
                    .seconds = 0.5,
                    .full_cost_micro_usd = 3000,
                    .local_watt_hours = 0.25};
  LedgerEntry degraded = local;
  degraded.at_ms += kDay;
  degraded.degraded = true;
  degraded.seconds = 1;
  LedgerEntry remote{.at_ms = kNoon + kDay,
                     .source = "serve",
                     .place = "remote",
                     .model = "=HYPERLINK(\"big\")",
                     .reason = "not_confident",
                     .finish = "interrupted",
                     .prompt_tokens = 10,
                     .seconds = 4,
                     .cost_micro_usd = 4000,
                     .full_cost_micro_usd = 4000};
  return {{1, local}, {2, degraded}, {3, remote}};
}

TEST(LedgerSummary, AddsUp) {
  const LedgerSummary summary = summary_of(three_rows());
  EXPECT_EQ(summary.all.n, 3);
  EXPECT_EQ(summary.all.n_local, 2);
  EXPECT_EQ(summary.all.n_degraded, 1);
  EXPECT_EQ(summary.all.n_interrupted, 1);
  EXPECT_NEAR(summary.all.usd(), 0.004, 1e-12);
  EXPECT_NEAR(summary.all.full_usd(), 0.010, 1e-12);
  EXPECT_NEAR(summary.all.saved_usd(), 0.006, 1e-12);
  EXPECT_EQ(summary.all.p50_seconds, 1);
  EXPECT_EQ(summary.all.p90_seconds, 4);
  ASSERT_EQ(summary.models.size(), 2u);
  EXPECT_EQ(summary.models[0].model, "lean");
  ASSERT_EQ(summary.days.size(), 2u);
  EXPECT_EQ(summary.days[0].totals.n, 1);
}

TEST(LedgerSummary, IsReadable) {
  const std::string text = summary_text(summary_of(three_rows()));
  EXPECT_THAT(text, HasSubstr("3 answers, 66.7 % of them here"));
  EXPECT_THAT(text, HasSubstr("$0.0060 saved (60.0 %)"));
  EXPECT_THAT(text, HasSubstr("1 wanted the full model and could not have it"));
  EXPECT_THAT(text, HasSubstr("2026-11-30"));
  EXPECT_EQ(summary_text(summary_of({})), "no answers yet\n");
}

TEST(LedgerSummary, AsJsonCsvAndPicture) {
  const std::vector<LedgerRow> rows = three_rows();
  const OrderedJson json = summary_to_json(summary_of(rows));
  EXPECT_EQ(json["answers"], 3);
  EXPECT_EQ(json["models"][0]["model"], "lean");
  EXPECT_EQ(json["days"][1]["day"], "2026-11-30");
  EXPECT_EQ(row_to_json(rows[2])["cost_usd"], 0.004);
  EXPECT_TRUE(row_to_json(rows[2])["confidence"].is_null());
  const std::string csv = rows_to_csv(rows);
  EXPECT_THAT(csv, HasSubstr("\n1,2026-11-29 12:00:00,chat,local,lean,,confident,stop,,0,0,100,20,"));
  EXPECT_THAT(csv, HasSubstr(",\"'=HYPERLINK(\"\"big\"\")\",")) << "no spreadsheet runs it";
  const std::string svg = summary_svg(summary_of(rows));
  EXPECT_THAT(svg, HasSubstr("<polyline class=\"paid\""));
  EXPECT_THAT(summary_svg(summary_of({})), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace ac
