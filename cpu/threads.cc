#include "cpu/threads.h"

#include <sched.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <tuple>

#include "runtime/core/check.h"
#include "runtime/core/file.h"

#if defined(__SANITIZE_THREAD__)
// oneTBB is not instrumented, so ThreadSanitizer does not see that a task is handed over from the
// thread that makes it to the one that runs it. Only the task's own pointer is exempt; all it
// points to is ordered by `n_summoned`.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:std::__shared_ptr<ac::cpu::ThreadTeam::Shared\n"
         "race:std::__shared_count<\n"
         "race:^enqueue_task$\n";
}
#endif

namespace ac::cpu {
namespace {

// How long a worker waits for the next region before it returns to oneTBB. Sampling a token takes
// less; waking a sleeping thread costs about 50 us in a virtual machine.
constexpr auto kLinger = std::chrono::microseconds(500);
// Pauses before a waiting thread starts to offer its core to others.
constexpr int kSpinsBeforeYield = 4000;

void pause_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Spinner {
 public:
  void wait() {
    pause_core();
    if (++n_spins_ > kSpinsBeforeYield) std::this_thread::yield();
  }

 private:
  int n_spins_ = 0;
};

// The leading number of a small text file of the kernel; nullopt when there is none.
std::optional<int64_t> leading_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

// Processors' worth of time that the control group grants; nullopt when unlimited.
std::optional<int> granted_processors() {
  const auto text = read_file("/sys/fs/cgroup/cpu.max", 4096);  // "200000 100000" or "max 100000"
  if (!text) return std::nullopt;
  const size_t space = text->find(' ');
  if (space == std::string::npos) return std::nullopt;
  const auto quota = leading_number(*text);
  const auto period = leading_number(std::string_view(*text).substr(space + 1));
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<int>(std::clamp<int64_t>((*quota + *period - 1) / *period, 1, 1 << 20));
}

// Pins the calling thread to one processor and puts its former mask back at the end.
class PinScope {
 public:
  explicit PinScope(int cpu) {
    if (cpu < 0 || sched_getaffinity(0, sizeof(before_), &before_) != 0) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(cpu), &one);
    pinned_ = sched_setaffinity(0, sizeof(one), &one) == 0;  // refused: runs wherever it is
  }
  ~PinScope() {
    if (pinned_) sched_setaffinity(0, sizeof(before_), &before_);
  }
  PinScope(const PinScope&) = delete;
  PinScope& operator=(const PinScope&) = delete;

 private:
  cpu_set_t before_;
  bool pinned_ = false;
};

}  // namespace

Cores allowed_cores() {
  Cores cores;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) {
    std::vector<int> siblings;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(static_cast<size_t>(cpu), &mask)) continue;
      // "0,64" or "0-1": a processor leads its core when no allowed one comes before it.
      const auto list = read_file(
          "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
          4096);
      const auto first = list ? leading_number(*list) : std::nullopt;
      const bool follows =
          first && *first >= 0 && *first < cpu && CPU_ISSET(static_cast<size_t>(*first), &mask);
      (follows ? siblings : cores.cpus).push_back(cpu);
    }
    cores.n_physical = static_cast<int>(cores.cpus.size());
    cores.cpus.insert(cores.cpus.end(), siblings.begin(), siblings.end());
  }
  if (cores.cpus.empty()) {
    cores.n_physical = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  cores.usable = std::min(cores.n_physical, granted_processors().value_or(cores.n_physical));
  return cores;
}

// What the caller and the workers have in common.
struct ThreadTeam::Shared {
  int n_threads = 1;
  std::vector<int> pins;  // pins[worker]: its processor, or -1

  // The region: odd while one is open. Works and stages may be looked at only by a thread that is
  // counted in `inside` and saw an odd number afterwards.
  alignas(64) std::atomic<uint64_t> region{0};
  std::span<const Work> works;
  std::span<const Stage> stages;
  alignas(64) std::atomic<int32_t> inside{0};
  alignas(64) std::atomic<int32_t> n_summoned{0};  // workers queued in oneTBB or running
  std::atomic<bool> stopped{false};

  // Stage in the upper half, next unclaimed chunk in the lower.
  alignas(64) std::atomic<uint64_t> claim{0};
  alignas(64) std::atomic<int32_t> n_done{0};  // chunks of the current stage that have run

