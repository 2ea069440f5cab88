// A set of byte strings that is asked "which is the longest that starts here?".
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ac::text {

class SpecialTrie {
 public:
  struct Match {
    int32_t id = -1;  // -1: none
    size_t size = 0;
  };

  // The first of two equal texts stays. Empty texts are ignored.
  void insert(std::string_view text, int32_t id);
  Match longest(const char* p, const char* end) const;
  Match exact(std::string_view text) const;
  bool empty() const { return nodes_.empty(); }
  bool may_start_with(char byte) const { return roots_[static_cast<uint8_t>(byte)] != 0; }

 private:
  struct Node {
    int32_t id = -1;
    uint32_t child = 0;    // index + 1; 0: none
    uint32_t sibling = 0;  // index + 1
    uint8_t byte = 0;
  };
  uint32_t find_child(uint32_t first, uint8_t byte) const;

  std::array<uint32_t, 256> roots_{};  // index + 1
  std::vector<Node> nodes_;
};

}  // namespace ac::text
