// A plain text file as documents: each paragraph (line with words) is one, a few are kept for
// testing.
#pragma once

#include <memory>

#include "models/train/sequences.h"

namespace ac {

class TextDocuments final : public DocumentSource {
 public:
  // Paragraphs of at least `least_bytes`. One in kHeldOutEvery, chosen by a hash of its words, is
  // held out, so that copies of a paragraph are on one side.
  enum class Part { kTraining, kHeldOut };
  static constexpr uint64_t kHeldOutEvery = 50;

  // Errors: kInvalidArgument (no paragraph in that part; `origin` names the text).
  static Result<std::unique_ptr<TextDocuments>> create(std::string_view text, Part part,
                                                       std::string_view origin,
                                                       size_t least_bytes = 40);
  uint64_t size() const override { return paragraphs_.size(); }
  Document document(uint64_t i) const override {
    return {.prompt = {}, .answer = paragraphs_[static_cast<size_t>(i)]};
  }
  const std::vector<std::string>& paragraphs() const { return paragraphs_; }

 private:
  std::vector<std::string> paragraphs_;
};

}  // namespace ac
