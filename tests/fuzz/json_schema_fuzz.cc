// Schemas: compiled or refused with a reason; and whatever bytes follow, the machine either goes on or
// stops.
#include <nlohmann/json.hpp>

#include "models/text/json_grammar.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const std::string_view text = input.substr(0, end);
  if (!ac::parse_json(text)) return 0;
  const auto grammar = ac::json_schema_grammar(ac::OrderedJson::parse(text, nullptr, false));
  if (!grammar) {
    FUZZ_CHECK(!grammar.error().message.empty());
    return 0;
  }
  ac::GrammarMachine machine(**grammar);
  int32_t state = machine.start();
  const std::string_view written = end == std::string_view::npos ? "{}" : input.substr(end + 1);
  for (size_t i = 0; i < written.size() && state != ac::GrammarMachine::kDead; ++i) {
    state = machine.next(state, static_cast<uint8_t>(written[i]));
  }
  if (state != ac::GrammarMachine::kDead && machine.may_end(state)) {
    FUZZ_CHECK(ac::OrderedJson::accept(written));
  }
  return 0;
}
