#include "models/tasks/respelling.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>

#include "models/tasks/lexicon.h"
#include "models/tasks/text.h"
#include "models/tasks/titles.h"
#include "runtime/core/rng.h"

namespace ac::tasks {
namespace {

constexpr size_t kShortestWord = 4;
constexpr double kNoLetter = 0.06;
constexpr double kTwoLetters = 0.1;
constexpr double kMarkedLetter = 0.06;  // of names
// The first letter of a name is written far more often than any other, in each initial; and a mark on it is a
// letter of its own to learn.
constexpr double kMarkedFirst = 0.12;
constexpr double kMarkedPieces = 0.2;  // names put together from pieces, one letter
constexpr double kListedUnit = 0.5;    // of variables, one from the list of units
constexpr double kLongerName = 0.35;   // of subjects and methods, with another word in front
constexpr double kCountedUnit = 0.15;  // and a made-up plural
constexpr double kApostrophe = 0.05;   // of family names, "O'" or the like in front
constexpr double kBareVariable = 0.12;  // of variables of several words, the last alone
constexpr double kPieced = 0.45;        // share of words that are put together from pieces
// Of those, some begin as a small word does: "instrument" has a capital in a title where "in" has none, and
// to most tokenizers both begin with the same token.
constexpr double kSmallBeginning = 0.15;
constexpr double kWordlike = 0.35;       // share of words drawn letter by letter from what follows what

// Letters as often as they are in names and terms of several languages, roughly.
constexpr std::string_view kVowels = "aaaaeeeeeiiiiooouu";
constexpr std::string_view kConsonants = "bbccddddffgghhjkkkllllllmmmmnnnnnnnppqrrrrrrsssssssttttttvvwxyyz";

// Letters with marks of the languages that authors have: whoever learns only those of the training
// split's names has no use for the bytes of others.
constexpr std::string_view kMarkedVowels[] = {
    "á", "à", "â", "ä", "ã", "å", "ā", "ą", "é", "è", "ê", "ë", "ě", "ę", "ė", "í", "ì", "î",
    "ï", "ī", "ı", "ó", "ò", "ô", "ö", "õ", "ø", "ő", "ú", "ù", "û", "ü", "ů", "ű", "ý", "æ"};
constexpr std::string_view kMarkedConsonants[] = {
    "ç", "ć", "č", "ď", "đ", "ğ", "ģ", "ħ", "ķ", "ľ", "ł", "ñ", "ń", "ň", "ņ", "ř", "ś", "š",
    "ş", "ț", "ť", "ź", "ž", "ż"};
constexpr std::string_view kMarkedCapitalVowels[] = {
    "Á", "À", "Â", "Ä", "Å", "É", "È", "Ê", "Ë", "Í", "Î", "İ", "Ó", "Ô", "Ö", "Ø", "Ő", "Ú",
    "Û", "Ü", "Ů", "Ý", "Æ"};
constexpr std::string_view kMarkedCapitalConsonants[] = {
    "Ç", "Ć", "Č", "Ď", "Đ", "Ł", "Ñ", "Ň", "Ř", "Ś", "Š", "Ş", "Ț", "Ź", "Ž", "Ż"};

constexpr std::string_view kApostrophes[] = {"D'", "D'", "O'", "O'", "L'", "N'", "M'", "Dell'"};

bool is_vowel(char c) {
  return std::string_view("aeiou").find(lower(c)) != std::string_view::npos;
}

template <class List>
auto pick(const List& list, Rng& rng) {
  return list[static_cast<size_t>(rng.below(std::size(list)))];
}

std::span<const std::string_view> marked_letters(bool capital, bool vowel) {
  if (capital && vowel) return kMarkedCapitalVowels;
  if (capital) return kMarkedCapitalConsonants;
  if (vowel) return kMarkedVowels;
  return kMarkedConsonants;
}

uint64_t extended(uint64_t hash, char c) {
  return (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
}

// Every word that some split's content has.
const std::set<std::string, std::less<>>& listed_words() {
  static const std::set<std::string, std::less<>> all = [] {
    std::set<std::string, std::less<>> words;
    for (const auto& [key, section] : lexicon().sections()) {
      if (!is_content(key)) continue;
      for (const std::vector<std::string>& list : section.by_split) {
        for (const std::string& entry : list) {
          std::string word;
          for (const char c : entry + " ") {
            if (is_letter(c)) {
              word += lower(c);
            } else if (!word.empty()) {
              words.insert(std::move(word));
              word.clear();
            }
          }
        }
      }
    }
    return words;
  }();
  return all;
}

// How often a letter follows two others in the words of the training split; the beginning of a word
// is followed too. Words drawn by it look like words, and their pieces are those of words.
class LetterChain {
 public:
  static constexpr size_t kLetters = 26, kStart = 26, kContexts = 27 * 27;

  LetterChain() {
    for (const auto& [key, section] : lexicon().sections()) {
      if (!is_content(key)) continue;
      for (const std::string& entry : section.by_split[static_cast<size_t>(Split::kTrain)]) {
        add(entry);
      }
    }
  }
  // The letter after `before` (lower case, kStart where there is none): nullopt where nothing follows.
  std::optional<char> next(size_t before_last, size_t last, Rng& rng) const {
    const auto& counts = counts_[before_last * 27 + last];
    uint64_t total = 0;
    for (const uint32_t count : counts) total += count;
    if (total == 0) return std::nullopt;
    uint64_t left = rng.below(total);
    for (size_t letter = 0; letter < kLetters; ++letter) {
      if (left < counts[letter]) return static_cast<char>('a' + static_cast<int>(letter));
      left -= counts[letter];
    }
    return std::nullopt;
  }

 private:
  void add(std::string_view entry) {
    size_t before_last = kStart, last = kStart;
    for (const char c : entry) {
      if (!is_ascii_letter(c)) {
        before_last = last = kStart;
        continue;
      }
      const auto letter = static_cast<size_t>(lower(c) - 'a');
      ++counts_[before_last * 27 + last][letter];
      before_last = last;
      last = letter;
    }
  }

  std::array<std::array<uint32_t, kLetters>, kContexts> counts_{};
};

const LetterChain& letter_chain() {
  static const LetterChain chain;
  return chain;
}

// Lists of phrases, and the share of their words that may be any word.
struct FreePhrases {
  std::string_view key;
  double share;
};
constexpr std::array kFreePhrases = {
    FreePhrases{"chatter.opener", 0.5},      FreePhrases{"chatter.closer", 0.5},
    FreePhrases{"abstract.distractor", 0.5}, FreePhrases{"abstract.limitation", 0.5},
    FreePhrases{"abstract.sample", 0.25},    FreePhrases{"citation.format", 0.35},
    FreePhrases{"table.request", 0.35},      FreePhrases{"review.full", 0.35},
    FreePhrases{"hypothesis.predict", 0.25},
};

const FreePhrases* free_phrases(std::string_view key) {
  const auto found = std::find_if(kFreePhrases.begin(), kFreePhrases.end(),
                                  [key](const FreePhrases& each) { return each.key == key; });
  return found == kFreePhrases.end() ? nullptr : &*found;
}

// Pieces of other words, as many as it takes; all letters of `text` decide what they are.
std::string pieced(std::string_view text, uint64_t seed, const WordPieces& pieces) {
  for (const char c : text) seed = extended(seed, lower(c));
  Rng rng(seed);
  std::string result(rng.uniform() < kSmallBeginning ? pick(small_words(), rng) : pieces.first(rng));
  while (result.size() < text.size() || is_training_word(result)) result += pieces.next(rng);
  const bool is_upper = text.size() > 1 && text[1] != lower(text[1]);
  for (size_t i = 0; i < result.size(); ++i) {
    if (is_upper || (i == 0 && text[0] != lower(text[0]))) result[i] = upper(result[i]);
  }
  return result;
}

// One letter, with a mark; as often the first as any other.
std::string marked_name(std::string_view text, Rng& rng) {
  const size_t at = rng.uniform() < 0.5 ? 0 : static_cast<size_t>(rng.below(text.size()));
  const bool capital = text[at] != lower(text[at]);
  const std::string_view letter = pick(marked_letters(capital, is_vowel(text[at])), rng);
  return fmt::format("{}{}{}", text.substr(0, at), letter, text.substr(at + 1));
}

}  // namespace

bool Respelling::is_free(std::string_view key) { return free_phrases(key) != nullptr; }

std::string Respelling::spelled(std::string_view text, bool is_name, uint64_t salt,
                                bool keeps_beginnings) const {
  std::string result;
  uint64_t before = Rng(seed_ ^ salt).next();
  // Some words are pieces of words, some look like words, others like nothing at all.
  uint64_t beginning = before;
  for (const char c : text.substr(0, 3)) beginning = extended(beginning, lower(c));
  const double kind = Rng(beginning).uniform();
  if (!keeps_beginnings && kind < kPieced && std::all_of(text.begin(), text.end(), is_ascii_letter)) {
    const std::string made = pieced(text, before, *pieces_);
    Rng rng(before ^ 1);
    return is_name && rng.uniform() < kMarkedPieces ? marked_name(made, rng) : made;
  }
  // Of those that are not, as many as ever.
  const bool wordlike = keeps_beginnings ? kind < kWordlike / (1 - kPieced) : kind < kPieced + kWordlike;
  size_t before_last = LetterChain::kStart, last = LetterChain::kStart;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    before = extended(before, lower(c));
    if (!is_ascii_letter(c)) {
      result += c;
      before_last = last = LetterChain::kStart;
      continue;
    }
    Rng rng(before);
    const bool vowel = is_vowel(c);
    char letter = pick(vowel ? kVowels : kConsonants, rng);
    if (wordlike) letter = letter_chain().next(before_last, last, rng).value_or(letter);
    before_last = last;
    last = static_cast<size_t>(letter - 'a');
    const bool capital = c != lower(c);
    const auto marked = [&] { return std::string(pick(marked_letters(capital, vowel), rng)); };
    const std::string plain(1, capital ? upper(letter) : letter);
    if (wordlike) {
      result += is_name && rng.uniform() < (i == 0 ? kMarkedFirst : kMarkedLetter / 2) ? marked() : plain;
      continue;
    }
    const double amount = rng.uniform();
    if (i > 0 && amount < kNoLetter) continue;
    result += is_name && rng.uniform() < (i == 0 ? kMarkedFirst : kMarkedLetter) ? marked() : plain;
    if (i > 0 && amount > 1 - kTwoLetters) {
      const char second = pick(vowel ? kConsonants : kVowels, rng);
      result += c == lower(c) ? second : upper(second);
    }
  }
  return result;
}

std::string Respelling::word(std::string_view text, bool is_name, bool keeps_beginnings) const {
  if (text.size() < kShortestWord || is_small_word(text)) return std::string(text);
  // The first letters decide, so that a word and its abbreviation share their fate.
  uint64_t beginning = seed_;
  for (const char c : text.substr(0, 3)) beginning = extended(beginning, lower(c));
  if (Rng(beginning).uniform() >= share_) return std::string(text);
  for (uint64_t salt = 0;; ++salt) {
    const std::string made = spelled(text, is_name, salt, keeps_beginnings);
    if (!listed_words().contains(lower(made)) && !is_small_word(lower(made))) return made;
  }
}

std::string Respelling::words(std::string_view text, bool is_name, bool keeps_beginnings) const {
  std::string result;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && is_letter(text[i])) continue;
    result += word(text.substr(begin, i - begin), is_name, keeps_beginnings);
    if (i < text.size()) result += text[i];
    begin = i + 1;
  }
  return result;
}

