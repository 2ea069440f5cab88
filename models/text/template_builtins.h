// Filters, tests and methods that published chat templates use. Each is written out here: nothing
// of the host can be reached by name.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "models/text/template_value.h"
#include "runtime/core/result.h"

namespace ac::text {

// What one rendering may still do: steps of work, and bytes of any one string.
class Budget {
 public:
  Budget(uint64_t steps, uint64_t max_bytes) : steps_(steps), max_bytes_(max_bytes) {}
  // Errors: kUnsupported when the limit is passed.
  Status spend(uint64_t steps);
  // For making or walking a string or list of so many bytes or elements.
  Status spend_bytes(uint64_t n_bytes);
  Status spend_elements(uint64_t n_elements) { return spend(n_elements / 4 + 1); }

 private:
  uint64_t steps_;
  uint64_t max_bytes_;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;

  // The argument at a position or by name; nullptr when missing.
  const Value* get(size_t position, std::string_view name) const;
};

// Errors: kUnsupported for an unknown name, a kind of value it is not written for, a limit;
// kInvalidArgument for values that Jinja would refuse as well. Without line and column.
Result<Value> apply_filter(std::string_view name, const Value& input, const Arguments& arguments,
                           Budget& budget);
Result<bool> apply_test(std::string_view name, const Value& input, const Arguments& arguments,
                        Budget& budget);
// object.name(arguments) for strings and mappings. Errors: as above.
Result<Value> call_method(const Value& object, std::string_view name, const Arguments& arguments,
                          Budget& budget);
bool is_method(const Value& object, std::string_view name);

// A list or mapping out of values; errors: kUnsupported where it would nest too deeply.
Result<Value> make_list(std::vector<Value> items, Budget& budget);
Result<Value> make_dict(std::vector<std::pair<MarkedString, Value>> entries, Budget& budget);
// What a loop over `value` goes through. Errors: kInvalidArgument.
Result<std::vector<Value>> elements_of(const Value& value, Budget& budget);
// value as {{ value }} prints it. Errors: kUnsupported for lists, mappings and the like.
Result<MarkedString> printed(const Value& value, Budget& budget);
// item in container. Errors: kInvalidArgument.
Result<bool> contains(const Value& container, const Value& item, Budget& budget);

}  // namespace ac::text
