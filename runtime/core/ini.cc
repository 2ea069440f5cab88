#include "runtime/core/ini.h"

#include <ini.h>

#include <algorithm>
#include <cstring>

namespace ac {
namespace {

// inih keeps so much of a section's name and forgets the rest without a word.
constexpr size_t kSectionBytes = 49;

struct Reader {
  std::string_view rest;
  int line = 0;
  std::vector<IniEntry> entries;
};

// Hands inih one whole line a call; check_lines has seen to it that each fits.
char* next_line(char* out, int n_bytes, void* stream) {
  auto& reader = *static_cast<Reader*>(stream);
  if (reader.rest.empty()) return nullptr;
  const size_t end = std::min(reader.rest.find('\n'), reader.rest.size() - 1) + 1;
  AC_CHECK(end < static_cast<size_t>(n_bytes));
  std::memcpy(out, reader.rest.data(), end);
  out[end] = '\0';
  reader.rest.remove_prefix(end);
  ++reader.line;
  return out;
}

int on_entry(void* user, const char* section, const char* key, const char* value) {
  auto& reader = *static_cast<Reader*>(user);
  reader.entries.push_back({section, key, value == nullptr ? "" : value, reader.line});
  return 1;
}

Status check_lines(std::string_view text, std::string_view origin) {
  int line = 0;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, std::min(text.find('\n'), text.size()));
    ++line;
    if (one.size() > kIniLineBytes) {
      return fail(ErrorCode::kInvalidArgument, "{}:{}: the line has {} bytes, expected at most {}",
                  origin, line, one.size(), kIniLineBytes);
    }
    const size_t bracket = one.find_first_not_of(" \t");
    if (bracket != std::string_view::npos && one[bracket] == '[') {
      const size_t n_name = std::min(one.find(']', bracket), one.size()) - bracket - 1;
      if (n_name > kSectionBytes) {
        return fail(ErrorCode::kInvalidArgument,
                    "{}:{}: the name of the section has {} bytes, expected at most {}", origin,
                    line, n_name, kSectionBytes);
      }
    }
    for (size_t i = 0; i < one.size(); ++i) {
      const auto byte = static_cast<unsigned char>(one[i]);
      const bool line_end = byte == '\r' && i + 1 == one.size();
      if ((byte < 0x20 && byte != '\t' && !line_end) || byte == 0x7f) {
        return fail(ErrorCode::kInvalidArgument,
                    "{}:{}: control character 0x{:02x} at column {}, expected text", origin, line,
                    byte, i + 1);
      }
    }
    text.remove_prefix(std::min(one.size() + 1, text.size()));
  }
  return {};
}

}  // namespace

Result<std::vector<IniEntry>> parse_ini(std::string_view text, std::string_view origin) {
  AC_TRY_STATUS(check_lines(text, origin));
  // Room for the line, its end and the terminator. On the heap: inih's own buffer holds 200 bytes
  // and takes the rest of a longer line for a line of its own.
  constexpr int kBufferBytes = static_cast<int>(kIniLineBytes) + 3;
  ini_use_stack = false;
  ini_max_line = kBufferBytes;
  ini_initial_alloc = kBufferBytes;
  ini_allow_multiline = false;  // an indented line is a line
  Reader reader;
  reader.rest = text;
  const int bad_line = ini_parse_stream(next_line, &reader, on_entry, &reader);
  if (bad_line < 0) return fail(ErrorCode::kOutOfMemory, "{}: no memory to parse it", origin);
  if (bad_line > 0) {
    return fail(ErrorCode::kInvalidArgument, "{}:{}: expected [section], key = value or a comment",
                origin, bad_line);
  }
  return std::move(reader.entries);
}

}  // namespace ac
