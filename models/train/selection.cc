#include "models/train/selection.h"

#include <algorithm>

namespace ac {
namespace {

struct Candidate {
  const Pack* pack = nullptr;
  size_t begin = 0, end = 0;
  double loss_per_token = 0;
};

void add_candidates(const Pack& pack, std::span<const double> losses, std::vector<Candidate>* to) {
  for (size_t begin = 0; begin < pack.tokens.size();) {
    size_t end = begin;
    while (end < pack.tokens.size() && pack.slots[end] == pack.slots[begin]) ++end;
    const double loss = losses[static_cast<size_t>(pack.slots[begin])];
    to->push_back({.pack = &pack,
                   .begin = begin,
                   .end = end,
                   .loss_per_token = loss / static_cast<double>(end - begin)});
    begin = end;
  }
}

}  // namespace

Result<std::vector<Pack>> select_hardest(LmTrainer& trainer, std::span<const Pack> packs,
                                         int64_t n_tokens, int32_t tokens_per_pack) {
  std::vector<Candidate> candidates;
  for (const Pack& pack : packs) {
    AC_TRY(const std::vector<double> losses, trainer.sequence_losses(pack));
    add_candidates(pack, losses, &candidates);
  }
  std::ranges::stable_sort(candidates, std::ranges::greater(), &Candidate::loss_per_token);
  std::vector<Pack> selected;
  int64_t n_selected = 0;
  for (const Candidate& each : candidates) {
    if (n_selected >= n_tokens) break;
    const size_t n = each.end - each.begin;
    if (selected.empty() ||
        selected.back().tokens.size() + n > static_cast<size_t>(tokens_per_pack)) {
      selected.emplace_back();
    }
    selected.back().add(*each.pack, each.begin, each.end);
    n_selected += static_cast<int64_t>(n);
  }
  return selected;
}

}  // namespace ac
