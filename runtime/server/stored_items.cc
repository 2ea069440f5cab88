#include "runtime/server/stored_items.h"

namespace ac {

void StoredItems::put(std::string id, ChatMessage message) {
  const std::lock_guard lock(mutex_);
  if (!items_.emplace(id, std::move(message)).second) return;
  order_.push_back(std::move(id));
  if (order_.size() <= kMost) return;
  items_.erase(order_.front());
  order_.pop_front();
}

std::optional<ChatRefusal> StoredItems::resolve(std::vector<ChatMessage>& messages) const {
  const std::lock_guard lock(mutex_);
  for (ChatMessage& message : messages) {
    if (message.role != kReferenceRole) continue;
    const auto found = items_.find(message.content);
    if (found == items_.end()) {
      return ChatRefusal{.status = 404,
                         .message = "what an item_reference names is not remembered here: send the "
                                    "item itself (store: false)",
                         .param = "input",
                         .code = "item_not_found"};
    }
    message = found->second;
  }
  return std::nullopt;
}

}  // namespace ac
