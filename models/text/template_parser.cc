// Recursive descent over Jinja's grammar. Operators of one level are gathered in one node, so that
// depth comes from nesting only, and nesting is limited.
#include <algorithm>
#include <charconv>

#include "models/text/template_ast.h"

namespace ac::text {
namespace {

class Parser {
 public:
  Parser(std::vector<Lexeme> lexemes, size_t source_bytes) : lexemes_(std::move(lexemes)) {
    ast_.source_bytes = source_bytes;
  }

  Result<TemplateAst> run() {
    AC_TRY(ast_.root, body({}));
    return std::move(ast_);
  }

 private:
  using Id = Result<uint32_t>;

  const Lexeme& now() const { return lexemes_[at_]; }
  const Lexeme& ahead() const { return lexemes_[std::min(at_ + 1, lexemes_.size() - 1)]; }
  bool is(LexKind kind) const { return now().kind == kind; }
  bool is_op(std::string_view op) const { return is(LexKind::kOperator) && now().text == op; }
  bool is_name(std::string_view name) const { return is(LexKind::kName) && now().text == name; }
  void next() {
    if (at_ + 1 < lexemes_.size()) ++at_;
  }
  bool accept_op(std::string_view op) {
    const bool hit = is_op(op);
    if (hit) next();
    return hit;
  }
  bool accept_name(std::string_view name) {
    const bool hit = is_name(name);
    if (hit) next();
    return hit;
  }

  std::string shown() const {
    switch (now().kind) {
      case LexKind::kEnd:
        return "the end of the template";
      case LexKind::kBlockEnd:
        return "'%}'";
      case LexKind::kPrintEnd:
        return "'}}'";
      default:
        return fmt::format("'{}'", now().text.substr(0, 40));
    }
  }
  Error error(ErrorCode code, std::string_view what) const {
    return fail(code, "line {}, column {}: {}", now().at.line, now().at.column, what);
  }
  Error expected(std::string_view what) const {
    return error(ErrorCode::kCorruptFile, fmt::format("expected {}, found {}", what, shown()));
  }
  Error unsupported(std::string_view what) const {
    return error(ErrorCode::kUnsupported, fmt::format("{} is not supported", what));
  }
  Status want_op(std::string_view op) {
    if (!accept_op(op)) return expected(fmt::format("'{}'", op));
    return {};
  }
  Status want(LexKind kind, std::string_view what) {
    if (!is(kind)) return expected(what);
    next();
    return {};
  }

  // Counts nesting while a rule that can contain itself is being parsed.
  struct Level {
    explicit Level(int& depth) : depth_(depth) { ++depth_; }
    ~Level() { --depth_; }
    int& depth_;
  };
  Status deep() const {
    if (depth_ > kMaxTemplateDepth) return unsupported("nesting this deep");
    return {};
  }

  uint32_t store(std::string text) {
    ast_.texts.push_back(std::move(text));
    return static_cast<uint32_t>(ast_.texts.size() - 1);
  }

  Id add(NodeKind kind, Position at, const std::vector<uint32_t>& children, std::string text = {}) {
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
    node.text = store(std::move(text));
    ast_.nodes.push_back(node);
    return static_cast<uint32_t>(ast_.nodes.size() - 1);
  }

  // --- statements

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

  // --- expressions, loosest first

  enum class Choice { kYes, kNo };  // whether `a if b else c` may stand here

  // a | a, b, ...: the second makes a list.
  Id tuple(Choice choice = Choice::kYes) {
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

  Id expression(Choice choice = Choice::kYes) {
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

  // Operands of one level: `more` says whether another follows and takes its operator, appending a
  // letter for it to `letters`.
  template <class Operand, class More>
  Id chain(NodeKind kind, Operand operand, More more) {
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

  Id disjunction() {
    return chain(
        NodeKind::kOr, [this] { return conjunction(); },
        [this](std::string&) { return accept_name("or"); });
  }
  Id conjunction() {
    return chain(
        NodeKind::kAnd, [this] { return negation(); },
        [this](std::string&) { return accept_name("and"); });
  }
  Id negation() {
    const Position at = now().at;
    if (!accept_name("not")) return comparison();
    const Level level(depth_);
    AC_TRY_STATUS(deep());
    AC_TRY(const uint32_t operand, negation());
    return add(NodeKind::kNot, at, {operand});
  }
  Id comparison() {
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
  Id sum() {
    return chain(
        NodeKind::kSum, [this] { return concatenation(); },
        [this](std::string& letters) {
          if (!is_op("+") && !is_op("-")) return false;
          letters.append(now().text);
          next();
          return true;
        });
  }
  Id concatenation() {
    return chain(
        NodeKind::kConcat, [this] { return product(); },
        [this](std::string&) { return accept_op("~"); });
  }
  Id product() {
    return chain(
        NodeKind::kProduct, [this] { return unary(Filters::kYes); },
        [this](std::string& letters) {
          if (!is_op("*") && !is_op("/") && !is_op("//") && !is_op("%")) return false;
          letters.push_back(now().text == "//" ? 'f' : now().text[0]);
          next();
          return true;
        });
  }

  enum class Filters { kYes, kNo };  // whether filters and tests may follow

  Id unary(Filters filters) {
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

  Id primary() {
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

  Id number() {
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
    AC_TRY(const uint32_t value,
           add(lexeme.kind == LexKind::kInteger ? NodeKind::kInteger : NodeKind::kFloat, lexeme.at,
               {}));
    ast_.nodes[value].number = node.number;
    ast_.nodes[value].real = node.real;
    next();
    return value;
  }

  // Appends `(a, b, c=d)`, the opening bracket already taken.
  Status arguments(std::vector<uint32_t>& out) {
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

  Id postfix(uint32_t value) {
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

  Id subscript(uint32_t object, Position at) {
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

  Id filters_and_tests(uint32_t value) {
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

  bool starts_test_argument() const {
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

  std::vector<Lexeme> lexemes_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;
  TemplateAst ast_;
};

}  // namespace

Result<TemplateAst> parse_template(std::string_view source) {
  AC_TRY(std::vector<Lexeme> lexemes, lex_template(source));
  return Parser(std::move(lexemes), source.size()).run();
}

}  // namespace ac::text
