// What the router remembers of workflows: chains of requests that carry the same id, and that
// succeed only if every step does.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "runtime/core/result.h"

namespace ac {

struct WorkflowState {
  int n_steps = 0;
  // How likely the steps so far are to have succeeded, were each as likely as it was judged to be;
  // and how likely with the full model alone.
  double survival = 1;
  double full_survival = 1;
  double usd = 0;             // spent on it
  double dearest_local = 0;   // cost (Candidate::cost) of the dearest variant that answered

  // What the steps so far have left of the full model's success, in (0, 1]: a further loss weighs
  // only so much.
  double relative() const;
};

// One step that has been answered.
struct WorkflowStep {
  std::optional<double> success{};       // as judged, of what answered
  std::optional<double> full_success{};  // of the full model on the same prompt
  double local_cost = 0;                 // of the variant that answered; 0: the full model did
  double usd = 0;
};

// Forgets those not heard of for longest. Not thread-safe.
class WorkflowBook {
 public:
  explicit WorkflowBook(size_t most = 4096) : most_(most) {}
  WorkflowBook(WorkflowBook&&) = default;
  WorkflowBook& operator=(WorkflowBook&&) = default;
  // A new state for an id that is not known.
  WorkflowState find(std::string_view id) const;
  void add(std::string_view id, const WorkflowStep& step);
  void put(std::string_view id, const WorkflowState& state);
  struct Entry {
    std::string id;
    WorkflowState state;
  };
  const std::list<Entry>& entries() const { return entries_; }  // last heard of first

 private:
  WorkflowState& at(std::string_view id);

  size_t most_;
  std::list<Entry> entries_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_id_;
};

// The same in a file that several processes share, for those that answer once and end. Errors: kIo,
// kCorruptFile.
Result<WorkflowBook> read_workflows(const std::string& path);
Status add_to_workflows(const std::string& path, std::string_view id, const WorkflowStep& step);

// Ids come from clients: 1 to 200 bytes without control characters.
inline constexpr size_t kMaxWorkflowIdBytes = 200;
bool good_workflow_id(std::string_view id);

}  // namespace ac
