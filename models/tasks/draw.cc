#include "models/tasks/draw.h"

#include <algorithm>
#include <array>

#include "models/tasks/alternation.h"

namespace ac::tasks {
namespace {

constexpr std::array<std::string_view, kFields> kFieldNames = {"biology", "chemistry", "physics",
                                                               "social"};

constexpr double kRespelledShare = 0.8;

uint64_t mixed(uint64_t seed, uint64_t salt, Field field, Split split) {
  uint64_t state = seed;
  for (const uint64_t part : {salt, static_cast<uint64_t>(field), static_cast<uint64_t>(split)}) {
    state = Rng(state ^ (part + 1) * 0xd1342543de82ef95u).next();
  }
  return state;
}

}  // namespace

std::string_view field_name(Field field) { return kFieldNames[static_cast<size_t>(field)]; }

Draw::Draw(uint64_t seed, uint64_t salt, Field field, Split split, Wording wording,
           const WordPieces* pieces)
    : rng_(mixed(seed, salt, field, split)), field_(field), split_(split) {
  if (wording != Wording::kRespelled) return;
  respelling_.emplace(rng_.next(), kRespelledShare,
                      pieces != nullptr ? *pieces : WordPieces::of_training_split());
}

std::string Draw::name_of_list(std::string_view key) const {
  std::string name(key);
  name += '.';
  name += field_name(field_);
  return lexicon().has(name) ? name : std::string(key);
}

bool Draw::respells(std::string_view name) const { return respelling_ && is_content(name); }

const std::vector<std::string>& Draw::list(std::string_view key) {
  const std::string name = name_of_list(key);
  const std::vector<std::string>& listed = lexicon().list(name, split_);
  if (!respells(name)) return listed;
  std::vector<std::string>& respelled = respelled_[name];
  if (respelled.empty()) {
    for (const std::string& entry : listed) respelled.push_back(respelling_->entry(name, entry));
  }
  return respelled;
}

std::vector<std::string> Draw::some(std::string_view key, size_t n) {
  const std::string name = name_of_list(key);
  std::vector<std::string> entries = lexicon().list(name, split_);
  AC_CHECK(entries.size() >= n);
  shuffle(entries);
  entries.resize(n);
  if (!respells(name)) return entries;
  for (std::string& entry : entries) entry = respelling_->entry(name, entry);
  return entries;
}

const std::string& Draw::word(std::string_view key) {
  const std::string name = name_of_list(key);
  const std::string* picked = &pick(lexicon().list(name, split_));
  if (respells(name)) return phrases_.emplace_back(respelling_->entry(name, *picked));
  if (has_alternations(*picked)) {
    picked = &phrases_.emplace_back(chosen(*picked, [this](size_t n) { return below(n); }));
  }
  if (!respelling_ || !Respelling::is_free(key)) return *picked;
  return phrases_.emplace_back(respelling_->phrase(key, *picked));
}

std::string Draw::code() {
  // First letters tell the splits apart.
  const char listed = pick(list("code.letter"))[0];
  const bool any = respelling_ && chance(0.5);
  std::string text(1, any ? static_cast<char>('A' + range(0, 25)) : listed);
  const int n_more = range(0, 2);
  for (int i = 0; i < n_more; ++i) text += static_cast<char>('A' + range(0, 25));
  if (chance(0.5)) text += '-';
  return text + std::to_string(range(1, chance(0.5) ? 9 : 99));
}

std::string Draw::term() {
  std::string text = word("term.root");
  if (chance(0.5)) text += word("term.middle");
  return text + word("term.ending");
}

std::vector<std::string> Draw::quantities(size_t n) {
  const std::vector<std::string> modifiers = some("quantity.of", n);
  const std::vector<std::string> nouns = some("quantity.what", n);
  std::vector<std::string> result;
  std::vector<std::string> taken;
  while (result.size() < n) {
    const size_t i = result.size();
    constexpr double kBare = 0.12;
    if (is_respelled() && chance(kBare)) {
      result.push_back(nouns[i]);
      continue;
    }
    const double kind = uniform();
    if (kind < 0.8) {
      result.push_back(modifiers[i] + " " + nouns[i]);
      continue;
    }
    // A made-up word or a code before the noun keeps the words from being a closed list.
    const std::string made_up = kind < 0.9 ? term() : code();
    if (std::find(taken.begin(), taken.end(), made_up) != taken.end()) continue;
    taken.push_back(made_up);
    result.push_back(made_up + " " + nouns[i]);
  }
  return result;
}

}  // namespace ac::tasks
