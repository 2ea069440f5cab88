// What was said in answers of the API of responses, for clients that refer to it by its id instead of
// sending it again.
//
// In memory alone, the newest few hundred; an id is a random number that cannot be guessed, and whoever
// knows it may use it.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/chat_template.h"
#include "runtime/server/chat_request.h"

namespace ac {

// Thread-safe.
class StoredItems {
 public:
  static constexpr size_t kMost = 512;

  void put(std::string id, ChatMessage message);
  // Puts what they mean in the place of references (read_responses_request). What one of them means
  // nothing to is refused.
  std::optional<ChatRefusal> resolve(std::vector<ChatMessage>& messages) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, ChatMessage, std::less<>> items_;
  std::deque<std::string> order_;  // oldest first
};

}  // namespace ac
