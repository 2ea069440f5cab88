#include "models/text/template_expression_parser.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace ac::text {

Error ExpressionParser::error(ErrorCode code, std::string_view what) const {
  return fail(code, "line {}, column {}: {}", now().at.line, now().at.column, what);
}

Error ExpressionParser::expected(std::string_view what) const {
  std::string found;
  switch (now().kind) {
    case LexKind::kEnd:
      found = "the end of the template";
      break;
    case LexKind::kBlockEnd:
      found = "'%}'";
      break;
    case LexKind::kPrintEnd:
      found = "'}}'";
      break;
    default:
      found = fmt::format("'{}'", now().text.substr(0, 40));
  }
  return error(ErrorCode::kCorruptFile, fmt::format("expected {}, found {}", what, found));
}

Error ExpressionParser::unsupported(std::string_view what) const {
  return error(ErrorCode::kUnsupported, fmt::format("{} is not supported", what));
}

Status ExpressionParser::want_op(std::string_view op) {
  if (!accept_op(op)) return expected(fmt::format("'{}'", op));
  return {};
}

Status ExpressionParser::want(LexKind kind, std::string_view what) {
  if (!is(kind)) return expected(what);
  next();
  return {};
}

Status ExpressionParser::deep() const {
  if (depth_ > kMaxTemplateDepth) return unsupported("nesting this deep");
  return {};
}

Result<uint32_t> ExpressionParser::add(NodeKind kind, Position at,
                                       const std::vector<uint32_t>& children, std::string text) {
  Node node;
  node.kind = kind;
  node.at = at;
  node.first_child = static_cast<uint32_t>(ast_.children.size());
  node.n_children = static_cast<uint32_t>(children.size());
  for (const uint32_t child : children) {
    node.depth = std::max(node.depth, static_cast<uint16_t>(ast_.nodes[child].depth + 1));
  }
  if (node.depth > kMaxTemplateDepth) return unsupported("nesting this deep");
  ast_.children.insert(ast_.children.end(), children.begin(), children.end());
  node.text = static_cast<uint32_t>(ast_.texts.size());
  ast_.texts.push_back(std::move(text));
  ast_.nodes.push_back(node);
  return static_cast<uint32_t>(ast_.nodes.size() - 1);
}

Result<uint32_t> ExpressionParser::tuple(Choice choice) {
  const Position at = now().at;
  AC_TRY(const uint32_t first, expression(choice));
  if (!is_op(",")) return first;
  std::vector<uint32_t> elements = {first};
  while (accept_op(",")) {
    if (is(LexKind::kPrintEnd) || is(LexKind::kBlockEnd) || is_op(")")) break;
    AC_TRY(const uint32_t element, expression(choice));
    elements.push_back(element);
  }
  return add(NodeKind::kList, at, elements);
}

Result<uint32_t> ExpressionParser::expression(Choice choice) {
  const Level level(depth_);
  AC_TRY_STATUS(deep());
  const Position at = now().at;
  AC_TRY(uint32_t value, disjunction());
  while (choice == Choice::kYes && accept_name("if")) {
    AC_TRY(const uint32_t condition, disjunction());
    uint32_t otherwise = 0;
    if (accept_name("else")) {
      AC_TRY(otherwise, expression());
    } else {
      AC_TRY(otherwise, add(NodeKind::kNothing, at, {}));
    }
    AC_TRY(value, add(NodeKind::kChoice, at, {condition, value, otherwise}));
  }
  return value;
}

template <class Operand, class More>
Result<uint32_t> ExpressionParser::chain(NodeKind kind, Operand operand, More more) {
  const Position at = now().at;
  AC_TRY(const uint32_t first, operand());
  std::vector<uint32_t> operands = {first};
  std::string letters;
  while (more(letters)) {
    AC_TRY(const uint32_t another, operand());
    operands.push_back(another);
  }
  if (operands.size() == 1) return first;
  return add(kind, at, operands, letters);
}

Result<uint32_t> ExpressionParser::disjunction() {
  return chain(
      NodeKind::kOr, [this] { return conjunction(); },
      [this](std::string&) { return accept_name("or"); });
}

Result<uint32_t> ExpressionParser::conjunction() {
  return chain(
      NodeKind::kAnd, [this] { return negation(); },
      [this](std::string&) { return accept_name("and"); });
}

Result<uint32_t> ExpressionParser::negation() {
  const Position at = now().at;
  if (!accept_name("not")) return comparison();
  const Level level(depth_);
  AC_TRY_STATUS(deep());
  AC_TRY(const uint32_t operand, negation());
  return add(NodeKind::kNot, at, {operand});
}

