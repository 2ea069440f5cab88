#include "models/text/special_trie.h"

namespace ac::text {

uint32_t SpecialTrie::find_child(uint32_t first, uint8_t byte) const {
  while (first != 0 && nodes_[first - 1].byte != byte) first = nodes_[first - 1].sibling;
  return first;
}

void SpecialTrie::insert(std::string_view text, int32_t id) {
  uint32_t at = 0;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    const uint32_t first = at == 0 ? roots_[byte] : nodes_[at - 1].child;
    uint32_t next = find_child(first, byte);
    if (next == 0) {
      nodes_.push_back({-1, 0, at == 0 ? 0 : first, byte});
      next = static_cast<uint32_t>(nodes_.size());
      if (at == 0) {
        roots_[byte] = next;
      } else {
        nodes_[at - 1].child = next;
      }
    }
    at = next;
  }
  if (at != 0 && nodes_[at - 1].id < 0) nodes_[at - 1].id = id;
}

SpecialTrie::Match SpecialTrie::longest(const char* p, const char* end) const {
  Match best;
  if (p == end) return best;
  uint32_t at = roots_[static_cast<uint8_t>(*p)];
  const char* q = p;
  while (at != 0) {
    ++q;
    const Node& node = nodes_[at - 1];
    if (node.id >= 0) best = {node.id, static_cast<size_t>(q - p)};
    if (q == end) break;
    at = find_child(node.child, static_cast<uint8_t>(*q));
  }
  return best;
}

SpecialTrie::Match SpecialTrie::exact(std::string_view text) const {
  const Match match = longest(text.data(), text.data() + text.size());
  return match.size == text.size() ? match : Match{};
}

}  // namespace ac::text
