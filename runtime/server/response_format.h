// The form that a client wants an answer in: JSON, of a schema or of any.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "models/text/grammar.h"
#include "runtime/core/json.h"
#include "runtime/core/result.h"

namespace ac {

struct ResponseFormat {
  std::shared_ptr<const Grammar> grammar{};  // nullptr: text
  std::string wire{};                        // as chat completions have it; empty: text
};

// `format`: {"type": "text" | "json_object" | "json_schema"}, the schema in "json_schema" as chat
// completions have it, or beside "type" as responses do. Errors: kInvalidArgument, kUnsupported (what
// a schema asks for and a grammar cannot keep).
Result<ResponseFormat> read_response_format(const OrderedJson& format);
// As json_schema_grammar, with what the remote is told.
Result<ResponseFormat> format_of_schema(const OrderedJson& schema, std::string_view name);

}  // namespace ac