  void serve(int32_t worker) noexcept;
  void walk(int32_t worker) noexcept;
  void work_until_idle(int32_t worker) noexcept;
  void run_chunks(const Stage& stage, int32_t begin, int32_t end, int32_t worker) const noexcept;
  int32_t chunks_of(const Stage& stage) const noexcept;
};

int32_t ThreadTeam::Shared::chunks_of(const Stage& stage) const noexcept {
  if (stage.in_order) return 1;
  int32_t n_chunks = 0;
  for (int32_t i = 0; i < stage.count; ++i) {
    n_chunks += works[static_cast<size_t>(stage.first + i)].n_chunks;
  }
  return n_chunks;
}

void ThreadTeam::Shared::run_chunks(const Stage& stage, int32_t begin, int32_t end,
                                    int32_t worker) const noexcept {
  for (int32_t i = 0; i < stage.count; ++i) {
    const Work& work = works[static_cast<size_t>(stage.first + i)];
    if (stage.in_order) {
      work.run(work.args, 0, work.n_chunks, worker);
      continue;
    }
    // The stage's chunks are numbered through its works.
    const int32_t last = std::min(end, work.n_chunks);
    if (begin < last) work.run(work.args, begin, last, worker);
    begin = std::max(0, begin - work.n_chunks);
    end -= work.n_chunks;
    if (end <= 0) return;
  }
}

void ThreadTeam::Shared::walk(int32_t worker) noexcept {
  const auto n_stages = static_cast<uint32_t>(stages.size());
  uint64_t seen = claim.load(std::memory_order_acquire);
  uint32_t stage_index = 0;
  while ((stage_index = static_cast<uint32_t>(seen >> 32)) < n_stages) {
    const Stage& stage = stages[stage_index];
    const int32_t n_chunks = chunks_of(stage);
    const auto first = static_cast<int32_t>(seen & 0xffffffffu);
    if (first >= n_chunks && n_chunks > 0) {  // all claimed, not all done
      Spinner spinner;
      do {
        spinner.wait();
        seen = claim.load(std::memory_order_acquire);
      } while (seen >> 32 == stage_index);
      continue;
    }
    const int32_t left = n_chunks - first;
    const int32_t take =
        n_threads == 1 ? left : std::max(std::min(left, 1), left / (2 * n_threads));
    if (take > 0) {
      if (!claim.compare_exchange_weak(seen, seen + static_cast<uint64_t>(take),
                                       std::memory_order_acq_rel, std::memory_order_acquire)) {
        continue;
      }
      run_chunks(stage, first, first + take, worker);
      const int32_t done = n_done.fetch_add(take, std::memory_order_acq_rel) + take;
      if (done < n_chunks) {
        seen = claim.load(std::memory_order_acquire);
        continue;
      }
      n_done.store(0, std::memory_order_relaxed);
    }
    // This thread finished the stage (or found it empty): it alone opens the next.
    const uint64_t next = static_cast<uint64_t>(stage_index + 1) << 32;
    if (take > 0) {
      claim.store(next, std::memory_order_release);
      seen = next;
    } else if (claim.compare_exchange_strong(seen, next, std::memory_order_acq_rel,
                                             std::memory_order_acquire)) {
      seen = next;
    }
  }
}

// The life of a worker. REQUIRES: counted in n_summoned.
void ThreadTeam::Shared::serve(int32_t worker) noexcept {
  const PinScope pin(pins[static_cast<size_t>(worker)]);
  while (true) {
    work_until_idle(worker);
    n_summoned.fetch_sub(1, std::memory_order_seq_cst);
    // A region that opened just now may have counted on this worker: come back for it.
    const bool is_open = (region.load(std::memory_order_seq_cst) & 1u) != 0;
    if (!is_open || stopped.load(std::memory_order_relaxed)) return;
    n_summoned.fetch_add(1, std::memory_order_relaxed);
  }
}

