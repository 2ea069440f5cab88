#include "runtime/route/leaving_text.h"

#include <nlohmann/json.hpp>

#include "runtime/core/json.h"

namespace ac {
namespace {

constexpr int kMostLevels = 8;  // of JSON inside strings of JSON

void add_strings(const Json& value, int level, std::vector<std::string>& out);

// A text that is JSON says more than its letters.
void add_inside(const std::string& text, int level, std::vector<std::string>& out) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (level >= kMostLevels || begin == std::string::npos) return;
  if (text[begin] != '{' && text[begin] != '[' && text[begin] != '"') return;
  if (const Result<Json> inside = parse_json(text)) add_strings(*inside, level + 1, out);
}

void add_strings(const Json& value, int level, std::vector<std::string>& out) {
  if (const auto* text = value.get_ptr<const std::string*>()) {
    out.push_back(*text);
    return add_inside(*text, level, out);
  }
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) {
      out.push_back(key);
      add_strings(inner, level, out);
    }
  }
  if (value.is_array()) {
    for (const Json& inner : value) add_strings(inner, level, out);
  }
}

template <class Visit>
void for_each_text(const RouteRequest& request, const Visit& visit) {
  for (const ChatMessage& message : request.messages) {
    visit(message.content);
    visit(message.wire);
  }
  for (const std::string& stop : request.options.stop) visit(stop);
  for (const std::string* json : {&request.tools, &request.tool_choice, &request.response_format}) {
    visit(*json);
  }
}

}  // namespace

size_t leaving_bytes(const RouteRequest& request) {
  size_t n_bytes = 0;
  for_each_text(request, [&](const std::string& text) { n_bytes += text.size(); });
  return n_bytes;
}

std::vector<std::string> leaving_texts(const RouteRequest& request) {
  std::vector<std::string> texts;
  for_each_text(request, [&](const std::string& text) {
    if (text.empty()) return;
    texts.push_back(text);
    add_inside(text, 0, texts);
  });
  return texts;
}

}  // namespace ac
