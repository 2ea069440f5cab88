// Text between and inside the tags of the pictures that are written here.
#pragma once

#include <string>
#include <string_view>

namespace ac {

// Fit for the text of an element and for an attribute in double quotes.
inline std::string xml_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace ac
