#include "runtime/route/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <unordered_set>

namespace ac {
namespace {

// Of an answer's words, so many must be the prompt's for it to count as made from the prompt.
constexpr double kTransformShare = 0.4;
constexpr size_t kMostListed = 16;
// Sums and differences of more numbers than this would explain almost anything.
constexpr size_t kMostOperands = 40;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_letter(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
}
char lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

struct Token {
  enum class Kind { kWord, kNumber, kMark } kind = Kind::kMark;
  std::string_view text;
  bool starts_sentence = false;
};

// General punctuation of Unicode (quotation marks, dashes, the ellipsis): E2 80 xx.
size_t mark_bytes(std::string_view text) {
  const bool general = text.size() >= 3 && text[0] == '\xE2' && text[1] == '\x80';
  return general ? 3 : is_letter(text[0]) ? 0 : 1;
}

size_t digits_at(std::string_view text, size_t at) {
  size_t n = 0;
  while (at + n < text.size() && is_digit(text[at + n])) ++n;
  return n;
}

// Digits, with a dot between them, or a comma before every three; "61.4,23.7" are two numbers.
size_t number_bytes(std::string_view text) {
  size_t n = digits_at(text, 0);
  while (n < text.size()) {
    const size_t more = digits_at(text, n + 1);
    const bool joins = (text[n] == '.' && more > 0) || (text[n] == ',' && more == 3);
    if (!joins) break;
    n += 1 + more;
  }
  return n;
}

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  bool starts = true;  // nothing but marks since the last sentence
  while (!text.empty()) {
    Token token;
    size_t n = 0;
    if (is_digit(text[0])) {
      n = number_bytes(text);
      token.kind = Token::Kind::kNumber;
    } else if (mark_bytes(text) == 0) {
      while (n < text.size() && is_letter(text[n]) && mark_bytes(text.substr(n)) == 0) ++n;
      token.kind = Token::Kind::kWord;
    } else {
      n = mark_bytes(text);
    }
    token.text = text.substr(0, n);
    token.starts_sentence = starts;
    if (token.kind != Token::Kind::kMark) {
      starts = false;
    } else if (token.text.find_first_of(".?!:\n") != std::string_view::npos) {
      starts = true;
    }
    const bool blank = token.text.find_first_of(" \t\r\n") != std::string_view::npos;
    if (!blank) tokens.push_back(token);
    text.remove_prefix(n);
  }
  return tokens;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

// "1,234.50" and "1234.5" are one number; so are "007" and "7".
std::string plain_number(std::string_view text) {
  std::string digits;
  size_t point = std::string_view::npos;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_digit(text[i])) {
      digits += text[i];
      continue;
    }
    size_t run = i + 1;
    while (run < text.size() && is_digit(text[run])) ++run;
    const bool groups = text[i] == ',' && run - i - 1 == 3;
    if (!groups) {
      point = digits.size();
      digits += '.';
    }
  }
  if (point != std::string_view::npos) {
    while (digits.back() == '0') digits.pop_back();
    if (digits.back() == '.') digits.pop_back();
  }
  const size_t first = std::min(digits.find_first_not_of('0'), digits.size() - 1);
  return digits[first] == '.' ? "0" + digits.substr(first) : digits.substr(first);
}

int decimals_of(std::string_view plain) {
  const size_t point = plain.find('.');
  return point == std::string_view::npos ? 0 : static_cast<int>(plain.size() - point - 1);
}

