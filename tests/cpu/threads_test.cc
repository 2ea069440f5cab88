// The team: every chunk once, stages in order, any number of threads, workers late or absent.
#include "cpu/threads.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <tbb/global_control.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <thread>

#include "runtime/core/rng.h"

namespace ac::cpu {
namespace {

// A random list of works; each chunk checks that all earlier stages are complete.
struct Script {
  struct Item {
    Script* script = nullptr;
    int32_t stage = 0;
    int32_t n_chunks = 0;
    std::vector<std::atomic<int>> runs;
  };
  explicit Script(uint64_t seed, int n_stages, int max_chunks) {
    Rng rng(seed);
    for (int s = 0; s < n_stages; ++s) {
      Stage stage{.first = static_cast<int32_t>(works.size()),
                  .count = static_cast<int32_t>(rng.below(4)),
                  .in_order = rng.below(3) == 0};
      int32_t total = 0;
      for (int32_t w = 0; w < stage.count; ++w) {
        Item& item = items.emplace_back();
        item.script = this;
        item.stage = s;
        item.n_chunks = static_cast<int32_t>(rng.below(static_cast<uint64_t>(max_chunks)));
        item.runs = std::vector<std::atomic<int>>(static_cast<size_t>(item.n_chunks));
        total += item.n_chunks;
        works.push_back({run, &item, item.n_chunks});
      }
      chunks_of_stage.push_back(total);
      stages.push_back(stage);
    }
    done = std::vector<std::atomic<int>>(static_cast<size_t>(n_stages));
  }
  static void run(const void* args, int32_t begin, int32_t end, int32_t worker) noexcept {
    // The runner hands out const pointers; the counters are the test's own.
    Item& item = *const_cast<Item*>(static_cast<const Item*>(args));
    Script& script = *item.script;
    if (worker < 0 || worker >= script.n_threads) script.errors.fetch_add(1);
    for (int32_t s = 0; s < item.stage; ++s) {
      const auto i = static_cast<size_t>(s);
      if (script.done[i].load(std::memory_order_relaxed) != script.chunks_of_stage[i]) {
        script.errors.fetch_add(1);
      }
    }
    for (int32_t chunk = begin; chunk < end; ++chunk) {
      item.runs[static_cast<size_t>(chunk)].fetch_add(1, std::memory_order_relaxed);
    }
    script.done[static_cast<size_t>(item.stage)].fetch_add(end - begin, std::memory_order_relaxed);
  }
  void expect_all_once() const {
    EXPECT_EQ(errors.load(), 0);
    for (const Item& item : items) {
      for (const auto& count : item.runs) ASSERT_EQ(count.load(), 1);
    }
  }

  int n_threads = 0;
  std::deque<Item> items;
  std::vector<Work> works;
  std::vector<Stage> stages;
  std::vector<int> chunks_of_stage;
  std::vector<std::atomic<int>> done;
  std::atomic<int> errors{0};
};

void run_script(ThreadTeam& team, uint64_t seed, int n_stages, int max_chunks) {
  Script script(seed, n_stages, max_chunks);
  script.n_threads = team.n_threads();
  team.run(script.works, script.stages);
  script.expect_all_once();
}

TEST(ThreadTeamTest, EveryChunkOnceAndStagesInOrder) {
  for (int n_threads : {1, 2, 3, 4, 7}) {
    ThreadTeam team({.n_threads = n_threads});
    ASSERT_EQ(team.n_threads(), n_threads);
    for (uint64_t seed = 0; seed < 40; ++seed) run_script(team, seed, 30, 40);
  }
}

TEST(ThreadTeamTest, NothingToDo) {
  ThreadTeam team({.n_threads = 2});
  team.run({}, {});
  const Stage empty[3] = {};
  team.run({}, empty);
}

TEST(ThreadTeamTest, ManyShortRegionsWithPauses) {
  ThreadTeam team({.n_threads = 3});
  for (uint64_t i = 0; i < 300; ++i) {
    run_script(team, i, 3, 6);
    // Around the time after which idle workers leave.
    if (i % 10 == 0) std::this_thread::sleep_for(std::chrono::microseconds(400 + i));
  }
}

// oneTBB may have fewer threads to give than asked for: one at most here, for a team of four.
TEST(ThreadTeamTest, WorkersThatNeverArriveAreNotMissed) {
  tbb::global_control few(tbb::global_control::max_allowed_parallelism, 1);
  ThreadTeam team({.n_threads = 4});
  for (uint64_t seed = 0; seed < 20; ++seed) run_script(team, seed, 20, 30);
}

// A worker held up inside a region holds only its own chunk: the region still ends, and completely.
TEST(ThreadTeamTest, SlowWorker) {
  ThreadTeam team({.n_threads = 2});
  std::vector<std::atomic<int>> runs(50);
  for (int round = 0; round < 5; ++round) {
    team.for_each_chunk(50, [&](int32_t chunk, int32_t worker) {
      if (worker == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      runs[static_cast<size_t>(chunk)].fetch_add(1);
    });
  }
  for (const auto& count : runs) EXPECT_EQ(count.load(), 5);
}

TEST(ThreadTeamTest, TeamsAreIndependent) {
  ThreadTeam a({.n_threads = 2}), b({.n_threads = 2, .pin = false});
  std::thread other([&] {
    for (uint64_t seed = 100; seed < 130; ++seed) run_script(b, seed, 10, 20);
  });
  for (uint64_t seed = 0; seed < 30; ++seed) run_script(a, seed, 10, 20);
  other.join();
}

TEST(ThreadTeamTest, EachWorkerIndexIsOneThreadAtATime) {
  ThreadTeam team({.n_threads = 4});
  std::vector<std::atomic<int>> inside(4);
  std::atomic<int> errors{0};
  for (int round = 0; round < 50; ++round) {
    team.for_each_chunk(64, [&](int32_t, int32_t worker) {
      if (inside[static_cast<size_t>(worker)].fetch_add(1) != 0) errors.fetch_add(1);
      inside[static_cast<size_t>(worker)].fetch_sub(1);
    });
  }
  EXPECT_EQ(errors.load(), 0);
}

TEST(CoresTest, FollowTheProcessMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  const Cores all = allowed_cores();
  ASSERT_EQ(all.cpus.size(), static_cast<size_t>(CPU_COUNT(&before)));
  EXPECT_GE(all.n_physical, 1);
  EXPECT_GE(all.usable, 1);
  EXPECT_LE(all.usable, all.n_physical);

  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(all.cpus.back()), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  const Cores single = allowed_cores();
  ThreadTeam team({});
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(single.cpus, std::vector<int>{all.cpus.back()});
  EXPECT_EQ(single.usable, 1);
  EXPECT_EQ(team.n_threads(), 1);
}

TEST(CoresTest, TheCallersMaskIsPutBack) {
  cpu_set_t before, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  if (CPU_COUNT(&before) < 2) GTEST_SKIP() << "one processor: nothing is pinned";
  ThreadTeam team({.n_threads = 2});
  std::atomic<int> pinned{0}, chunks{0};
  team.for_each_chunk(32, [&](int32_t, int32_t) {
    cpu_set_t mine;
    sched_getaffinity(0, sizeof(mine), &mine);
    pinned.fetch_add(CPU_COUNT(&mine) == 1 ? 1 : 0);
    chunks.fetch_add(1);
  });
  EXPECT_EQ(pinned.load(), chunks.load());
  ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

}  // namespace
}  // namespace ac::cpu
