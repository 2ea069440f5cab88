#include "runtime/server/response_format.h"

#include <nlohmann/json.hpp>

#include "models/text/json_grammar.h"

namespace ac {

Result<ResponseFormat> format_of_schema(const OrderedJson& schema, std::string_view name) {
  ResponseFormat made;
  AC_TRY(made.grammar, json_schema_grammar(schema));
  made.wire = json_line(OrderedJson{
      {"type", "json_schema"},
      {"json_schema", {{"name", name}, {"schema", schema}, {"strict", true}}}});
  return made;
}

Result<ResponseFormat> read_response_format(const OrderedJson& format) {
  const auto* type = format.is_object() && format.contains("type")
                         ? format["type"].get_ptr<const std::string*>()
                         : nullptr;
  if (type == nullptr) return fail(ErrorCode::kInvalidArgument, "expected an object with a 'type'");
  if (*type == "text") return ResponseFormat{};
  if (*type == "json_object") {
    return ResponseFormat{json_object_grammar(), R"({"type":"json_object"})"};
  }
  if (*type != "json_schema") {
    return fail(ErrorCode::kInvalidArgument,
                "type is '{}', expected text, json_object or json_schema", *type);
  }
  const bool is_nested = format.contains("json_schema") && format["json_schema"].is_object();
  const OrderedJson& holder = is_nested ? format["json_schema"] : format;
  if (!holder.contains("schema")) {
    return fail(ErrorCode::kInvalidArgument, "json_schema has no 'schema'");
  }
  const auto* name =
      holder.contains("name") ? holder["name"].get_ptr<const std::string*>() : nullptr;
  return format_of_schema(holder["schema"], name != nullptr ? *name : "answer");
}

}  // namespace ac
