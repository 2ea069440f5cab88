#include "models/train/aligned_vocabulary.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace ac {
namespace {

bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_small(char c) { return c >= 'a' && c <= 'z'; }

std::string raised(std::string text) {
  if (!text.empty() && is_small(text[0])) text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

class Variants {
 public:
  Variants(const std::vector<BpeMerge>& plain, size_t n_merges) : plain_(plain), n_merges_(n_merges) {
    for (const BpeMerge& merge : plain) {
      known_.insert(merge.first + merge.second);
      left_of_.emplace(merge.first + merge.second, &merge);
    }
  }

  void add(const FirstToken& first) {
    std::vector<std::string> capitals;
    if (first.capital) capitals = missing_capitals(first.token);
    const std::string token = first.capital ? raised(first.token) : first.token;
    const bool with_space = first.space && !known_.contains(" " + token);
    if (n_added() + capitals.size() + (with_space ? 1 : 0) > n_merges_ - plain_.size()) return;
    for (const std::string& each : capitals) {
      known_.insert(raised(each));
      raised_.insert(each);
    }
    if (!with_space) return;
    known_.insert(" " + token);
    spaced_.emplace_back(" ", token);
  }

  std::vector<BpeMerge> merges() const {
    std::vector<BpeMerge> all;
    for (const BpeMerge& merge : plain_) {
      all.push_back(merge);
      if (raised_.contains(merge.first + merge.second)) {
        all.emplace_back(raised(merge.first), merge.second);
      }
    }
    all.insert(all.end(), spaced_.begin(), spaced_.end());
    return all;
  }

 private:
  size_t n_added() const { return raised_.size() + spaced_.size(); }

  // The token and those that begin it, as far as they have no form with a capital yet.
  std::vector<std::string> missing_capitals(const std::string& token) const {
    std::vector<std::string> missing;
    for (auto merge = left_of_.find(token); merge != left_of_.end();
         merge = left_of_.find(merge->second->first)) {
      if (!is_small(merge->first[0])) break;
      if (!known_.contains(raised(merge->first))) missing.push_back(merge->first);
    }
    return missing;
  }

  const std::vector<BpeMerge>& plain_;
  size_t n_merges_;
  std::unordered_map<std::string, const BpeMerge*> left_of_;  // by what they make
  std::set<std::string> known_;                               // tokens
  std::set<std::string> raised_;                              // plain tokens with a form with a capital
  std::vector<BpeMerge> spaced_;
};

}  // namespace

PieceForm piece_form(std::string_view piece) {
  PieceForm form;
  if (piece.size() > 1 && piece[0] == ' ' && piece[1] != ' ') {
    form.space = true;
    piece.remove_prefix(1);
  }
  form.plain = piece;
  if (piece.size() > 1 && is_capital(piece[0]) && is_small(piece[1])) {
    form.capital = true;
    form.plain[0] = static_cast<char>(piece[0] - 'A' + 'a');
  }
  return form;
}

std::vector<BpeMerge> aligned_merges(const std::vector<BpeMerge>& plain,
                                     std::vector<FirstToken> firsts, size_t n_merges,
                                     int64_t least_count) {
  std::ranges::sort(firsts, [](const FirstToken& a, const FirstToken& b) {
    return std::tie(b.count, a.token, a.space, a.capital) <
           std::tie(a.count, b.token, b.space, b.capital);
  });
  Variants variants(plain, n_merges);
  for (const FirstToken& first : firsts) {
    if (first.count >= least_count) variants.add(first);
  }
  return variants.merges();
}

}  // namespace ac
