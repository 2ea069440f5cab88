#include <algorithm>

#include "models/text/template_expression_parser.h"

namespace ac::text {
namespace {

// Statements.
class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Result<TemplateAst> run() {
    AC_TRY(ast_.root, body({}));
    return std::move(ast_);
  }

 private:
  // Until a block that starts with one of `ends`, which is left to the caller; {}: to the very end.
  Id body(std::initializer_list<std::string_view> ends) {
    const Level level(depth_);
    AC_TRY_STATUS(deep());
    const Position at = now().at;
    std::vector<uint32_t> statements;
    for (;;) {
      uint32_t statement = 0;
      if (is(LexKind::kEnd)) {
        if (ends.size() != 0) return expected(fmt::format("'{{% {} %}}'", *(ends.end() - 1)));
        break;
      }
      if (is(LexKind::kText)) {
        AC_TRY(statement, add(NodeKind::kText, now().at, {}, now().text));
        next();
      } else if (is(LexKind::kPrintBegin)) {
        const Position print_at = now().at;
        next();
        AC_TRY(const uint32_t value, tuple());
        AC_TRY_STATUS(want(LexKind::kPrintEnd, "'}}'"));
        AC_TRY(statement, add(NodeKind::kPrint, print_at, {value}));
      } else {
        const Lexeme& word = ahead();
        if (word.kind == LexKind::kName &&
            std::find(ends.begin(), ends.end(), std::string_view(word.text)) != ends.end()) {
          break;
        }
        next();
        if (is_name("generation") || is_name("endgeneration")) {
          // Marks what a model was trained to write; nothing to do when rendering.
          next();
          AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
          continue;
        }
        AC_TRY(statement, block());
      }
      statements.push_back(statement);
    }
    return add(NodeKind::kBody, at, statements);
  }

  Id block() {
    const Position at = now().at;
    if (!is(LexKind::kName)) return expected("a statement");
    const std::string word = now().text;
    if (word == "if") return if_block(at);
    if (word == "for") return for_block(at);
    if (word == "set") return set_block(at);
    if (word == "macro") return macro_block(at);
    if (word == "break" || word == "continue") {
      if (loops_ == 0) return expected("a statement");
      next();
      AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
      return add(word == "break" ? NodeKind::kBreak : NodeKind::kContinue, at, {});
    }
    for (const std::string_view known :
         {"block", "call", "do", "extends", "filter", "from", "import", "include", "with",
          "autoescape", "trans", "debug"}) {
      if (word == known) return unsupported(fmt::format("the statement '{}'", word));
    }
    return expected("a statement");
  }

  Id if_block(Position at) {
    std::vector<uint32_t> children;
    for (;;) {
      next();  // if, elif
      AC_TRY(const uint32_t condition, tuple());
      AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
      AC_TRY(const uint32_t then, body({"elif", "else", "endif"}));
      children.push_back(condition);
      children.push_back(then);
      next();  // {%
      if (!is_name("elif")) break;
    }
    if (accept_name("else")) {
      AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
      AC_TRY(const uint32_t otherwise, body({"endif"}));
      children.push_back(otherwise);
      next();
    }
    next();  // endif
    AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
    return add(NodeKind::kIf, at, children);
  }

  Id target_name() {
    if (!is(LexKind::kName)) return expected("a name");
    for (const std::string_view word : {"not", "and", "or", "if", "else", "in", "is", "true",
                                        "false", "none", "True", "False", "None", "loop"}) {
      if (now().text == word) return expected("a name that can be set");
    }
    const Position at = now().at;
    const std::string name = now().text;
    next();
    return add(NodeKind::kName, at, {}, name);
  }

  // a | a, b | (a, b)
  Status targets(std::vector<uint32_t>& out) {
    const bool wrapped = accept_op("(");
    do {
      AC_TRY(const uint32_t name, target_name());
      out.push_back(name);
    } while (accept_op(","));
    if (wrapped) AC_TRY_STATUS(want_op(")"));
    return {};
  }

  Id for_block(Position at) {
    next();
    std::vector<uint32_t> names;
    AC_TRY_STATUS(targets(names));
    if (!accept_name("in")) return expected("'in'");
    AC_TRY(const uint32_t iterable, tuple(Choice::kNo));
    AC_TRY(uint32_t condition, add(NodeKind::kNothing, now().at, {}));
    if (accept_name("if")) {
      AC_TRY(condition, tuple());
    }
    if (is_name("recursive")) return unsupported("a recursive loop");
    AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
    ++loops_;
    AC_TRY(const uint32_t then, body({"else", "endfor"}));
    --loops_;
    next();
    AC_TRY(uint32_t otherwise, add(NodeKind::kNothing, now().at, {}));
    if (accept_name("else")) {
      AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
      AC_TRY(otherwise, body({"endfor"}));
      next();
    }
    next();  // endfor
    AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
    std::vector<uint32_t> children = {iterable, condition, then, otherwise};
    children.insert(children.end(), names.begin(), names.end());
    return add(NodeKind::kFor, at, children);
  }

  Id set_block(Position at) {
    next();
    std::vector<uint32_t> names;
    if (is(LexKind::kName) && ahead().kind == LexKind::kOperator && ahead().text == ".") {
      AC_TRY(const uint32_t object, target_name());
      next();
      if (!is(LexKind::kName)) return expected("a name");
      AC_TRY(const uint32_t attribute, add(NodeKind::kAttribute, at, {object}, now().text));
      next();
      names.push_back(attribute);
    } else {
      AC_TRY_STATUS(targets(names));
    }
    if (accept_op("=")) {
      AC_TRY(const uint32_t value, tuple());
      AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
      names.insert(names.begin(), value);
      return add(NodeKind::kSet, at, names);
    }
    if (is_op("|")) return unsupported("a filter on a set block");
    if (names.size() != 1) return expected("'='");
    AC_TRY_STATUS(want(LexKind::kBlockEnd, "'=' or '%}'"));
    AC_TRY(const uint32_t value, body({"endset"}));
    next();
    next();
    AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
    return add(NodeKind::kSetBlock, at, {value, names[0]});
  }

  Id macro_block(Position at) {
    next();
    if (!is(LexKind::kName)) return expected("the macro's name");
    const std::string name = now().text;
    next();
    AC_TRY_STATUS(want_op("("));
    std::vector<uint32_t> children = {0};
    while (!is_op(")")) {
      if (children.size() > 1) AC_TRY_STATUS(want_op(","));
      const Position parameter_at = now().at;
      AC_TRY(uint32_t parameter, target_name());
      if (accept_op("=")) {
        AC_TRY(const uint32_t value, expression());
        const std::string parameter_name = ast_.text(ast_.nodes[parameter]);
        AC_TRY(parameter, add(NodeKind::kKeyword, parameter_at, {value}, parameter_name));
      }
      children.push_back(parameter);
    }
    next();
    AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
    const int loops = std::exchange(loops_, 0);
    AC_TRY(children[0], body({"endmacro"}));
    loops_ = loops;
    next();
    next();
    AC_TRY_STATUS(want(LexKind::kBlockEnd, "'%}'"));
    return add(NodeKind::kMacro, at, children, name);
  }

  int loops_ = 0;  // around the statement that is being read
};

}  // namespace

Result<TemplateAst> parse_template(std::string_view source) {
  AC_TRY(std::vector<Lexeme> lexemes, lex_template(source));
  return Parser(std::move(lexemes), source.size()).run();
}

}  // namespace ac::text
