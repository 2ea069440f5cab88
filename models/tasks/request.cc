#include "models/tasks/request.h"

namespace ac::tasks {
namespace {

// Two neighbouring letters change places inside a word of five letters or more.
void slip(Draw& draw, std::string& phrasing) {
  std::vector<size_t> places;
  size_t word_begin = 0;
  int depth = 0;
  for (size_t i = 0; i <= phrasing.size(); ++i) {
    const char c = i < phrasing.size() ? phrasing[i] : ' ';
    if (c >= 'a' && c <= 'z' && depth == 0) continue;
    constexpr size_t kShortest = 5;
    if (i - word_begin >= kShortest) {
      for (size_t at = word_begin + 1; at + 2 < i; ++at) {
        if (phrasing[at] != phrasing[at + 1]) places.push_back(at);
      }
    }
    if (c == '{') ++depth;
    if (c == '}') --depth;
    word_begin = i + 1;
  }
  if (places.empty()) return;
  const size_t at = draw.pick(places);
  std::swap(phrasing[at], phrasing[at + 1]);
}

}  // namespace

std::string request(Draw& draw, std::string_view key, Slots slots) {
  std::string phrasing = draw.word(key);
  if (draw.chance(0.06)) slip(draw, phrasing);
  if (draw.chance(0.06) && phrasing[0] != '{') phrasing[0] = lower(phrasing[0]);
  std::string text = fill(phrasing, slots);
  if (draw.chance(0.3)) {
    // Pasted material begins a paragraph of its own.
    text = draw.word("chatter.opener") + (phrasing.starts_with('{') ? "\n\n" : " ") + text;
  }
  if (draw.chance(0.2)) text += "\n\n" + draw.word("chatter.closer");
  return text;
}

}  // namespace ac::tasks