Result<uint32_t> ExpressionParser::comparison() {
  return chain(
      NodeKind::kCompare, [this] { return sum(); },
      [this](std::string& letters) {
        constexpr std::string_view kOps[] = {"==", "!=", "<", "<=", ">", ">="};
        for (size_t i = 0; i < std::size(kOps); ++i) {
          if (accept_op(kOps[i])) {
            letters.push_back(kCompareLetters[i]);
            return true;
          }
        }
        if (accept_name("in")) {
          letters.push_back('i');
          return true;
        }
        if (is_name("not") && ahead().kind == LexKind::kName && ahead().text == "in") {
          next();
          next();
          letters.push_back('n');
          return true;
        }
        return false;
      });
}

Result<uint32_t> ExpressionParser::sum() {
  return chain(
      NodeKind::kSum, [this] { return concatenation(); },
      [this](std::string& letters) {
        if (!is_op("+") && !is_op("-")) return false;
        letters.append(now().text);
        next();
        return true;
      });
}

Result<uint32_t> ExpressionParser::concatenation() {
  return chain(
      NodeKind::kConcat, [this] { return product(); },
      [this](std::string&) { return accept_op("~"); });
}

Result<uint32_t> ExpressionParser::product() {
  return chain(
      NodeKind::kProduct, [this] { return unary(Filters::kYes); },
      [this](std::string& letters) {
        if (!is_op("*") && !is_op("/") && !is_op("//") && !is_op("%")) return false;
        letters.push_back(now().text == "//" ? 'f' : now().text[0]);
        next();
        return true;
      });
}

Result<uint32_t> ExpressionParser::unary(Filters filters) {
  const Position at = now().at;
  uint32_t value = 0;
  if (is_op("-") || is_op("+")) {
    const Level level(depth_);
    AC_TRY_STATUS(deep());
    const bool minus = is_op("-");
    next();
    AC_TRY(value, unary(Filters::kNo));
    if (minus) {
      AC_TRY(value, add(NodeKind::kNegate, at, {value}));
    }
  } else {
    AC_TRY(value, primary());
  }
  AC_TRY(value, postfix(value));
  if (filters == Filters::kYes) {
    AC_TRY(value, filters_and_tests(value));
  }
  if (is_op("**")) return unsupported("the operator '**'");
  return value;
}

Result<uint32_t> ExpressionParser::primary() {
  const Lexeme& lexeme = now();
  const Position at = lexeme.at;
  if (lexeme.kind == LexKind::kName) {
    const std::string& name = lexeme.text;
    for (const std::string_view word : {"not", "and", "or", "if", "else", "in", "is"}) {
      if (name == word) return expected("an expression");
    }
    uint32_t value = 0;
    if (name == "true" || name == "True" || name == "false" || name == "False") {
      AC_TRY(value, add(NodeKind::kBool, at, {}));
      ast_.nodes[value].number = name[0] == 't' || name[0] == 'T';
    } else if (name == "none" || name == "None") {
      AC_TRY(value, add(NodeKind::kNone, at, {}));
    } else {
      AC_TRY(value, add(NodeKind::kName, at, {}, name));
    }
    next();
    return value;
  }
  if (lexeme.kind == LexKind::kString) {
    std::string text;
    for (; is(LexKind::kString); next()) text.append(now().text);
    return add(NodeKind::kString, at, {}, text);
  }
  if (lexeme.kind == LexKind::kInteger || lexeme.kind == LexKind::kFloat) return number();
  if (accept_op("(")) {
    if (accept_op(")")) return add(NodeKind::kList, at, {});
    AC_TRY(const uint32_t value, tuple());
    AC_TRY_STATUS(want_op(")"));
    return value;
  }
  if (accept_op("[")) {
    std::vector<uint32_t> elements;
    while (!is_op("]")) {
      if (!elements.empty()) {
        AC_TRY_STATUS(want_op(","));
        if (is_op("]")) break;
      }
      AC_TRY(const uint32_t element, expression());
      elements.push_back(element);
    }
    next();
    return add(NodeKind::kList, at, elements);
  }
  if (accept_op("{")) {
    std::vector<uint32_t> pairs;
    while (!is_op("}")) {
      if (!pairs.empty()) {
        AC_TRY_STATUS(want_op(","));
        if (is_op("}")) break;
      }
      AC_TRY(const uint32_t key, expression());
      AC_TRY_STATUS(want_op(":"));
      AC_TRY(const uint32_t value, expression());
      pairs.push_back(key);
      pairs.push_back(value);
    }
    next();
    return add(NodeKind::kDict, at, pairs);
  }
  return expected("an expression");
}

Result<uint32_t> ExpressionParser::number() {
  const Lexeme& lexeme = now();
  const char* end = lexeme.text.data() + lexeme.text.size();
  Node node;
  bool ok;
  if (lexeme.kind == LexKind::kInteger) {
    ok = std::from_chars(lexeme.text.data(), end, node.number).ec == std::errc();
  } else {
    ok = std::from_chars(lexeme.text.data(), end, node.real).ec == std::errc();
  }
  if (!ok) return unsupported("a number this large");
  AC_TRY(
      const uint32_t value,
      add(lexeme.kind == LexKind::kInteger ? NodeKind::kInteger : NodeKind::kFloat, lexeme.at, {}));
  ast_.nodes[value].number = node.number;
  ast_.nodes[value].real = node.real;
  next();
  return value;
}