// Words that editors put in, whatever the source says.
bool is_editorial(std::string_view word) {
  static constexpr std::array<std::string_view, 18> kWords = {
      "eds",          "edited",    "editor", "editors",  "vol",    "proc",
      "retrieved",    "available", "phd",    "diss",     "thesis", "doctoral",
      "dissertation", "preprint",  "master", "internet", "from",   "cited"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// What a prompt says, to look things up in.
class Source {
 public:
  explicit Source(std::string_view prompt) {
    for (const Token& token : tokens_of(prompt)) {
      if (token.kind == Token::Kind::kWord) {
        words_.insert(lowered(token.text));
        stems_.insert(lowered(token.text).substr(0, kStemBytes));
      } else if (token.kind == Token::Kind::kNumber) {
        add_number(token.text);
      }
    }
  }

  bool has_word(std::string_view word) const { return words_.contains(lowered(word)); }

  // The word, or another form of it: "Proc" of "Proceedings", "Chemistry" of "chemical".
  bool has_name(std::string_view word) const {
    const std::string name = lowered(word);
    return words_.contains(name) || is_editorial(name) ||
           (name.size() >= kStemBytes && stems_.contains(name.substr(0, kStemBytes)));
  }

  bool has_number(std::string_view text) const {
    const std::string plain = plain_number(text);
    return numbers_.contains(plain) || ends_a_number(plain) || is_made_of_two(plain);
  }

 private:
  static constexpr size_t kStemBytes = 4;

  void add_value(std::string_view text) {
    const std::string plain = plain_number(text);
    if (numbers_.insert(plain).second) values_.push_back(std::strtod(plain.c_str(), nullptr));
  }

  void add_number(std::string_view text) {
    add_value(text);
    // "27.9,140" may be two cells of a table.
    for (size_t at = 0; at < text.size() && text.find(',') != std::string_view::npos;) {
      const size_t end = std::min(text.find(',', at), text.size());
      add_value(text.substr(at, end - at));
      at = end + 1;
    }
    // 10.1000/182 and 2020-03-01 are several, whatever joins them.
    std::string_view rest = text;
    while (rest.find_first_of(".,") != std::string_view::npos) {
      const size_t at = rest.find_first_of(".,");
      numbers_.insert(plain_number(rest.substr(0, at)));
      rest.remove_prefix(at + 1);
    }
    if (!rest.empty()) numbers_.insert(plain_number(rest));
  }

  // Pages 1661-1675 are cited as 1661-75.
  bool ends_a_number(const std::string& plain) const {
    if (plain.find('.') != std::string::npos) return false;
    return std::any_of(numbers_.begin(), numbers_.end(), [&](const std::string& number) {
      return number.size() > plain.size() && number.ends_with(plain) &&
             number.find('.') == std::string::npos;
    });
  }

  bool is_made_of_two(const std::string& plain) const {
    if (values_.size() > kMostOperands) return false;
    const double wanted = std::strtod(plain.c_str(), nullptr);
    const double slack = 0.5000001 * std::pow(10.0, -decimals_of(plain));
    for (size_t i = 0; i < values_.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        const double a = values_[i], b = values_[j];
        if (std::fabs(std::fabs(a - b) - wanted) < slack || std::fabs(a + b - wanted) < slack) {
          return true;
        }
      }
    }
    return false;
  }

  std::unordered_set<std::string> words_, stems_;
  std::set<std::string> numbers_;
  std::vector<double> values_;
};

bool looks_like_a_name(const std::vector<Token>& tokens, size_t i) {
  const Token& token = tokens[i];
  if (token.kind != Token::Kind::kWord || token.text.size() < 3 || !is_upper(token.text[0])) {
    return false;
  }
  // A sentence begins with a capital in any case; a name that begins one has a comma behind it.
  return !token.starts_sentence || (i + 1 < tokens.size() && tokens[i + 1].text == ",");
}

bool is_number(const std::vector<Token>& tokens, size_t at) {
  return at < tokens.size() && tokens[at].kind == Token::Kind::kNumber;
}

// a + b = c, with any sign.
bool is_sum(const std::vector<Token>& tokens, size_t at) {
  return is_number(tokens, at) && is_number(tokens, at + 2) && is_number(tokens, at + 4) &&
         tokens[at + 1].kind == Token::Kind::kMark && tokens[at + 3].text == "=";
}

// A column of a calculation on paper, "12-4=8": its digits are no facts, and check_sums looks at it.
bool is_column(const std::vector<Token>& tokens, size_t at) {
  return is_sum(tokens, at) && tokens[at].text.size() <= 2 && tokens[at + 2].text.size() == 1;
}

void look_up(const std::vector<Token>& tokens, const Source& source, DraftCheck& check) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (is_column(tokens, i)) {
      i += 4;
      continue;
    }
    const Token& token = tokens[i];
    const bool is_numeral = token.kind == Token::Kind::kNumber;
    // "1." or "[1]" at the head of a line numbers it; "2 of 3" counts.
    const auto is_of = [&](size_t at) { return at < tokens.size() && tokens[at].text == "of"; };
    const bool counts = token.text.size() <= 2 &&
                        (token.starts_sentence || is_of(i + 1) || (i > 0 && is_of(i - 1)));
    if (is_numeral ? counts : !looks_like_a_name(tokens, i)) continue;
    if (!seen.insert(token.text).second) continue;
    ++check.n_facts;
    const bool found = is_numeral ? source.has_number(token.text) : source.has_name(token.text);
    if (!found && check.ungrounded.size() < kMostListed) {
      check.ungrounded.emplace_back(token.text);
    }
  }
}

