// Chance and words for one instance: a seeded generator that knows its field and split.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/tasks/lexicon.h"
#include "models/tasks/respelling.h"
#include "models/tasks/text.h"
#include "runtime/core/rng.h"

namespace ac::tasks {

enum class Field { kBiology, kChemistry, kPhysics, kSocial };
inline constexpr int kFields = 4;
std::string_view field_name(Field field);  // "biology", ..., "social"

// Where names and subject words come from: the lists of the lexicon, or the same with most of them
// respelled, each instance in its own way.
enum class Wording { kListed, kRespelled };

class Draw {
 public:
  // `salt` keeps the streams of kinds and workflows apart. `pieces`, for kRespelled: nullptr for those of
  // the training split.
  Draw(uint64_t seed, uint64_t salt, Field field, Split split, Wording wording,
       const WordPieces* pieces = nullptr);

  Field field() const { return field_; }
  Split split() const { return split_; }
  bool is_respelled() const { return respelling_.has_value(); }

  size_t below(size_t n) { return static_cast<size_t>(rng_.below(n)); }
  int range(int low, int high) {  // both ends included
    return low + static_cast<int>(below(static_cast<size_t>(high - low + 1)));
  }
  double uniform() { return rng_.uniform(); }
  bool chance(double probability) { return rng_.uniform() < probability; }

  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

  // The list of `key`, or of "key.<field>" where the data have that. Phrases may stand for several
  // (alternation.h); word() chooses among them.
  const std::vector<std::string>& list(std::string_view key);
  // `n` entries of the list, in any order. REQUIRES: it has as many.
  std::vector<std::string> some(std::string_view key, size_t n);
  // Valid as long as this.
  const std::string& word(std::string_view key);
  // A pattern of `key`, its slots filled. What is drawn for the slots is drawn before the pattern,
  // whatever the compiler: tasks are the same on every platform.
  std::string filled(std::string_view key, Slots slots) { return fill(word(key), slots); }

  // A label as laboratories invent them: "KL-42", "B7", "tx3". First letters differ between splits;
  // half of the respelled ones have any letter.
  std::string code();
  // A made-up technical word, "tarvosine"; roots differ between splits.
  std::string term();
  // `n` quantities of the field, "root length" or "brx-4 expression", no word in two of them; some of the
  // respelled ones are one word.
  std::vector<std::string> quantities(size_t n);

 private:
  std::string name_of_list(std::string_view key) const;
  bool respells(std::string_view name) const;

  Rng rng_;
  Field field_;
  Split split_;
  std::optional<Respelling> respelling_;
  std::map<std::string, std::vector<std::string>> respelled_;  // lists that were asked for
  std::deque<std::string> phrases_;                            // made for this instance
};

}  // namespace ac::tasks