Status ExpressionParser::arguments(std::vector<uint32_t>& out) {
  bool first = true;
  bool keywords = false;
  while (!is_op(")")) {
    if (!first) {
      AC_TRY_STATUS(want_op(","));
      if (is_op(")")) break;
    }
    first = false;
    if (is_op("*") || is_op("**")) return unsupported("unpacking of arguments");
    const Position at = now().at;
    if (is(LexKind::kName) && ahead().kind == LexKind::kOperator && ahead().text == "=") {
      const std::string name = now().text;
      next();
      next();
      AC_TRY(const uint32_t value, expression());
      AC_TRY(const uint32_t keyword, add(NodeKind::kKeyword, at, {value}, name));
      out.push_back(keyword);
      keywords = true;
      continue;
    }
    if (keywords) return expected("a named argument");
    AC_TRY(const uint32_t value, expression());
    out.push_back(value);
  }
  next();
  return {};
}

Result<uint32_t> ExpressionParser::postfix(uint32_t value) {
  for (;;) {
    const Position at = now().at;
    if (accept_op(".")) {
      if (is(LexKind::kInteger)) {
        AC_TRY(const uint32_t index, number());
        AC_TRY(value, add(NodeKind::kItem, at, {value, index}));
        continue;
      }
      if (!is(LexKind::kName)) return expected("a name");
      if (now().text.starts_with('_')) {
        return unsupported(fmt::format("the attribute '{}'", now().text));
      }
      AC_TRY(value, add(NodeKind::kAttribute, at, {value}, now().text));
      next();
    } else if (accept_op("[")) {
      AC_TRY(value, subscript(value, at));
    } else if (accept_op("(")) {
      std::vector<uint32_t> children = {value};
      AC_TRY_STATUS(arguments(children));
      AC_TRY(value, add(NodeKind::kCall, at, children));
    } else {
      return value;
    }
  }
}

Result<uint32_t> ExpressionParser::subscript(uint32_t object, Position at) {
  std::vector<uint32_t> parts = {object};
  bool slice = false;
  for (int i = 0; i < 3; ++i) {
    uint32_t part = 0;
    if (is_op(":") || is_op("]")) {
      AC_TRY(part, add(NodeKind::kNothing, at, {}));
    } else {
      AC_TRY(part, expression());
    }
    parts.push_back(part);
    if (!accept_op(":")) break;
    slice = true;
  }
  if (is_op(",")) return unsupported("an index of several parts");
  if (!slice && is_op("]") && ast_.nodes[parts[1]].kind == NodeKind::kNothing) {
    return expected("an expression");
  }
  AC_TRY_STATUS(want_op("]"));
  if (!slice) return add(NodeKind::kItem, at, parts);
  while (parts.size() < 4) {
    AC_TRY(const uint32_t nothing, add(NodeKind::kNothing, at, {}));
    parts.push_back(nothing);
  }
  return add(NodeKind::kSlice, at, parts);
}

Result<uint32_t> ExpressionParser::filters_and_tests(uint32_t value) {
  for (;;) {
    const Position at = now().at;
    if (accept_op("|")) {
      if (!is(LexKind::kName)) return expected("the name of a filter");
      const std::string name = now().text;
      next();
      std::vector<uint32_t> children = {value};
      if (accept_op("(")) AC_TRY_STATUS(arguments(children));
      AC_TRY(value, add(NodeKind::kFilter, at, children, name));
    } else if (accept_name("is")) {
      const bool negated = accept_name("not");
      if (!is(LexKind::kName)) return expected("the name of a test");
      const std::string name = now().text;
      next();
      std::vector<uint32_t> children = {value};
      if (accept_op("(")) {
        AC_TRY_STATUS(arguments(children));
      } else if (starts_test_argument()) {
        AC_TRY(uint32_t argument, primary());
        AC_TRY(argument, postfix(argument));
        children.push_back(argument);
      }
      AC_TRY(value, add(NodeKind::kTest, at, children, name));
      if (negated) {
        AC_TRY(value, add(NodeKind::kNot, at, {value}));
      }
    } else if (accept_op("(")) {
      std::vector<uint32_t> children = {value};
      AC_TRY_STATUS(arguments(children));
      AC_TRY(value, add(NodeKind::kCall, at, children));
    } else {
      return value;
    }
  }
}

bool ExpressionParser::starts_test_argument() const {
  switch (now().kind) {
    case LexKind::kString:
    case LexKind::kInteger:
    case LexKind::kFloat:
      return true;
    case LexKind::kOperator:
      return now().text == "[" || now().text == "{";
    case LexKind::kName:
      for (const std::string_view word : {"else", "or", "and", "is", "not", "if", "in"}) {
        if (now().text == word) return false;
      }
      return true;
    default:
      return false;
  }
}

}  // namespace ac::text
