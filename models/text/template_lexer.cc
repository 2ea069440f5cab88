#include "models/text/template_lexer.h"

#include <algorithm>
#include <array>

#include "models/text/unicode.h"

namespace ac::text {
namespace {

constexpr size_t kMaxSourceBytes = 1u << 20;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Line ends become \n; one at the very end is dropped.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
    } else {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalized(source)) {}

  Result<std::vector<Lexeme>> run() {
    while (at_ < source_.size()) {
      const size_t open = next_opening();
      AC_TRY_STATUS(text_until(open));
      if (at_ < source_.size()) AC_TRY_STATUS(tag());
    }
    emit(LexKind::kEnd, {});
    return std::move(lexemes_);
  }

 private:
  template <class... Args>
  Error error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
    const Position p = position(at_);
    return Error{code, fmt::format("line {}, column {}: {}", p.line, p.column,
                                   fmt::format(format, std::forward<Args>(args)...))};
  }

  // Positions are asked for in ascending order.
  Position position(size_t offset) {
    for (; counted_ < offset; ++counted_) {
      if (source_[counted_] == '\n') {
        ++here_.line;
        here_.column = 1;
      } else {
        ++here_.column;
      }
    }
    return here_;
  }

  void emit(LexKind kind, std::string text) {
    lexemes_.push_back({kind, std::move(text), position(at_)});
  }

  bool looking_at(std::string_view what) const {
    return std::string_view(source_).substr(at_).starts_with(what);
  }

  size_t next_opening() const {
    for (size_t i = at_; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' &&
          (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#')) {
        return i;
      }
    }
    return source_.size();
  }

  // What a tag that opens at `open` leaves of the text in front of it.
  std::string_view stripped(std::string_view text, size_t open) const {
    if (open >= source_.size()) return text;
    const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
    if (sign == '-') {
      while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
      return text;
    }
    if (sign == '+' || source_[open + 1] == '{') return text;
    const size_t line = text.rfind('\n') == std::string_view::npos ? 0 : text.rfind('\n') + 1;
    if (line == 0 && !line_starts_) return text;
    const bool blank =
        std::all_of(text.begin() + static_cast<std::ptrdiff_t>(line), text.end(), is_space);
    return blank ? text.substr(0, line) : text;
  }

  Status text_until(size_t open) {
    const auto text = stripped(std::string_view(source_).substr(at_, open - at_), open);
    if (!text.empty()) emit(LexKind::kText, std::string(text));
    at_ = open;
    return {};
  }

  // After the closing characters of a tag: a '-' in front of them takes all white space, a block or
  // comment one line end.
  void after_tag(bool minus, bool plus, bool prints) {
    if (minus) {
      while (at_ < source_.size() && is_space(source_[at_])) ++at_;
    } else if (!plus && !prints && at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
    }
    line_starts_ = at_ > 0 && source_[at_ - 1] == '\n';
  }

  Status tag() {
    const char kind = source_[at_ + 1];
    if (kind == '#') return comment();
    if (kind == '%' && raw_follows()) return raw();
    emit(kind == '{' ? LexKind::kPrintBegin : LexKind::kBlockBegin, {});
    at_ += 2;
    if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) ++at_;
    return inside(kind == '{');
  }

  Status comment() {
    const size_t close = source_.find("#}", at_ + 2);
    if (close == std::string::npos) return error(ErrorCode::kCorruptFile, "comment is not closed");
    const char before = close > at_ + 2 ? source_[close - 1] : '\0';
    at_ = close + 2;
    after_tag(before == '-', before == '+', false);
    return {};
  }

  // The end of a tag `{% word %}` that opens at `at`, 0 when it is another one.
  size_t word_tag_end(size_t at, std::string_view word, bool& minus, bool& plus) const {
    at += 2;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    while (at < source_.size() && is_space(source_[at])) ++at;
    if (!std::string_view(source_).substr(at).starts_with(word)) return 0;
    at += word.size();
    while (at < source_.size() && is_space(source_[at])) ++at;
    minus = at < source_.size() && source_[at] == '-';
    plus = at < source_.size() && source_[at] == '+';
    if (minus || plus) ++at;
    return std::string_view(source_).substr(at).starts_with("%}") ? at + 2 : 0;
  }

  bool raw_follows() const {
    bool minus, plus;
    return word_tag_end(at_, "raw", minus, plus) != 0;
  }

  Status raw() {
    bool minus = false;
    bool plus = false;
    at_ = word_tag_end(at_, "raw", minus, plus);
    after_tag(minus, true, false);
    for (size_t open = at_; (open = source_.find("{%", open)) != std::string::npos; ++open) {
      const size_t end = word_tag_end(open, "endraw", minus, plus);
      if (end == 0) continue;
      AC_TRY_STATUS(text_until(open));
      at_ = end;
      after_tag(minus, plus, false);
      return {};
    }
    return error(ErrorCode::kCorruptFile, "raw block is not closed");
  }

  Status inside(bool prints) {
    std::string open_brackets;
    for (;;) {
      while (at_ < source_.size() && is_space(source_[at_])) ++at_;
      if (at_ >= source_.size()) return error(ErrorCode::kCorruptFile, "tag is not closed");
      if (open_brackets.empty()) {
        const char sign = source_[at_];
        const bool minus = sign == '-';
        const bool plus = sign == '+' && !prints;
        const size_t close = at_ + (minus || plus ? 1 : 0);
        if (std::string_view(source_).substr(close).starts_with(prints ? "}}" : "%}")) {
          emit(prints ? LexKind::kPrintEnd : LexKind::kBlockEnd, {});
          at_ = close + 2;
          after_tag(minus, plus, prints);
          return {};
        }
      }
      const char c = source_[at_];
      if (is_name_start(c)) {
        name();
      } else if (is_digit(c)) {
        AC_TRY_STATUS(number());
      } else if (c == '"' || c == '\'') {
        AC_TRY_STATUS(string(c));
      } else {
        AC_TRY_STATUS(op(open_brackets));
      }
    }
  }

  void name() {
    size_t end = at_;
    while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
    emit(LexKind::kName, source_.substr(at_, end - at_));
    at_ = end;
  }

  Status number() {
    size_t end = at_;
    const auto digits = [&] {
      while (end < source_.size() && is_digit(source_[end])) ++end;
    };
    digits();
    bool real = false;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      real = true;
      ++end;
      digits();
    }
    if (end < source_.size() && (is_name_start(source_[end]))) {
      return error(ErrorCode::kUnsupported, "number '{}'", source_.substr(at_, end + 1 - at_));
    }
    emit(real ? LexKind::kFloat : LexKind::kInteger, source_.substr(at_, end - at_));
    at_ = end;
    return {};
  }

  // Escapes are Python's.
  Status string(char quote) {
    std::string text;
    size_t i = at_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] != '\\') {
        text.push_back(source_[i]);
        continue;
      }
      if (++i == source_.size()) break;
      constexpr std::string_view kFrom = "ntrabfv0\\'\"";
      constexpr std::string_view kTo("\n\t\r\a\b\f\v\0\\'\"", 11);
      const char c = source_[i];
      if (c == '\n') continue;
      if (is_digit(c) && (c != '0' || (i + 1 < source_.size() && is_digit(source_[i + 1])))) {
        return error(ErrorCode::kUnsupported, "octal escape '\\{}'", c);
      }
      if (const size_t hit = kFrom.find(c); hit != std::string_view::npos) {
        text.push_back(kTo[hit]);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        uint32_t code = 0;
        for (size_t d = 1; d <= n_digits; ++d) {
          constexpr std::string_view kHex = "0123456789abcdef";
          const char lower =
              i + d < source_.size() ? static_cast<char>(source_[i + d] | 0x20) : ' ';
          const size_t value = kHex.find(lower);
          if (value == std::string_view::npos || code > 0xfffffff) {
            return error(ErrorCode::kCorruptFile, "escape '\\{}' wants {} hexadecimal digits", c,
                         n_digits);
          }
          code = code * 16 + static_cast<uint32_t>(value);
        }
        if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
          return error(ErrorCode::kCorruptFile, "escape names no character");
        }
        std::array<char, 4> bytes;
        text.append(bytes.data(), encode_utf8(code, bytes.data()));
        i += n_digits;
      } else if (c == 'N') {
        return error(ErrorCode::kUnsupported, "escape '\\N'");
      } else {
        text.push_back('\\');
        text.push_back(c);
      }
    }
    if (i >= source_.size()) return error(ErrorCode::kCorruptFile, "string is not closed");
    emit(LexKind::kString, std::move(text));
    at_ = i + 1;
    return {};
  }

  Status op(std::string& open_brackets) {
    constexpr std::array<std::string_view, 27> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]",
        "(",  ")",  "{",  "}",  ">",  "<",  "=", ".", ":", "|", ",", ";", "!"};
    for (const std::string_view each : kOperators) {
      if (!looking_at(each)) continue;
      if (each == "(" || each == "[" || each == "{") {
        open_brackets.push_back(each == "(" ? ')' : each == "[" ? ']' : '}');
      }
      if (each == ")" || each == "]" || each == "}") {
        if (open_brackets.empty() || open_brackets.back() != each[0]) {
          return error(ErrorCode::kCorruptFile, "'{}' closes nothing", each);
        }
        open_brackets.pop_back();
      }
      emit(LexKind::kOperator, std::string(each));
      at_ += each.size();
      return {};
    }
    return error(ErrorCode::kCorruptFile, "unexpected character '{}'", source_[at_]);
  }

  std::string source_;
  size_t at_ = 0;
  bool line_starts_ = true;  // the text that follows is at the start of a line
  size_t counted_ = 0;
  Position here_;
  std::vector<Lexeme> lexemes_;
};

}  // namespace

Result<std::vector<Lexeme>> lex_template(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return fail(ErrorCode::kUnsupported, "a chat template of {} bytes, want at most {}",
                source.size(), kMaxSourceBytes);
  }
  return Lexer(source).run();
}

}  // namespace ac::text
