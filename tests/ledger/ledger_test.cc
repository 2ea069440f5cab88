// The ledger: what was acknowledged is there, limits hold whoever races or dies, damage is survived.
#include "runtime/ledger/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "runtime/core/file.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class HandClock final : public Clock {
 public:
  std::chrono::system_clock::time_point wall_now() const override { return now_; }
  // 2026-11-29 12:00:00 UTC
  std::chrono::system_clock::time_point now_{std::chrono::seconds(1795953600)};
};

std::string fresh_path(const std::string& name) {
  const std::string folder = testing::TempDir() + "ledger_test/" + name;
  std::filesystem::remove_all(folder);
  return folder + "/ledger.db";
}

LedgerEntry entry_of(std::string model, int64_t at_ms = 0) {
  return {.at_ms = at_ms,
          .source = "ask",
          .place = "local",
          .model = std::move(model),
          .reason = "confident",
          .finish = "stop",
          .completion_tokens = 5};
}

constexpr int64_t kCent = 10'000;  // micro-dollars

TEST(Ledger, WhatIsWrittenIsRead) {
  const std::string path = fresh_path("read");
  LedgerEntry entry = entry_of("q4'); DROP TABLE answers; --");
  entry.level = 50;
  entry.confidence = 0.75;
  entry.degraded = true;
  entry.seconds = 1.5;
  entry.cost_micro_usd = 12;
  entry.full_cost_micro_usd = 34;
  {
    const auto ledger = Ledger::open(path, system_clock()).value();
    ASSERT_TRUE(ledger->append(entry));
    ASSERT_TRUE(ledger->append(entry_of("q8")));
  }
  const auto ledger = Ledger::open(path, system_clock()).value();
  const auto rows = ledger->rows({}).value();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].entry.model, entry.model);
  EXPECT_EQ(rows[0].entry.level, 50);
  EXPECT_EQ(rows[0].entry.confidence, 0.75);
  EXPECT_TRUE(rows[0].entry.degraded);
  EXPECT_EQ(rows[0].entry.seconds, 1.5);
  EXPECT_EQ(rows[0].entry.full_cost_micro_usd, 34);
  EXPECT_FALSE(rows[1].entry.level);
  EXPECT_EQ(ledger->row(rows[1].id)->entry.model, "q8");
  EXPECT_EQ(ledger->row(77).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(ledger->rows({}, 1).value(), SizeIs(1));
}

TEST(Ledger, IsItsOwnersAlone) {
  const std::string path = fresh_path("private");
  const auto ledger = Ledger::open(path, system_clock()).value();
  ASSERT_TRUE(ledger->append(entry_of("q4")));
  for (const char* ending : {"", "-wal"}) {
    struct stat info {};
    ASSERT_EQ(stat((path + ending).c_str(), &info), 0) << ending;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << ending;
  }
  struct stat folder {};
  ASSERT_EQ(stat(std::filesystem::path(path).parent_path().c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700u);
}

// No column could hold a word of what was asked or answered.
TEST(Ledger, HasNoPlaceForText) {
  const std::string path = fresh_path("columns");
  ASSERT_TRUE(Ledger::open(path, system_clock()));
  Database database = Database::open(path).value();
  Query query =
      database.query("SELECT group_concat(name, ' ') FROM pragma_table_info('answers')").value();
  ASSERT_TRUE(query.next().value());
  EXPECT_EQ(query.text(0),
            "id at_ms source place model level reason finish confidence degraded doubtful "
            "prompt_tokens completion_tokens reused_tokens seconds first_token_seconds "
            "cost_micro_usd full_cost_micro_usd local_watt_hours");
}

TEST(Spending, KeepsToADay) {
  HandClock clock;
  const auto ledger = Ledger::open(":memory:", clock).value();
  const SpendingLimits limits{.usd_per_day = 1};
  const auto first = ledger->reserve(60 * kCent, limits).value();
  ASSERT_TRUE(first);
  EXPECT_FALSE(ledger->reserve(60 * kCent, limits).value()) << "what is set aside counts";
  EXPECT_TRUE(ledger->allows(40 * kCent, limits).value());
  ASSERT_TRUE(ledger->settle(*first, 10 * kCent));
  EXPECT_TRUE(ledger->reserve(90 * kCent, limits).value());
  EXPECT_FALSE(ledger->reserve(1, limits).value());
  clock.now_ += 24h;
  EXPECT_TRUE(ledger->reserve(100 * kCent, limits).value());
  clock.now_ -= 48h;  // a clock that was put back brings no money
  EXPECT_FALSE(ledger->reserve(1, limits).value());
}

TEST(Spending, KeepsToAMonth) {
  HandClock clock;
  const auto ledger = Ledger::open(":memory:", clock).value();
  const SpendingLimits limits{.usd_per_month = 1};
  EXPECT_TRUE(ledger->reserve(70 * kCent, limits).value());
  clock.now_ += 24h;
  EXPECT_FALSE(ledger->reserve(70 * kCent, limits).value());
  clock.now_ += 24h;  // the first of December
  EXPECT_TRUE(ledger->reserve(70 * kCent, limits).value());
}

TEST(Spending, OutlivesItsProcess) {
  const std::string path = fresh_path("outlives");
  const SpendingLimits limits{.usd_per_day = 1};
  EXPECT_TRUE(Ledger::open(path, system_clock()).value()->reserve(80 * kCent, limits).value());
  // It died before it settled.
  const auto ledger = Ledger::open(path, system_clock()).value();
  EXPECT_FALSE(ledger->reserve(30 * kCent, limits).value());
  EXPECT_TRUE(ledger->reserve(20 * kCent, limits).value());
}

TEST(Spending, WhatIsOldIsForgottenButNotThisMonthsMoney) {
  HandClock clock;
  const auto ledger = Ledger::open(":memory:", clock).value();
  const SpendingLimits limits{.usd_per_month = 1};
  ASSERT_TRUE(ledger->append(entry_of("old")));
  ASSERT_TRUE(ledger->reserve(70 * kCent, limits).value());
  clock.now_ += 1h;
  ASSERT_TRUE(ledger->append(entry_of("new")));
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      clock.now_.time_since_epoch());
  EXPECT_EQ(ledger->forget_before(now.count()).value(), 1);
  EXPECT_EQ(ledger->rows({}).value()[0].entry.model, "new");
  EXPECT_FALSE(ledger->reserve(70 * kCent, limits).value());
}

