#include "models/train/text_documents.h"

#include "models/train/labels.h"

namespace ac {

Result<std::unique_ptr<TextDocuments>> TextDocuments::create(std::string_view text, Part part,
                                                             std::string_view origin,
                                                             size_t least_bytes) {
  auto made = std::make_unique<TextDocuments>();
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.size() < least_bytes) continue;
    const bool held_out = prompt_hash(line) % kHeldOutEvery == 0;
    if (held_out == (part == Part::kHeldOut)) made->paragraphs_.emplace_back(line);
  }
  if (made->paragraphs_.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: no paragraph {}, expected lines of at least {} bytes", origin,
                part == Part::kHeldOut ? "is left to test on" : "to train on", least_bytes);
  }
  return made;
}

}  // namespace ac
