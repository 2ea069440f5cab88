// Router: one question in, one answer with a receipt out.
//
// Predict, decide, run the local variant or the remote client, fall back. Until the first piece of
// text has been relayed a failing remote is replaced by the best local variant, and the receipt
// says `degraded`; after it nothing is spliced together: the answer ends as "interrupted".
//
// Requests of one workflow are steps that must all succeed: what the steps so far have put at risk
// makes a further risk weigh less (the product of successes is what counts), no later step is
// answered by a cheaper variant than an earlier one, and a workflow can have a budget of its own.
//
// Offline means that no socket is opened: the remote client is not even created.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/chat_template.h"
#include "runtime/core/clock.h"
#include "runtime/core/result.h"
#include "runtime/engine/session.h"
#include "runtime/ledger/ledger.h"
#include "runtime/route/forward_rules.h"
#include "runtime/route/judge.h"
#include "runtime/route/policy.h"
#include "runtime/route/receipt.h"
#include "runtime/route/remote_client.h"
#include "runtime/route/token_prices.h"
#include "runtime/route/use_learner.h"
#include "runtime/route/variants.h"

namespace ac {

// Called at most once, on the first question that may leave the machine; never when offline.
using RemoteFactory = std::function<Result<std::unique_ptr<RemoteClient>>()>;
// The client for these options; url empty: an empty function, that is, no remote.
RemoteFactory remote_factory(RemoteOptions options);

struct RouterParts {
  Judge judge;
  std::unique_ptr<VariantSource> variants;  // nullptr: no local model
  RemoteFactory make_remote;                // empty: no remote configured
  std::shared_ptr<Ledger> ledger{};         // nullptr: no limit by day or month, nothing written
  std::shared_ptr<UseLearner> learner{};    // nullptr: nothing is learned from use
};

// What is done with a local answer that check_draft (verify.h) doubts.
enum class Verify {
  kNo,        // nothing: it is not checked
  kMark,      // the receipt says what is doubtful
  // The full model is asked instead, where it may be; so text comes only when it is whole. Where the
  // predictor has a draft gate, that one decides what is doubtful.
  kEscalate,
};

struct RouterOptions {
  double threshold = 0.7;  // confidence below which the full model is asked, without an allowance
  Verify verify = Verify::kMark;
  TokenPrices prices{};        // of the remote
  SpendingLimits limits{};     // of the remote, with a ledger
  std::string source{};        // who asks, in the ledger; empty: answers are not written down
  double local_watts = 0;      // what this machine takes while it answers, for the ledger
  double usd_per_success = 0;  // what a further right answer is worth; 0: whatever it costs
  double usd_per_workflow = 0;  // 0: no limit
  std::string workflow_file{};  // where workflows outlive the router; empty: nowhere
  double audit_share = 0;       // of local answers that the remote is asked to confirm, when idle
  bool offline = false;
  std::shared_ptr<const ForwardRules> forward_rules{};  // nullptr: everything may leave
  uint64_t memory_budget_bytes = 0;  // of loaded variants; 0: what the machine has
  const Clock* clock = nullptr;      // nullptr: the machine's
};

struct RouteRequest {
  std::vector<ChatMessage> messages;
  // Set instead of messages: text to continue with no chat template. Always local.
  std::optional<std::string> raw_prompt;
  // Of these the remote is sent max_tokens, temperature, top_p, seed and stop.
  GenerateOptions options;
  // What the remote is told where `options` has a grammar, as in RemoteRequest.
  std::string response_format{};
  std::string tools{}, tool_choice{};  // as in RemoteRequest; for local variants see local_tools.h
  std::optional<std::string> pin;   // a variant's id, "local" or "remote"
  std::optional<double> threshold;  // instead of RouterOptions::threshold
  // Requests with the same id are steps of one workflow; empty: a request of its own.
  std::string workflow{};
  // Why nothing of it may leave this machine, in words; empty: it may.
  std::string keep_here{};
  bool wants_signals = false;  // RoutedAnswer::signals, even where no gate reads them
};

struct RoutedAnswer {
  std::string text;  // all of it, whether or not it was relayed through on_text
  Receipt receipt;
  // Set when the answer broke off after its first piece (receipt.finish is "interrupted"): text is
  // what had come until then. A caller must not present it as a whole answer.
  std::optional<Error> interrupted;
  std::optional<DraftSignals> signals{};  // of a local answer
  std::vector<ToolCall> tool_calls{};     // instead of the text or beside it
};

// What is known of the router at a moment.
struct RouterView {
  bool may_ask_remote = false;  // there is one, and it is not offline
  bool remote_paused = false;   // it keeps failing, or its client could not be made
  std::string alarm{};          // as in Decision
  std::vector<std::string> loaded{};  // variants in memory, last used first
};

// Thread-safe. Local variants are asked in the order of the questions, those for the same variant that
// stand behind each other together (turns.h); while one waits for the remote others go on.
class Router {
 public:
  // Errors: kInvalidArgument (neither a local model nor a remote, threshold outside [0, 1]).
  static Result<std::unique_ptr<Router>> create(RouterParts parts, RouterOptions options);
  ~Router();

  // Where the question would go, without running anything or opening a socket. The last user
  // message (or the raw prompt) is what is judged. Errors: those of decide() in policy.h;
  // kInvalidArgument for a request without a prompt.
  Result<Decision> decide(const RouteRequest& request) const;

  // What may happen on the way, as long as no text has been relayed and nothing was pinned: a local
  // draft is doubted -> the remote (Verify::kEscalate), and the draft after all where that fails; the
  // remote fails -> the best local variant, degraded; a variant cannot be loaded -> another one,
  // then the remote, with a note; the prompt is too long for the engine -> the remote. Errors: as
  // decide(); those of the local engine where no other place may answer; kRemote where the remote
  // failed and there is no local model or the user pinned the remote. A cancelled answer is not an
  // error: receipt.finish is "cancelled".
  Result<RoutedAnswer> answer(const RouteRequest& request);
  // The same as it was decided a moment ago.
  Result<RoutedAnswer> answer(const RouteRequest& request, const Decision& decision);

  // Learning from use. What was escalated is answered once more by a local variant, a share of what
  // was answered locally by the remote; how far the answers agree is a label. Nothing of it happens
  // by itself: whoever is idle calls learn_one.
  bool has_lessons() const;
  // One of them. False: there was none, or `cancel` was raised; then it comes again. Errors: those
  // of the places asked, of the budget and of UseLearner; the lesson is dropped.
  Result<bool> learn_one(const CancelFlag* cancel);
  // What somebody thinks of the last local answer that was not pinned. Errors: kNotFound (there is
  // none, or nothing is learned), those of UseLearner.
  Status judge_last(bool good);

  // Has something done with the engine of a variant, loaded if need be, when it is its turn. Errors:
  // kNotFound (no local model), those of loading and of `use`.
  Status with_engine(std::string_view id, const std::function<Status(Engine&)>& use);
  // Lets go of a variant's memory, when it is its turn. False: it was not loaded.
  bool unload(std::string_view id);

  // Whether the remote may be asked from now on. Going offline ends what is being asked there: a local
  // variant answers instead, where nothing has been relayed. A router that was made offline has no
  // remote to come back to.
  void set_offline(bool offline);
  bool offline() const;
  RouterView view() const;
  std::shared_ptr<Ledger> ledger() const;  // nullptr: none
  // For `doctor`: the models that the remote offers. Errors: kNotFound (no remote), kUnsupported
  // (offline), kRemote.
  Result<std::vector<std::string>> remote_models();

 private:
  struct State;
  explicit Router(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ac