// Runs `body` in processes of their own, and waits for them.
void in_processes(int n, const std::function<void(int)>& body) {
  std::vector<pid_t> children;
  for (int i = 0; i < n; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      body(i);
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
}

TEST(Ledger, EightProcessesShareOne) {
  const std::string path = fresh_path("shared");
  in_processes(8, [&](int process) {
    const auto ledger = Ledger::open(path, system_clock());
    ASSERT_TRUE(ledger) << ledger.error().message;
    for (int i = 0; i < 50; ++i) {
      const Status written = (*ledger)->append(entry_of(std::to_string(process)));
      ASSERT_TRUE(written) << written.error().message;
    }
  });
  EXPECT_THAT(Ledger::open(path, system_clock()).value()->rows({}).value(), SizeIs(400));
}

TEST(Spending, NoRacePassesALimit) {
  for (int race = 0; race < 10; ++race) {
    const std::string path = fresh_path("race");
    in_processes(4, [&](int) {
      const auto ledger = Ledger::open(path, system_clock());
      ASSERT_TRUE(ledger) << ledger.error().message;
      for (int i = 0; i < 8; ++i) {
        const auto granted = (*ledger)->reserve(7 * kCent, {.usd_per_day = 1});
        ASSERT_TRUE(granted) << granted.error().message;
        if (!*granted) continue;
        ASSERT_TRUE((*ledger)->settle(**granted, 7 * kCent));
      }
    });
    Database database = Database::open(path).value();
    Query sum = database.query("SELECT sum(spent_micro_usd), count(*) FROM spending").value();
    ASSERT_TRUE(sum.next().value());
    EXPECT_EQ(sum.integer(0), 98 * kCent);
    EXPECT_EQ(sum.integer(1), 14);
  }
}

// A child appends and says so; it is killed at some moment; what it had said is there.
TEST(Ledger, KilledAtAnyMomentLosesNothingSaid) {
  const char* asked = std::getenv("AC_LEDGER_KILLS");
  const int n_kills = asked != nullptr ? std::atoi(asked) : 60;
  const std::string path = fresh_path("killed");
  Rng rng(1);
  int64_t n_said = 0;
  for (int round = 0; round < n_kills; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto ledger = Ledger::open(path, system_clock());
      if (!ledger) _exit(1);
      while (true) {
        const auto reserved = (*ledger)->reserve(kCent, {});
        if (!reserved || !*reserved || !(*ledger)->append(entry_of("q4"))) _exit(1);
        if (write(pipe_ends[1], "x", 1) != 1 || !(*ledger)->settle(**reserved, 1)) _exit(1);
      }
    }
    close(pipe_ends[1]);
    char said = 0;
    ASSERT_EQ(read(pipe_ends[0], &said, 1), 1) << "it ended by itself";
    ++n_said;
    usleep(static_cast<useconds_t>(rng.below(20'000)));
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &said, 1) == 1) ++n_said;
    close(pipe_ends[0]);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
  }
  const auto ledger = Ledger::open(path, system_clock()).value();
  EXPECT_THAT(ledger->set_aside(), IsEmpty());
  const auto n_rows = static_cast<int64_t>(ledger->rows({})->size());
  EXPECT_GE(n_rows, n_said);
  EXPECT_LE(n_rows, n_said + n_kills) << "at most one in each round was cut off before it was said";
  RecordProperty("kills", n_kills);
  RecordProperty("said", static_cast<int>(n_said));
}

TEST(Ledger, DamageIsSetAsideAndStopsSpending) {
  const std::string path = fresh_path("damaged");
  {
    const auto ledger = Ledger::open(path, system_clock()).value();
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(ledger->append(entry_of("q4")));
  }
  std::string bytes = read_file(path, 1 << 24).value();
  for (size_t i = 4096; i < bytes.size(); i += 97) bytes[i] = '\x5a';
  ASSERT_TRUE(write_file(path, bytes));
  const auto ledger = Ledger::open(path, system_clock());
  ASSERT_TRUE(ledger) << ledger.error().message;
  EXPECT_THAT((*ledger)->set_aside(), HasSubstr(".corrupt-"));
  EXPECT_TRUE(std::filesystem::exists((*ledger)->set_aside()));
  EXPECT_THAT((*ledger)->rows({}).value(), IsEmpty());
  EXPECT_TRUE((*ledger)->append(entry_of("q4")));
  EXPECT_FALSE((*ledger)->allows(1, {}).value());
  EXPECT_THAT((*ledger)->stopped().value(), HasSubstr(".corrupt-"));
  ASSERT_TRUE((*ledger)->accept_loss());
  EXPECT_TRUE((*ledger)->allows(1, {}).value());
}

TEST(Ledger, WhatIsNoneIsNotTouchedButMoved) {
  const std::string path = fresh_path("foreign");
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  ASSERT_TRUE(write_file(path, "my thesis, chapter one"));
  const auto ledger = Ledger::open(path, system_clock());
  ASSERT_TRUE(ledger) << ledger.error().message;
  EXPECT_EQ(read_file((*ledger)->set_aside(), 100).value(), "my thesis, chapter one");
}

TEST(Ledger, AnyBytesAreSurvived) {
  const std::string path = fresh_path("garbage");
  {
    const auto ledger = Ledger::open(path, system_clock()).value();
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(ledger->append(entry_of("q4")));
  }
  const std::string whole = read_file(path, 1 << 24).value();
  Rng rng(3);
  for (int round = 0; round < 60; ++round) {
    std::string bytes = whole;
    for (uint64_t n = 1 + rng.below(30); n > 0; --n) {
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    }
    if (rng.below(4) == 0) bytes.resize(rng.below(bytes.size()));
    const std::string folder = testing::TempDir() + "ledger_test/garbage-round";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    ASSERT_TRUE(write_file(folder + "/ledger.db", bytes));
    const auto ledger = Ledger::open(folder + "/ledger.db", system_clock());
    if (!ledger) {
      EXPECT_EQ(ledger.error().code, ErrorCode::kUnsupported) << ledger.error().message;
      continue;
    }
    (void)(*ledger)->append(entry_of("q4"));
    (void)(*ledger)->rows({});
    (void)(*ledger)->reserve(1, {.usd_per_day = 1});
  }
}

TEST(Ledger, ANewerOneIsLeftAlone) {
  const std::string path = fresh_path("newer");
  ASSERT_TRUE(Ledger::open(path, system_clock()));
  {
    Database database = Database::open(path).value();
    ASSERT_TRUE(database.run("PRAGMA user_version = 2"));
  }
  const auto ledger = Ledger::open(path, system_clock());
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(std::filesystem::exists(path));
}

// A full disk: what cannot be written down is not spent, and it goes on when there is room again.
TEST(Ledger, AFullDiskStopsMoneyAndPasses) {
  const std::string path = fresh_path("full");
  const auto ledger = Ledger::open(path, system_clock()).value();
  ASSERT_TRUE(ledger->append(entry_of("q4")));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 64 << 10;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  int n_written = 0;
  while (n_written < 10'000 && ledger->append(entry_of("q4"))) ++n_written;
  const auto refused = ledger->reserve(kCent, {});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old);
  EXPECT_LT(n_written, 10'000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kIo);
  EXPECT_TRUE(ledger->append(entry_of("q4")));
  EXPECT_TRUE(ledger->reserve(kCent, {}).value());
  EXPECT_THAT(ledger->rows({}).value(), SizeIs(static_cast<size_t>(n_written) + 2));
}

TEST(Ledger, DaysAndMonthsAreUtc) {
  constexpr int64_t kNoon = 1795953600'000;  // 2026-11-29 12:00:00
  EXPECT_EQ(utc_text(kNoon), "2026-11-29 12:00:00");
  EXPECT_EQ(utc_text(day_start_ms(kNoon + 1)), "2026-11-29 00:00:00");
  EXPECT_EQ(utc_text(month_start_ms(kNoon)), "2026-11-01 00:00:00");
  EXPECT_EQ(day_start_ms(day_start_ms(kNoon)), day_start_ms(kNoon));
}

}  // namespace
}  // namespace ac
