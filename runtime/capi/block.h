// What the library gives back: one block of malloc's memory each, so that one free() ends it,
// whatever it points at.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

namespace ac {

// A block whose fixed part comes first and whose texts follow, in the order of their counting.
// Everything is counted before anything is put.
class Block {
 public:
  explicit Block(size_t fixed_bytes) : n_bytes_(fixed_bytes), used_(fixed_bytes) {}
  void count(std::string_view text) { n_bytes_ += text.size() + 1; }
  // Throws std::bad_alloc.
  void allocate() {
    memory_.reset(static_cast<char*>(std::malloc(n_bytes_)));
    if (memory_ == nullptr) throw std::bad_alloc();
  }
  char* data() { return memory_.get(); }
  // Its copy, with a zero behind it.
  char* put(std::string_view text) {
    char* const copy = memory_.get() + used_;
    if (!text.empty()) std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = '\0';
    used_ += text.size() + 1;
    return copy;
  }
  char* release() { return memory_.release(); }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  std::unique_ptr<char, Free> memory_;
  size_t n_bytes_;
  size_t used_;
};

}  // namespace ac
