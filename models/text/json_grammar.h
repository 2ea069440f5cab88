// JSON and JSON schemas as grammars.
//
// Of a schema everything that narrows what is valid is honoured or refused, never passed over:
// type, properties (in their order), required, items, minItems, maxItems, enum, const, anyOf, oneOf,
// allOf of one, $ref, minLength, maxLength, bounds of integers, a least of 0 for numbers, format of
// date, time, date-time and uuid. What only describes (title, description, default, examples) is
// ignored. Objects have the properties that are named and no others; one that names none may have any.
// https://json-schema.org/draft/2020-12
#pragma once

#include <memory>

#include "models/text/grammar.h"
#include "runtime/core/json.h"
#include "runtime/core/result.h"

namespace ac {

// Any object.
std::shared_ptr<const Grammar> json_object_grammar();
// Errors: kUnsupported naming the part that cannot be honoured, kInvalidArgument (no schema).
Result<std::shared_ptr<const Grammar>> json_schema_grammar(const OrderedJson& schema);

}  // namespace ac
