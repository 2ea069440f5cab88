// Functions for local variants, which were not made for them: what they are told of them, what their
// answer is held to, and the call that it is.
//
// They are the full model's business; a variant is asked where that one may not be or cannot. A call is
// an object {"name": ..., "arguments": ...}. Where one is wanted (tool_choice "required" or a function)
// the answer is kept to the grammar of their parameters; where words will do as well, whatever is a
// right call counts as one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/chat_template.h"
#include "models/text/grammar.h"
#include "runtime/core/result.h"
#include "runtime/route/tool_call.h"

namespace ac {

class LocalTools {
 public:
  // As RouteRequest has them, both JSON. Errors: kUnsupported (parameters that a grammar cannot keep),
  // kInvalidArgument (a tool_choice that is none of the functions).
  static Result<LocalTools> create(std::string_view tools, std::string_view tool_choice);

  // The conversation with what the functions are and how they are called; calls and what they have
  // said become words that any template takes.
  std::vector<ChatMessage> told(const std::vector<ChatMessage>& messages) const;
  // nullptr: words will do.
  const std::shared_ptr<const Grammar>& wanted() const { return wanted_; }
  // nullopt: it is no call.
  std::optional<ToolCall> call_in(std::string_view answer) const;

 private:
  std::string told_;
  std::shared_ptr<const Grammar> calls_;  // what a call looks like
  std::shared_ptr<const Grammar> wanted_;
};

}  // namespace ac
