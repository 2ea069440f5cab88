// The page at "/": one file inside the program, which may load nothing else.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "runtime/server/http_server.h"

namespace ac {

struct PageFile {
  std::string_view name;
  std::string_view text;
};
// Made from runtime/server/page when the program is built: the page's parts, in their order.
std::span<const PageFile> page_files();
const std::string& whole_page();

// How the page is sent: its type, a tag that changes with its bytes, and a policy (CSP) that lets its
// own script and style run, by their hashes, and nothing else.
HttpFields page_fields(std::string_view page);

}  // namespace ac
