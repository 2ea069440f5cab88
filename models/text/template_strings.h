// What templates do with strings; the methods are those of Python's str.
#pragma once

#include "models/text/template_builtins.h"

namespace ac::text {

// Errors of all: those of call_method.

bool is_text_method(std::string_view name);
// REQUIRES: is_text_method(name).
Result<Value> call_text_method(const MarkedString& text, std::string_view name,
                               const Arguments& arguments, Budget& budget);

// The filters of the same purpose.
enum class Case { kUpper, kLower, kCapitalized, kTitleWords, kTitleLetters };
Result<Value> with_case(const MarkedString& text, Case wanted, Budget& budget);
Result<Value> trim(const MarkedString& text, const Arguments& arguments, Budget& budget);
Result<Value> replace_text(const MarkedString& text, const Arguments& arguments, Budget& budget);
// The elements of `input` as they print, or one attribute of each; `separator` may be nullptr.
Result<Value> join(const Value& input, const MarkedString* separator, const MarkedString* attribute,
                   Budget& budget);

std::string_view without_space_around(std::string_view text);
// An argument that must be a string (nullptr when missing or none), or an integer.
Result<const MarkedString*> text_argument(const Arguments& arguments, size_t i,
                                          std::string_view name);
Result<int64_t> integer_argument(const Arguments& arguments, size_t i, std::string_view name,
                                 int64_t missing);

}  // namespace ac::text
