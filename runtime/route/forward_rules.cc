#include "runtime/route/forward_rules.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr uint64_t kFileBytes = 1u << 20;
constexpr uint32_t kMatchSteps = 1'000'000;

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct MatchDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct ContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
using Code = std::unique_ptr<pcre2_code, CodeDeleter>;

bool is_blank(unsigned char c) { return c <= ' ' || c == 0x7F; }

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Line ends and blanks of every script, and control characters.
bool is_blank_character(utf8proc_int32_t code) {
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return true;
    default:
      return false;
  }
}

// Every run of blanks and control characters is one blank. REQUIRES: UTF-8.
std::string with_single_blanks(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t n = 1;
    bool blank = is_blank(static_cast<unsigned char>(text.front()));
    if (static_cast<unsigned char>(text.front()) >= 0x80) {
      utf8proc_int32_t code = 0;
      const auto read = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                         static_cast<utf8proc_ssize_t>(text.size()), &code);
      n = static_cast<size_t>(std::max<utf8proc_ssize_t>(read, 1));
      blank = read > 0 && is_blank_character(code);
    }
    if (!blank) {
      out += text.substr(0, n);
    } else if (out.empty() || out.back() != ' ') {
      out += ' ';
    }
    text.remove_prefix(n);
  }
  return out;
}

std::string in_small_letters(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// As rules and texts are compared; nullopt: not UTF-8.
std::optional<std::string> folded(std::string_view text) {
  if (is_ascii(text)) return in_small_letters(with_single_blanks(text));
  utf8proc_uint8_t* mapped = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE |
                                                      UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                                                      UTF8PROC_IGNORE);
  const utf8proc_ssize_t n =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, options);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (n < 0) return std::nullopt;
  return with_single_blanks({reinterpret_cast<const char*>(mapped), static_cast<size_t>(n)});
}

Result<Code> compile(std::string_view pattern, std::string_view where, int line) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                          nullptr));
  if (code == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return fail(ErrorCode::kInvalidArgument, "{}:{}: /{}/: {} (at byte {})", where, line, pattern,
                reinterpret_cast<const char*>(message), offset);
  }
  // Where there is no compiler for this machine the interpreter does it.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

bool matches(const pcre2_code* code, std::string_view text) {
  const std::unique_ptr<pcre2_match_data, MatchDeleter> data(
      pcre2_match_data_create_from_pattern(code, nullptr));
  const std::unique_ptr<pcre2_match_context, ContextDeleter> context(
      pcre2_match_context_create(nullptr));
  if (data == nullptr || context == nullptr) return true;
  pcre2_set_match_limit(context.get(), kMatchSteps);
  return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(),
                     context.get()) != PCRE2_ERROR_NOMATCH;
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && is_blank(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

}  // namespace

struct ForwardRules::Rule {
  int line = 0;
  std::string phrase;  // folded; empty: an expression
  Code expression;

  // Expressions are written for the text as it is as well as for its folded form.
  bool finds(std::string_view plain_text, std::string_view folded_text) const {
    if (expression == nullptr) return folded_text.find(phrase) != std::string_view::npos;
    return matches(expression.get(), folded_text) ||
           (plain_text != folded_text && matches(expression.get(), plain_text));
  }
};

ForwardRules::ForwardRules(std::string where, std::vector<Rule> rules)
    : where_(std::move(where)), rules_(std::move(rules)) {}
ForwardRules::~ForwardRules() = default;

Result<std::shared_ptr<const ForwardRules>> ForwardRules::load(const std::string& path) {
  AC_TRY(const std::string text, read_file(path, kFileBytes));
  return parse(text, path);
}

Result<std::shared_ptr<const ForwardRules>> ForwardRules::parse(std::string_view text,
                                                                std::string_view where) {
  std::vector<Rule> rules;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = without_blanks(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    Rule rule{.line = number, .phrase = {}, .expression = {}};
    if (line.size() > 2 && line.front() == '/' && line.back() == '/') {
      AC_TRY(rule.expression, compile(line.substr(1, line.size() - 2), where, number));
    } else {
      std::optional<std::string> phrase = folded(line);
      if (!phrase || without_blanks(*phrase).empty()) {
        return fail(ErrorCode::kInvalidArgument, "{}:{}: {}, expected a phrase or /an expression/",
                    where, number, phrase ? "nothing that can be seen" : "not UTF-8");
      }
      rule.phrase = std::move(*phrase);
    }
    rules.push_back(std::move(rule));
  }
  return std::shared_ptr<const ForwardRules>(
      new ForwardRules(std::string(where), std::move(rules)));
}

std::string ForwardRules::broken_by(const std::vector<std::string_view>& texts) const {
  if (rules_.empty()) return {};
  for (const std::string_view text : texts) {
    if (text.empty()) continue;
    const std::optional<std::string> folded_text = folded(text);
    if (!folded_text) return fmt::format("{} keeps what is not UTF-8 here", where_);
    const std::string plain_text = with_single_blanks(text);
    for (const Rule& rule : rules_) {
      if (rule.finds(plain_text, *folded_text)) {
        return fmt::format("the rule in line {} of {} keeps it here", rule.line, where_);
      }
    }
  }
  return {};
}

size_t ForwardRules::n_rules() const { return rules_.size(); }

}  // namespace ac
