// A question on its way through the router: what was decided, what was passed on, and what becomes
// of it in the receipt.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/route/router.h"

namespace ac {

// Passes text on, remembers it, and notes when the first piece came.
class Relay {
 public:
  Relay(const std::function<bool(std::string_view)>& on_text, const Clock& clock,
        Clock::TimePoint start)
      : on_text_(on_text), clock_(clock), start_(start) {}

  std::function<bool(std::string_view)> callback() {
    return [this](std::string_view piece) {
      if (text_.empty()) first_seconds_ = seconds_between(start_, clock_.now());
      text_ += piece;
      if (!on_text_ || held_) return true;
      relayed_ = true;
      return on_text_(piece);
    };
  }
  // Whether a piece has left: from then on no other answer may begin. Where nobody listens none
  // has.
  bool relayed() const { return relayed_; }
  bool has_text() const { return !text_.empty(); }
  void restart() { text_.clear(); }
  // While held, pieces are remembered and not passed on. Letting go passes on all of them at once.
  void hold() { held_ = true; }
  void let_go() {
    if (std::exchange(held_, false)) pass_on(text_);
  }
  void pass_on(std::string_view text) {
    if (!on_text_ || text.empty()) return;
    relayed_ = true;
    on_text_(text);
  }
  std::string take_text() { return std::move(text_); }
  double first_seconds() const { return first_seconds_; }
  double seconds() const { return seconds_between(start_, clock_.now()); }

 private:
  const std::function<bool(std::string_view)>& on_text_;
  const Clock& clock_;
  Clock::TimePoint start_;
  std::string text_;
  bool relayed_ = false;
  bool held_ = false;
  double first_seconds_ = 0;
};

// One question on its way: what has been decided, and what has happened since.
struct Journey {
  const RouteRequest& request;
  const Decision& decision;
  Relay relay;
  Route route;        // changes as places fail
  std::string cause;  // of being degraded
  std::string notes;
  double spent = 0;             // on the remote, whatever has come of it
  double set_aside = 0;         // of its workflow's budget, until it is remembered
  // Asked once a local variant has read the prompt: whether it shall answer. Empty: it shall.
  std::function<bool(const DraftSignals& signals)> goes_on{};
};

// Adds a sentence to a receipt's notes.
void add_note(std::string* notes, std::string_view note);

// "stop", "length" or "cancelled".
std::string_view finish_name(FinishReason finish);
// What the gate says of this variant; 0 where it says nothing.
double success_of(const Decision& decision, std::string_view variant);
// What is known of the answer while nobody has counted its tokens.
Receipt receipt_of(const Journey& journey);
// What there is when an answer broke off after its first piece, or was cancelled.
RoutedAnswer broken_off(Journey& journey, std::string_view model, const Error& error);
// Of a remote that says nothing of tokens.
inline constexpr std::string_view kNotCounted = "the server counted no tokens";

}  // namespace ac
