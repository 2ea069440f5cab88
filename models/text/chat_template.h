// Chat templates: a bounded subset of Jinja that renders the published templates and nothing else.
// No imports, no attribute access into the host, a limit on steps (1e6), depth (64) and output (16
// times the template and the messages, and 64 KiB).
//
// Literal in the result is what the template wrote: its text and strings, bos and eos, dates and
// numbers, and the names of the well-known roles. Words of messages are not, whatever is done to
// them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/tokenizer.h"
#include "runtime/core/clock.h"

namespace ac {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  // What the remote is told instead of both: the message as a JSON object, where it calls functions or
  // tells what one has said. Empty: role and content are all.
  std::string wire = {};
};

struct ChatTemplateInput {
  std::vector<ChatMessage> messages = {};
  bool add_generation_prompt = true;
  std::string bos_token = {};
  std::string eos_token = {};
  const Clock* clock = nullptr;  // of strftime_now; nullptr: the machine's
};

class ChatTemplate {
 public:
  // Errors: kUnsupported naming the construct, line and column; kCorruptFile for a syntax error.
  static Result<ChatTemplate> parse(std::string_view source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Errors: kInvalidArgument when the template calls raise_exception (its words are the message),
  // kUnsupported when a limit is passed.
  // kInvalidArgument also for what Jinja would refuse: sums of unlike values, attributes of
  // nothing.
  Result<MarkedText> render(const ChatTemplateInput& input) const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace ac
