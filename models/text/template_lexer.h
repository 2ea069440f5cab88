// Cuts the source of a chat template into text and the tokens of Jinja's tags, with the white-space
// rules under which published templates are written: trim_blocks and lstrip_blocks on, the last
// line end of the source dropped. Source: Jinja's documentation, "Template Designer", "Whitespace
// Control".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace ac::text {

enum class LexKind : uint8_t {
  kText,        // outside tags, white space already stripped
  kBlockBegin,  // {%
  kBlockEnd,
  kPrintBegin,  // {{
  kPrintEnd,
  kName,
  kString,  // unescaped
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Position {
  uint32_t line = 1;
  uint32_t column = 1;
};

struct Lexeme {
  LexKind kind = LexKind::kEnd;
  std::string text;
  Position at;
};

// Errors: kCorruptFile with line and column; kUnsupported for escapes that are not understood.
Result<std::vector<Lexeme>> lex_template(std::string_view source);

}  // namespace ac::text
