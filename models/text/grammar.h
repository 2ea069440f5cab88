// Grammars over bytes, and the machine that follows one: which bytes may come next.
//
// A grammar is a set of rules, each a choice between sequences of bytes and rules. The machine keeps
// all stacks of rules that the bytes so far allow, gives each such set a number, and remembers where
// every byte leads from it: text of the same kind (the inside of a string) then costs a table look-up
// a byte. Made for texts whose rules recur in their middle (nested objects), which no finite automaton
// knows.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

namespace ac {

using ByteSet = std::bitset<256>;
ByteSet bytes_between(uint8_t first, uint8_t last);
ByteSet bytes_of(std::string_view any);

class Grammar {
 public:
  struct Symbol {
    enum class Kind : uint8_t { kBytes, kRule, kEnd } kind = Kind::kEnd;
    int32_t index = 0;  // of the byte set or the rule
  };
  using Sequence = std::vector<Symbol>;

  // A rule without choices yet: what nothing matches.
  int32_t add_rule();
  // REQUIRES: no rule reaches itself before a byte (left recursion).
  void add_choice(int32_t rule, const Sequence& sequence);
  // A rule with these choices.
  int32_t rule_of(const std::vector<Sequence>& choices);

  Symbol rule(int32_t index) const { return {Symbol::Kind::kRule, index}; }
  Symbol any_of(const ByteSet& bytes);
  Sequence text(std::string_view literal);

  void set_root(int32_t rule) { root_ = rule; }
  int32_t root() const { return root_; }
  size_t n_symbols() const { return symbols_.size(); }

 private:
  friend class GrammarMachine;
  std::vector<ByteSet> sets_;
  std::vector<Symbol> symbols_;                // sequences one after the other, each with its kEnd
  std::vector<std::vector<int32_t>> choices_;  // [rules], where each sequence begins
  int32_t root_ = 0;
};

Grammar::Sequence operator+(Grammar::Sequence a, const Grammar::Sequence& b);

// Not thread-safe. `grammar` has to outlive it.
class GrammarMachine {
 public:
  static constexpr int32_t kDead = -1;

  explicit GrammarMachine(const Grammar& grammar);
  int32_t start() const { return start_; }
  // The state after one more byte; kDead: it may not come there. `state` not kDead.
  int32_t next(int32_t state, uint8_t byte);
  // Whether the text may end there.
  bool may_end(int32_t state) const { return states_[static_cast<size_t>(state)].may_end; }
  size_t n_states() const { return states_.size(); }

 private:
  // What remains to be matched after a rule: the symbols from a place on, then what is below.
  struct Frame {
    int32_t place = 0;
    int32_t below = -1;  // -1: nothing
    friend auto operator<=>(const Frame&, const Frame&) = default;
  };
  static constexpr int32_t kNotKnown = -2;
  struct State {
    std::vector<Frame> tops;  // each at a byte set
    bool may_end = false;
    std::array<int32_t, 256> next{};
  };
  struct Reached {
    std::vector<Frame> tops;
    bool may_end = false;
    std::vector<Frame> seen;
  };
  void reach(Frame frame, Reached& out);
  int32_t frame_id(Frame frame);
  int32_t state_of(Reached reached);

  const Grammar& grammar_;
  std::vector<Frame> frames_;
  std::map<Frame, int32_t> frame_ids_;
  std::vector<State> states_;
  std::map<std::pair<std::vector<Frame>, bool>, int32_t> state_ids_;
  int32_t start_ = kDead;
};

}  // namespace ac