std::string Respelling::phrase(std::string_view key, std::string_view text) const {
  const FreePhrases* const free = free_phrases(key);
  AC_CHECK(free != nullptr);
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '{') {
      const size_t end = std::min(text.find('}', i), text.size() - 1) + 1;
      result += text.substr(i, end - i);
      i = end;
      continue;
    }
    size_t end = i;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (end == i) {
      result += text[i++];
      continue;
    }
    const std::string_view one = text.substr(i, end - i);
    uint64_t hash = Rng(seed_).next();
    for (const char c : one) hash = extended(hash, lower(c));
    // Beside a slot an unknown word could as well be a part of what fills it.
    const bool beside_slot = text.substr(end).starts_with(" {") ||
                             (i >= 2 && text[i - 1] == ' ' && text[i - 2] == '}');
    const bool made_up =
        one.size() >= kShortestWord && !beside_slot && Rng(hash).uniform() < free->share;
    result += made_up ? spelled(one, false, 0) : std::string(one);
    i = end;
  }
  return result;
}

std::string Respelling::entry(std::string_view key, std::string_view text) const {
  const bool is_name = key.starts_with("name.") || key.starts_with("place.");
  const bool is_abbreviated = key.starts_with("journal.");  // there is a short form beside it
  size_t begin = 0;          // of what is respelled
  size_t end = text.size();  // and where that ends
  if (key.starts_with("table.named")) begin = text.find(':') + 1;
  if (key.starts_with("table.variable")) end = text.find('|');
  uint64_t hash = Rng(seed_ ^ 2).next();
  for (const char c : text) hash = extended(hash, c);
  Rng rng(hash);
  const double chance = rng.uniform();
  std::string before(text.substr(0, begin));
  if (key.starts_with("table.variable") && chance < kBareVariable) {
    const size_t space = text.substr(0, end).rfind(' ');
    if (space != std::string_view::npos) begin = space + 1;
  }
  if (key.starts_with("name.family") && chance < kApostrophe) before += pick(kApostrophes, rng);
  const std::string made_up = before + words(text.substr(begin, end - begin), is_name, is_abbreviated);
  if (key.starts_with("review.")) return longer(text) + made_up;
  if (!key.starts_with("table.variable")) return made_up + std::string(text.substr(end));
  const size_t unit_end = text.find('|', end + 1);
  return made_up + "|" + unit(text.substr(end + 1, unit_end - end - 1)) +
         std::string(text.substr(unit_end));
}

// Now and then a further word in front, so that names of any length are met.
std::string Respelling::longer(std::string_view text) const {
  uint64_t hash = Rng(seed_ ^ 1).next();
  for (const char c : text) hash = extended(hash, c);
  Rng rng(hash);
  if (rng.uniform() >= kLongerName) return "";
  constexpr std::string_view kLike = "comparative";
  return spelled(kLike.substr(0, 3 + rng.below(kLike.size() - 3)), false, rng.next()) + " ";
}

std::string Respelling::unit(std::string_view text) const {
  uint64_t hash = Rng(seed_).next();
  for (const char c : text) hash = extended(hash, c);
  Rng rng(hash);
  const double chance = rng.uniform();
  if (chance < kListedUnit) return pick(lexicon().list("table.unit", Split::kTrain), rng);
  // Things that are counted have a name like any other.
  if (chance < kListedUnit + kCountedUnit) {
    return spelled(std::string_view("specimen").substr(0, 3 + rng.below(6)), false, rng.next()) + "s";
  }
  return std::string(text);
}

}  // namespace ac::tasks
