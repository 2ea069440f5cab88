// A string that knows which of its bytes a template wrote and which come from somebody's words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/text/tokenizer.h"

namespace ac::text {

class MarkedString {
 public:
  enum class Source { kTemplate, kWords };

  MarkedString() = default;
  MarkedString(std::string_view bytes, Source source) { append(bytes, source); }

  std::string_view bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  void append(std::string_view bytes, Source source);
  void append(const MarkedString& other) { append(other, 0, other.size()); }
  // Bytes [begin, end) of `other`.
  void append(const MarkedString& other, size_t begin, size_t end);
  MarkedString slice(size_t begin, size_t end) const;
  Source source_at(size_t i) const;

  MarkedText take() && { return {std::move(bytes_), std::move(literal_)}; }

 private:
  void add_range(size_t begin, size_t end);

  std::string bytes_;
  std::vector<ByteRange> literal_;  // ascending, disjoint, not touching
};

}  // namespace ac::text
