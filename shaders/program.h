// The dispatches of a step, and command buffers of those that were seen before.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <vector>

#include "shaders/commands.h"
#include "shaders/pipelines.h"

namespace ac::vulkan {

// Bytes of a buffer; `buffer` of the activations is known only when the step is whole.
struct Span {
  VkBuffer buffer = VK_NULL_HANDLE;
  uint64_t begin = 0;
  uint64_t end = 0;
  bool operator==(const Span&) const = default;
  bool overlaps(const Span& other) const {
    return buffer == other.buffer && begin < other.end && other.begin < end;
  }
};

struct Dispatch {
  VkPipeline pipeline = VK_NULL_HANDLE;
  std::array<Span, kBindings> bindings = {};  // empty ones are not used
  std::array<uint32_t, kPushWords> push = {};
  std::array<uint32_t, 3> groups = {1, 1, 1};
  uint32_t writes = 1;  // bit i: binding i is written (and may be read)
  uint64_t n_macs = 0;  // where there are many
  bool operator==(const Dispatch&) const = default;
};

// A copy to where the host reads, after everything else.
struct ReadBack {
  Span from;
  uint64_t to = 0;  // in the buffer for results
  bool operator==(const ReadBack&) const = default;
};

struct Program {
  std::vector<Dispatch> dispatches;
  std::vector<ReadBack> read_backs;
  bool operator==(const Program&) const = default;
};

// Runs programs. One that equals a program of before is not recorded again.
class Recorder {
 public:
  Recorder(const Device& device, Commands& commands, const Pipelines& pipelines,
           uint64_t macs_per_submission)
      : device_(device),
        commands_(commands),
        pipelines_(pipelines),
        macs_per_submission_(macs_per_submission) {}
  ~Recorder() { forget(); }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // `poison`: filled with NaN first. Errors: kOutOfMemory, kIo.
  Status run(const Program& program, const Region& results, const Region& poison);
  // Where buffers are about to go.
  void forget();
  int64_t n_recorded() const { return n_recorded_; }

 private:
  struct Recorded {
    Program program;
    std::vector<VkCommandBuffer> commands = {};  // a submission each
    VkDescriptorPool pool = VK_NULL_HANDLE;
  };
  Status record(Recorded& made, const Region& results, const Region& poison);
  Status begin_commands(Recorded& made);
  void release(Recorded& recorded);

  const Device& device_;
  Commands& commands_;
  const Pipelines& pipelines_;
  uint64_t macs_per_submission_;
  std::list<Recorded> recorded_;  // last used first
  int64_t n_recorded_ = 0;
};

}  // namespace ac::vulkan
