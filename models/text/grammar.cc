#include "models/text/grammar.h"

#include <algorithm>

#include "runtime/core/check.h"

namespace ac {

ByteSet bytes_between(uint8_t first, uint8_t last) {
  ByteSet set;
  for (int byte = first; byte <= last; ++byte) set.set(static_cast<size_t>(byte));
  return set;
}

ByteSet bytes_of(std::string_view any) {
  ByteSet set;
  for (const char byte : any) set.set(static_cast<uint8_t>(byte));
  return set;
}

int32_t Grammar::add_rule() {
  choices_.emplace_back();
  return static_cast<int32_t>(choices_.size()) - 1;
}

void Grammar::add_choice(int32_t rule, const Sequence& sequence) {
  choices_[static_cast<size_t>(rule)].push_back(static_cast<int32_t>(symbols_.size()));
  symbols_.insert(symbols_.end(), sequence.begin(), sequence.end());
  symbols_.push_back({});
}

int32_t Grammar::rule_of(const std::vector<Sequence>& choices) {
  const int32_t rule = add_rule();
  for (const Sequence& sequence : choices) add_choice(rule, sequence);
  return rule;
}

Grammar::Symbol Grammar::any_of(const ByteSet& bytes) {
  const auto found = std::find(sets_.begin(), sets_.end(), bytes);
  const auto index = static_cast<int32_t>(found - sets_.begin());
  if (found == sets_.end()) sets_.push_back(bytes);
  return {Symbol::Kind::kBytes, index};
}

Grammar::Sequence Grammar::text(std::string_view literal) {
  Sequence sequence;
  for (const char byte : literal) sequence.push_back(any_of(bytes_of({&byte, 1})));
  return sequence;
}

Grammar::Sequence operator+(Grammar::Sequence a, const Grammar::Sequence& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

GrammarMachine::GrammarMachine(const Grammar& grammar) : grammar_(grammar) {
  Reached reached;
  for (const int32_t place : grammar.choices_[static_cast<size_t>(grammar.root_)]) {
    reach({place, -1}, reached);
  }
  start_ = state_of(std::move(reached));
}

int32_t GrammarMachine::frame_id(Frame frame) {
  const auto [at, is_new] = frame_ids_.try_emplace(frame, static_cast<int32_t>(frames_.size()));
  if (is_new) frames_.push_back(frame);
  return at->second;
}

// Goes into rules, and back out of those that are done, until a byte is wanted.
void GrammarMachine::reach(Frame frame, Reached& out) {
  std::vector<Frame> open = {frame};
  while (!open.empty()) {
    const Frame top = open.back();
    open.pop_back();
    if (std::find(out.seen.begin(), out.seen.end(), top) != out.seen.end()) continue;
    out.seen.push_back(top);
    const Grammar::Symbol symbol = grammar_.symbols_[static_cast<size_t>(top.place)];
    switch (symbol.kind) {
      case Grammar::Symbol::Kind::kBytes:
        out.tops.push_back(top);
        break;
      case Grammar::Symbol::Kind::kEnd:
        if (top.below < 0) {
          out.may_end = true;
        } else {
          open.push_back(frames_[static_cast<size_t>(top.below)]);
        }
        break;
      case Grammar::Symbol::Kind::kRule: {
        // A rule that comes last is entered in place of this one, so that a list of any length does
        // not pile up.
        const Frame after{top.place + 1, top.below};
        const bool is_last = grammar_.symbols_[static_cast<size_t>(after.place)].kind ==
                             Grammar::Symbol::Kind::kEnd;
        const int32_t below = is_last ? top.below : frame_id(after);
        for (const int32_t place : grammar_.choices_[static_cast<size_t>(symbol.index)]) {
          open.push_back({place, below});
        }
        break;
      }
    }
  }
}

int32_t GrammarMachine::state_of(Reached reached) {
  if (reached.tops.empty() && !reached.may_end) return kDead;
  std::sort(reached.tops.begin(), reached.tops.end());
  const auto [at, is_new] = state_ids_.try_emplace({reached.tops, reached.may_end},
                                                   static_cast<int32_t>(states_.size()));
  if (is_new) {
    State state{std::move(reached.tops), reached.may_end, {}};
    state.next.fill(kNotKnown);
    states_.push_back(std::move(state));
  }
  return at->second;
}

int32_t GrammarMachine::next(int32_t state, uint8_t byte) {
  AC_CHECK(state >= 0 && static_cast<size_t>(state) < states_.size());
  const int32_t known = states_[static_cast<size_t>(state)].next[byte];
  if (known != kNotKnown) return known;
  Reached reached;
  const std::vector<Frame> tops = states_[static_cast<size_t>(state)].tops;
  for (const Frame& top : tops) {
    const Grammar::Symbol symbol = grammar_.symbols_[static_cast<size_t>(top.place)];
    if (!grammar_.sets_[static_cast<size_t>(symbol.index)].test(byte)) continue;
    reach({top.place + 1, top.below}, reached);
  }
  const int32_t to = state_of(std::move(reached));
  states_[static_cast<size_t>(state)].next[byte] = to;
  return to;
}

}  // namespace ac