double value_of(const Token& token) {
  return std::strtod(plain_number(token.text).c_str(), nullptr);
}

// a + b = c with - and the signs for times and division.
void check_sums(const std::vector<Token>& tokens, DraftCheck& check) {
  for (size_t i = 0; i + 4 < tokens.size(); ++i) {
    if (!is_sum(tokens, i)) continue;
    // The middle of a longer sum.
    if (i > 0 && tokens[i - 1].kind == Token::Kind::kMark &&
        std::string_view("+-*/").find(tokens[i - 1].text) != std::string_view::npos) {
      continue;
    }
    const double a = value_of(tokens[i]), b = value_of(tokens[i + 2]);
    const std::string_view sign = tokens[i + 1].text;
    double made = 0;
    if (sign == "+") {
      made = a + b;
    } else if (sign == "-" || sign == "\xE2\x80\x93") {
      made = a - b;
    } else if (sign == "*" || sign == "x") {
      made = a * b;
    } else if (sign == "/" && b != 0) {
      made = a / b;
    } else {
      continue;
    }
    const std::string plain = plain_number(tokens[i + 4].text);
    const double slack = 0.5000001 * std::pow(10.0, -decimals_of(plain));
    if (std::fabs(made - value_of(tokens[i + 4])) < slack) continue;
    check.wrong_sums.push_back(
        fmt::format("{} {} {} = {}", tokens[i].text, sign, tokens[i + 2].text, tokens[i + 4].text));
  }
}

// The last words three times over, with nothing between.
bool ends_in_a_loop(const std::vector<Token>& tokens) {
  constexpr size_t kTimes = 3, kLongest = 24, kShortest = 4;
  for (size_t period = 1; period <= kLongest && period * kTimes <= tokens.size(); ++period) {
    const size_t times = std::max(kTimes, kShortest * kTimes / period);
    if (period * times > tokens.size()) continue;
    const auto last = tokens.end() - static_cast<ptrdiff_t>(period * times);
    const bool same = std::equal(last + static_cast<ptrdiff_t>(period), tokens.end(), last,
                                 [](const Token& a, const Token& b) { return a.text == b.text; });
    if (same) return true;
  }
  return false;
}

// A word that never ends, as a model that is lost writes it, is no use to a reader beyond its beginning.
std::string shown(std::string_view word) {
  constexpr size_t kLongest = 40;
  if (word.size() <= kLongest) return std::string(word);
  size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(word[end]) & 0xc0) == 0x80) --end;
  return fmt::format("{}…", word.substr(0, end));
}

}  // namespace

std::string DraftCheck::summary() const {
  std::string text;
  const auto add = [&text](std::string_view what) {
    text += fmt::format("{}{}", text.empty() ? "" : "; ", what);
  };
  std::vector<std::string> words;
  for (const std::string& word : ungrounded) words.push_back(shown(word));
  if (!words.empty()) add(fmt::format("not in the prompt: {}", fmt::join(words, ", ")));
  if (!wrong_sums.empty()) add(fmt::format("wrong: {}", fmt::join(wrong_sums, ", ")));
  if (repeats) add("repeats itself");
  return text;
}

DraftCheck check_draft(std::string_view prompt, std::string_view answer) {
  DraftCheck check;
  const std::vector<Token> tokens = tokens_of(answer);
  const Source source(prompt);
  size_t n_words = 0, n_known = 0;
  for (const Token& token : tokens) {
    if (token.kind != Token::Kind::kWord) continue;
    ++n_words;
    if (source.has_word(token.text)) ++n_known;
  }
  check.transforms =
      n_words > 0 && static_cast<double>(n_known) >= kTransformShare * static_cast<double>(n_words);
  if (check.transforms) look_up(tokens, source, check);
  check_sums(tokens, check);
  check.repeats = ends_in_a_loop(tokens);
  return check;
}

}  // namespace ac
