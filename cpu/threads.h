// A team of threads that walks a list of stages together: one parallel region for a whole token.
//
// Why not one parallel_for per matrix product: a small model decodes a token in a few milliseconds
// with about 300 dependent products, and waking threads for each would cost as much as the work.
// Here the threads stay together from the first stage to the last; the step from one stage to the
// next is one atomic word.
//
// A stage is a set of works, each cut into chunks. Chunk boundaries come from shapes and never from
// the number of threads, so results are the same bits for any number of them. Threads claim runs of
// chunks, long ones first and short ones towards the end; when all chunks of a stage are done, the
// next begins. The calling thread takes part and can finish everything alone: a worker that comes
// late joins at the current stage, one that never comes is not missed.
//
// Workers are tasks in one oneTBB arena. After a region they stay around for a fraction of a
// millisecond, because the next token usually follows, and then go back to oneTBB and sleep. While
// in a region every thread is pinned to a core of its own; left alone, the kernels of some virtual
// machines put all threads of a process on one core.
//
// Thread safety: one run() at a time per team. Different teams are independent.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace ac::cpu {

struct Work {
  // Chunks [chunk_begin, chunk_end); `worker` is in [0, n_threads) and the caller's alone
  // meanwhile.
  void (*run)(const void* args, int32_t chunk_begin, int32_t chunk_end, int32_t worker) noexcept;
  const void* args;
  int32_t n_chunks;  // >= 0
};

// Works [first, first + count) of the list. They do not depend on each other; or else in_order is
// set, and one thread runs them all, one after the other.
struct Stage {
  int32_t first = 0;
  int32_t count = 0;
  bool in_order = false;
};

// The cores this process may use, one logical processor per physical core first, then their
// siblings.
struct Cores {
  std::vector<int> cpus;
  int n_physical = 0;  // the first n_physical of `cpus` are cores of their own
  int usable = 0;      // n_physical, or less where a control group grants less time
};
Cores allowed_cores();

class ThreadTeam {
 public:
  struct Options {
    int n_threads = 0;  // 0: one per usable core. At most kMaxThreads.
    bool pin = true;    // pinning happens only with more than one thread
  };
  static constexpr int kMaxThreads = 256;

  explicit ThreadTeam(const Options& options);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int n_threads() const { return n_threads_; }

  // Returns when every chunk of every stage has run.
  void run(std::span<const Work> works, std::span<const Stage> stages);
  // One stage of one work: body(chunk, worker) for every chunk.
  template <class Body>
  void for_each_chunk(int32_t n_chunks, const Body& body) {
    const Work work{[](const void* args, int32_t begin, int32_t end, int32_t worker) noexcept {
                      const Body& function = *static_cast<const Body*>(args);
                      for (int32_t chunk = begin; chunk < end; ++chunk) function(chunk, worker);
                    },
                    &body, n_chunks};
    const Stage stage{.first = 0, .count = 1};
    run({&work, 1}, {&stage, 1});
  }

 private:
  struct Shared;
  void summon_workers();

  int n_threads_;
  std::shared_ptr<Shared> shared_;  // also held by workers on their way in or out
  struct Arena;
  std::unique_ptr<Arena> arena_;
};

}  // namespace ac::cpu
