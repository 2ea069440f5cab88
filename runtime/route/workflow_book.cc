#include "runtime/route/workflow_book.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/core/file.h"
#include "runtime/core/file_lock.h"
#include "runtime/core/json.h"

namespace ac {
namespace {

// A workflow is never given up for lost altogether: predictions are not that sure.
constexpr double kLeastRelative = 0.05;
constexpr double kLeastSuccess = 1e-3;
constexpr uint64_t kMaxFileBytes = 4u << 20;
constexpr int64_t kMostSteps = 1'000'000'000;

Result<WorkflowBook> parse_workflows(std::string_view text) {
  AC_TRY(const Json object, parse_json(text, {.max_bytes = kMaxFileBytes}));
  const Json* list = object.is_object() ? json_find(object, "workflows") : nullptr;
  if (list == nullptr || !list->is_array()) {
    return fail(ErrorCode::kCorruptFile, "expected an object with a list of 'workflows'");
  }
  WorkflowBook book;
  // The one last heard of is put last.
  for (auto at = list->rbegin(); at != list->rend(); ++at) {
    if (!at->is_object()) return fail(ErrorCode::kCorruptFile, "a workflow that is no object");
    WorkflowState state;
    AC_TRY(const std::string id, json_string(*at, "id"));
    AC_TRY(const int64_t n_steps, json_integer(*at, "steps", 0, kMostSteps));
    state.n_steps = static_cast<int>(n_steps);
    AC_TRY(state.survival, json_number(*at, "survival"));
    AC_TRY(state.full_survival, json_number(*at, "full_survival"));
    AC_TRY(state.usd, json_number(*at, "usd"));
    AC_TRY(state.dearest_local, json_number(*at, "dearest_local"));
    if (!good_workflow_id(id)) return fail(ErrorCode::kCorruptFile, "a workflow without an id");
    book.put(id, state);
  }
  return book;
}

std::string workflows_text(const WorkflowBook& book) {
  OrderedJson list = OrderedJson::array();
  for (const auto& [id, state] : book.entries()) {
    list.push_back({{"id", id},
                    {"steps", state.n_steps},
                    {"survival", state.survival},
                    {"full_survival", state.full_survival},
                    {"usd", state.usd},
                    {"dearest_local", state.dearest_local}});
  }
  return json_line(OrderedJson{{"workflows", std::move(list)}}) + "\n";
}

}  // namespace

double WorkflowState::relative() const {
  return std::clamp(survival / std::max(full_survival, kLeastSuccess), kLeastRelative, 1.0);
}

WorkflowState WorkflowBook::find(std::string_view id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? WorkflowState{} : found->second->state;
}

WorkflowState& WorkflowBook::at(std::string_view id) {
  const auto found = by_id_.find(id);
  if (found != by_id_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return entries_.front().state;
  }
  if (entries_.size() >= most_) {
    by_id_.erase(entries_.back().id);
    entries_.pop_back();
  }
  entries_.push_front({std::string(id), {}});
  by_id_.emplace(entries_.front().id, entries_.begin());
  return entries_.front().state;
}

void WorkflowBook::put(std::string_view id, const WorkflowState& state) { at(id) = state; }

void WorkflowBook::add(std::string_view id, const WorkflowStep& step) {
  WorkflowState& state = at(id);
  ++state.n_steps;
  state.usd += step.usd;
  state.dearest_local = std::max(state.dearest_local, step.local_cost);
  if (!step.success || !step.full_success) return;
  state.survival *= std::clamp(*step.success, kLeastSuccess, 1.0);
  state.full_survival *= std::clamp(*step.full_success, kLeastSuccess, 1.0);
}

Result<WorkflowBook> read_workflows(const std::string& path) {
  const auto text = read_file(path, kMaxFileBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return WorkflowBook();
  if (!text) return text.error();
  Result<WorkflowBook> book = parse_workflows(*text);
  if (!book) return with_context(book.error(), path);
  return book;
}

Status add_to_workflows(const std::string& path, std::string_view id, const WorkflowStep& step) {
  AC_TRY(const FileLock lock, FileLock::take(path + ".lock"));
  AC_TRY(WorkflowBook book, read_workflows(path));
  book.add(id, step);
  return write_file(path, workflows_text(book));
}

bool good_workflow_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxWorkflowIdBytes &&
         std::none_of(id.begin(), id.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace ac
