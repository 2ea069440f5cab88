#include "models/text/marked_string.h"

#include <algorithm>

namespace ac::text {
namespace {

// The first range that ends after byte i.
auto first_beyond(const std::vector<ByteRange>& ranges, size_t i) {
  return std::partition_point(ranges.begin(), ranges.end(),
                              [i](const ByteRange& range) { return range.end <= i; });
}

}  // namespace

void MarkedString::add_range(size_t begin, size_t end) {
  if (begin == end) return;
  if (!literal_.empty() && literal_.back().end == begin) {
    literal_.back().end = end;
  } else {
    literal_.push_back({begin, end});
  }
}

void MarkedString::append(std::string_view bytes, Source source) {
  const size_t begin = bytes_.size();
  bytes_.append(bytes);
  if (source == Source::kTemplate) add_range(begin, bytes_.size());
}

void MarkedString::append(const MarkedString& other, size_t begin, size_t end) {
  const size_t at = bytes_.size();
  bytes_.append(other.bytes_, begin, end - begin);
  for (auto it = first_beyond(other.literal_, begin); it != other.literal_.end() && it->begin < end;
       ++it) {
    add_range(at + std::max(it->begin, begin) - begin, at + std::min(it->end, end) - begin);
  }
}

MarkedString MarkedString::slice(size_t begin, size_t end) const {
  MarkedString part;
  part.append(*this, begin, end);
  return part;
}

MarkedString::Source MarkedString::source_at(size_t i) const {
  const auto it = first_beyond(literal_, i);
  return it != literal_.end() && it->begin <= i ? Source::kTemplate : Source::kWords;
}

}  // namespace ac::text
