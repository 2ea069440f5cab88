// Reads the expressions of a chat template: recursive descent over Jinja's grammar. Operators of
// one level are gathered in one node, so that depth comes from nesting only, and nesting is
// limited. Statements are read by the parser built on it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/text/template_ast.h"

namespace ac::text {

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Lexeme> lexemes, size_t source_bytes)
      : lexemes_(std::move(lexemes)) {
    ast_.source_bytes = source_bytes;
  }

 protected:
  using Id = Result<uint32_t>;

  const Lexeme& now() const { return lexemes_[at_]; }
  const Lexeme& ahead() const { return lexemes_[at_ + 1 < lexemes_.size() ? at_ + 1 : at_]; }
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

  Error expected(std::string_view what) const;  // syntax; says what was found instead
  Error unsupported(std::string_view what) const;
  Status want_op(std::string_view op);
  Status want(LexKind kind, std::string_view what);

  // Counts nesting while a rule that can contain itself is being parsed.
  struct Level {
    explicit Level(int& depth) : depth_(depth) { ++depth_; }
    ~Level() { --depth_; }
    int& depth_;
  };
  Status deep() const;

  Id add(NodeKind kind, Position at, const std::vector<uint32_t>& children, std::string text = {});

  enum class Choice { kYes, kNo };  // whether `a if b else c` may stand here
  // a | a, b, ...: the second makes a list.
  Id tuple(Choice choice = Choice::kYes);
  Id expression(Choice choice = Choice::kYes);

  std::vector<Lexeme> lexemes_;
  size_t at_ = 0;
  int depth_ = 0;
  TemplateAst ast_;

 private:
  enum class Filters { kYes, kNo };  // whether filters and tests may follow

  Error error(ErrorCode code, std::string_view what) const;
  // Operands of one level: `more` says whether another follows and takes its operator, appending a
  // letter for it to `letters`.
  template <class Operand, class More>
  Id chain(NodeKind kind, Operand operand, More more);
  Id disjunction();
  Id conjunction();
  Id negation();
  Id comparison();
  Id sum();
  Id concatenation();
  Id product();
  Id unary(Filters filters);
  Id primary();
  Id number();
  // Appends `(a, b, c=d)`, the opening bracket already taken.
  Status arguments(std::vector<uint32_t>& out);
  Id postfix(uint32_t value);
  Id subscript(uint32_t object, Position at);
  Id filters_and_tests(uint32_t value);
  bool starts_test_argument() const;
};

}  // namespace ac::text
