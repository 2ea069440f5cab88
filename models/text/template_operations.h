// The operators of template expressions, and the two functions that need more than a line.
#pragma once

#include <string>
#include <vector>

#include "models/text/template_builtins.h"
#include "runtime/core/clock.h"

namespace ac::text {

// Errors of all: kInvalidArgument for values that Jinja would refuse as well, kUnsupported for what
// is not written here and for limits. Without line and column.

// 'name' is undefined. REQUIRES: value.is_undefined().
Error undefined(const Value& value);
// object.name
Result<Value> attribute(const Value& object, const std::string& name);
// object[index]
Result<Value> item(const Value& object, const Value& index, Budget& budget);
// object[from:to:step] by Python's rules; `parts` are these four, none for one that is absent.
Result<Value> slice(const std::vector<Value>& parts, Budget& budget);
// `letter` is one of kCompareLetters.
Result<bool> compare(const Value& a, const Value& b, char letter, Budget& budget);
// op is '+' or '-'.
Result<Value> sum(const Value& a, const Value& b, char op, Budget& budget);
// op is '*', '/', 'f' (//) or '%'.
Result<Value> product(const Value& a, const Value& b, char op, Budget& budget);
Result<Value> range(const Arguments& arguments, Budget& budget);
Result<Value> strftime_now(const Arguments& arguments, const Clock& clock);

}  // namespace ac::text