void ThreadTeam::Shared::work_until_idle(int32_t worker) noexcept {
  uint64_t last_region = 0;
  auto idle_since = std::chrono::steady_clock::now();
  int n_looks = 0;
  while (!stopped.load(std::memory_order_relaxed)) {
    const uint64_t now_open = region.load(std::memory_order_acquire);
    if ((now_open & 1u) != 0 && now_open != last_region) {
      inside.fetch_add(1, std::memory_order_seq_cst);
      // Looked at again after being counted: from here on the caller waits for this thread.
      last_region = region.load(std::memory_order_seq_cst);
      if ((last_region & 1u) != 0) walk(worker);
      inside.fetch_sub(1, std::memory_order_release);
      idle_since = std::chrono::steady_clock::now();
      continue;
    }
    pause_core();
    if (++n_looks % 64 == 0) {
      if (std::chrono::steady_clock::now() - idle_since > kLinger) return;
      if (n_looks % 1024 == 0) std::this_thread::yield();
    }
  }
}

struct ThreadTeam::Arena {
  explicit Arena(int n_threads) : arena(n_threads, 1) {
    // oneTBB starts as many threads as there are processors; more have to be asked for.
    using Control = tbb::global_control;
    const auto wanted = static_cast<size_t>(n_threads);
    if (Control::active_value(Control::max_allowed_parallelism) < wanted) {
      parallelism.emplace(Control::max_allowed_parallelism, wanted);
    }
  }
  // Tasks that are still queued run here, on the thread that waits: oneTBB would keep them for
  // ever.
  ~Arena() {
    arena.execute([this] { summoned.wait(); });
  }
  std::optional<tbb::global_control> parallelism;
  tbb::task_arena arena;
  tbb::task_group summoned;
};

ThreadTeam::ThreadTeam(const Options& options) : shared_(std::make_shared<Shared>()) {
  const Cores cores = allowed_cores();
  const int wanted = options.n_threads > 0 ? options.n_threads : cores.usable;
  n_threads_ = std::clamp(wanted, 1, kMaxThreads);
  shared_->n_threads = n_threads_;
  shared_->pins.assign(static_cast<size_t>(n_threads_), -1);
  // More threads than processors are left to the scheduler: pinned, two would share one for good.
  if (options.pin && n_threads_ > 1 && static_cast<size_t>(n_threads_) <= cores.cpus.size()) {
    std::copy_n(cores.cpus.begin(), n_threads_, shared_->pins.begin());
  }
  if (n_threads_ > 1) arena_ = std::make_unique<Arena>(n_threads_);
}

ThreadTeam::~ThreadTeam() {
  shared_->stopped.store(true, std::memory_order_relaxed);
  arena_.reset();  // workers have left, or see `stopped` within their linger
}

void ThreadTeam::summon_workers() {
  Shared& shared = *shared_;
  int32_t here = shared.n_summoned.load(std::memory_order_seq_cst);
  for (; here < n_threads_ - 1; ++here) {
    shared.n_summoned.fetch_add(1, std::memory_order_release);
    try {
      arena_->arena.enqueue(arena_->summoned.defer([state = shared_] {
        // Slot 0 of the arena is the caller's; the others are distinct while occupied.
        const int slot = tbb::this_task_arena::current_thread_index();
        std::ignore = state->n_summoned.load(std::memory_order_acquire);
        if (slot > 0 && slot < state->n_threads)
          state->serve(slot);
        else
          state->n_summoned.fetch_sub(1, std::memory_order_seq_cst);
      }));
    } catch (...) {  // no memory, no threads: the caller does the work alone
      shared.n_summoned.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
  }
}

void ThreadTeam::run(std::span<const Work> works, std::span<const Stage> stages) {
  Shared& shared = *shared_;
  shared.works = works;
  shared.stages = stages;
  if (n_threads_ == 1) {
    for (const Stage& stage : stages) shared.run_chunks(stage, 0, shared.chunks_of(stage), 0);
    return;
  }
  const PinScope pin(shared.pins[0]);
  shared.claim.store(0, std::memory_order_relaxed);
  shared.n_done.store(0, std::memory_order_relaxed);
  const uint64_t opened = shared.region.load(std::memory_order_relaxed) + 1;
  shared.region.store(opened, std::memory_order_seq_cst);
  summon_workers();
  shared.walk(0);
  shared.region.store(opened + 1, std::memory_order_seq_cst);
  Spinner spinner;
  while (shared.inside.load(std::memory_order_seq_cst) != 0) spinner.wait();
}

}  // namespace ac::cpu
