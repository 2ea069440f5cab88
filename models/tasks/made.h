// What the makers of the four kinds hand back.
#pragma once

#include <string>

namespace ac::tasks {

// How hard an instance is, and in what way. `level` is 0 for the easiest of its kind and 1 for the
// hardest; the counts are what it was made of.
struct Difficulty {
  double level = 0;
  int items = 0;        // authors, rows x columns, studies, relations
  int hops = 0;         // steps of a chain, operations on a table, rules that apply to a reference
  int distractors = 0;  // things to leave out
};

struct Verdict {
  bool success = false;
  std::string reason;  // why not; empty on success
};
inline Verdict passed() { return {true, {}}; }
inline Verdict failed(std::string reason) { return {false, std::move(reason)}; }

template <class Truth>
struct Made {
  std::string prompt;
  std::string answer;  // the canonical one
  Difficulty difficulty;
  Truth truth;  // what the checker compares with
};

}  // namespace ac::tasks
