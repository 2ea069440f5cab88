// A parsed chat template: nodes in one array, children before their parents.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/text/template_lexer.h"

namespace ac::text {

enum class NodeKind : uint8_t {
  // Statements.
  kBody,      // children: statements
  kText,      // text
  kPrint,     // expression
  kIf,        // condition, body, condition, body, ...; one more child: the body of else
  kFor,       // iterable, condition or kNothing, body, body of else or kNothing, targets...
  kSet,       // value, targets...
  kSetBlock,  // body, target
  kMacro,     // text: name; body, then parameters: kName, or kKeyword with the default
  kBreak,
  kContinue,
  // Expressions.
  kNothing,  // an absent child
  kNone,
  kBool,       // number
  kInteger,    // number
  kFloat,      // real
  kString,     // text
  kName,       // text
  kList,       // elements
  kDict,       // key, value, key, value, ...
  kAttribute,  // text; object
  kItem,       // object, index
  kSlice,      // object, from, to, step; each may be kNothing
  kCall,       // callee, arguments...; the last ones may be kKeyword
  kKeyword,    // text; value
  kFilter,     // text; input, arguments...
  kTest,       // text; input, arguments...
  kNot,        // operand
  kNegate,     // operand
  kChoice,     // condition, then, else or kNothing
  kAnd,        // operands...
  kOr,         // operands...
  kCompare,    // operands...; text: one letter an operator, of kCompareLetters
  kSum,        // operands...; text: '+' or '-' each
  kProduct,    // operands...; text: '*', '/', 'f' (//) or '%' each
  kConcat,     // operands...
};

// == != < <= > >= in, not in
inline constexpr std::string_view kCompareLetters = "=!<l>gin";

struct Node {
  NodeKind kind = NodeKind::kNothing;
  uint16_t depth = 1;  // of the tree below, itself included
  Position at;
  uint32_t first_child = 0;  // into TemplateAst::children
  uint32_t n_children = 0;
  uint32_t text = 0;  // into TemplateAst::texts
  int64_t number = 0;
  double real = 0;
};

struct TemplateAst {
  std::vector<Node> nodes;
  std::vector<uint32_t> children;
  std::vector<std::string> texts;
  uint32_t root = 0;
  size_t source_bytes = 0;

  uint32_t child(const Node& node, uint32_t i) const { return children[node.first_child + i]; }
  const std::string& text(const Node& node) const { return texts[node.text]; }
};

inline constexpr int kMaxTemplateDepth = 64;

// Errors: kCorruptFile for a syntax error, kUnsupported for what Jinja has and this does not; both
// with line and column.
Result<TemplateAst> parse_template(std::string_view source);

}  // namespace ac::text
