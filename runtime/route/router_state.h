// The router's inside, shared by its parts. Not an interface: router*.cc only.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/core/rng.h"
#include "runtime/route/drift.h"
#include "runtime/route/journey.h"
#include "runtime/route/local_answers.h"
#include "runtime/route/router.h"
#include "runtime/route/workflow_book.h"

namespace ac {

// What the predictor reads: the last thing that the user said. Errors: kInvalidArgument.
Result<std::string_view> judged_text(const RouteRequest& request);
RequestFacts facts_of(const RouteRequest& request);

struct Router::State {
  Judge judge;  // under `shared`: it looks at what is learned
  // Loaded, counted with and run by whoever has a turn; what there is may be read without.
  std::optional<VariantCache> variants;
  RemoteFactory make_remote;
  RouterOptions options;
  const Clock* clock = nullptr;
  CancelFlag goes_offline;
  bool offline() const { return goes_offline.raised(); }
  std::shared_ptr<Ledger> ledger;  // nullptr: no limits

  // For moments only, also for whoever has a turn: what answers have in common, which is all that follows.
  std::mutex shared;
  std::unique_ptr<RemoteClient> client;  // made on first use
  std::optional<Error> client_error;     // it could not be made
  std::vector<std::string> loaded;       // variants, as RouterView
  // How the variants read text, known once one is loaded: counting needs no turn then.
  std::shared_ptr<const ModelText> reads;
  WorkflowBook workflows;
  std::map<std::string, double> set_aside;  // of workflows' budgets, by questions on their way
  std::optional<DriftMonitor> drift;
  std::shared_ptr<UseLearner> learner;   // nullptr: nothing is learned
  // A question to answer once more elsewhere, and what was answered.
  struct Lesson {
    std::vector<ChatMessage> messages;
    GenerateOptions options;
    std::string variant;   // whose success is learned
    std::string answer;
    bool audit = false;    // the answer is the variant's, the remote confirms; else the other way round
  };
  std::deque<Lesson> lessons;
  std::optional<Lesson> last_local;  // for judge_last
  Rng audit_rng{1};
  double usual_completion_tokens = 200;  // of answers of the remote, a running mean

  bool may_ask_remote(const RouteRequest& request, const Decision& decision) const {
    return make_remote && !offline() && decision.kept_here.empty() &&
           !request.raw_prompt.has_value();
  }
  // Of never_forward; empty: there is none.
  std::string rule_against(const RouteRequest& request) const;
  int64_t tokens_needed(const RouteRequest& request, const Decision& decision,
                        std::span<const VariantCost> locals);
  Result<int64_t> count_tokens(const RouteRequest& request);
  Result<RemoteClient*> remote();
  Result<Engine*> engine_of(std::string_view id);  // in a turn
  Result<Engine*> load(Journey& journey);
  Result<RoutedAnswer> run_local(Journey& journey);
  Result<RoutedAnswer> run_local_then_doubt(Journey& journey);
  // The variant that drafts before the route's (draft_gate.h); empty: none.
  std::string cascade_before(const RouteRequest& request, const Decision& decision,
                             double least_cost) const;
  std::optional<Result<RoutedAnswer>> run_cascade(Journey& journey);
  struct JudgedDraft {
    Result<RoutedAnswer> answer = RoutedAnswer{};
    bool stopped = false;  // it was read and not written
    std::optional<DraftGate::Success> success{};  // nullopt: the gate has nothing to say
  };
  JudgedDraft run_judged(Journey& journey, std::optional<double> allowance, double reach);
  // What the draft gate says of the variant that is answering; nullopt where it cannot.
  std::optional<DraftGate::Success> judge_draft(DraftStage stage, const Journey& journey,
                                                const DraftSignals& signals,
                                                const SecondDraft& second = {}) const;
  // Another variant's answer beside that of `draft`; nullopt where there is none.
  std::optional<SecondDraft> ask_second(const Journey& journey, const RoutedAnswer& draft);
  Result<RoutedAnswer> run_remote(Journey& journey);
  Result<RoutedAnswer> ask_remote(Journey& journey, double& spent);
  Result<RoutedAnswer> travel(Journey& journey);
  Result<RoutedAnswer> answer(const RouteRequest& request, const Decision& decision,
                              Clock::TimePoint start);
  // The most that the question can cost.
  double highest_price(const RouteRequest& request) const;
  double usual_price(const RouteRequest& request) const;  // under `shared`
  Result<WorkflowState> workflow_of(const RouteRequest& request);
  Result<bool> may_spend(const RouteRequest& request);
  // False: the workflow's budget has no room for it.
  Result<bool> set_aside_in_workflow(Journey& journey, double price);
  void release(Journey& journey);
  void write_down(const RoutedAnswer& answer);
  // An answer, or what was spent without one (nullptr).
  void remember(const Journey& journey, const RoutedAnswer* answer);
  void note_lesson(const Journey& journey, const RoutedAnswer& answer);
  Result<bool> take_lesson(const Lesson& lesson, const CancelFlag* cancel);

  // The last to be made and the first to end: its thread uses the rest.
  LocalAnswers local_answers;
};

}  // namespace ac
