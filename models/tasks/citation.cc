#include "models/tasks/citation.h"

#include <algorithm>
#include <array>

#include "models/tasks/request.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

std::string as_asked(const std::string& line, const StyleChoice& choice) {
  return choice.markdown ? line : without(line, '*');
}

// A remark behind words: ", like this" or " (like this)".
std::string appended(const std::string& remark) {
  return (remark.starts_with(',') ? "" : " ") + remark;
}

// "APA 7", "APA style, with italics as *asterisks*".
std::string style_words(Draw& draw, const StyleChoice& choice) {
  std::string text = draw.word("style." + std::string(style_name(choice.style)));
  if (choice.markdown) text += appended(draw.word("citation.markdown"));
  return text;
}

// Which of the style's rules beyond the plain case this reference calls for.
int count_rules(const Reference& reference, TitleCase title_case, const StyleChoice& choice) {
  int n = 0;
  for (const Person& person : reference.authors) {
    n += person.family.find(' ') != std::string::npos && !person.organisation;
    n += !person.suffix.empty();
    n += person.given.find('-') != std::string::npos;
  }
  n += reference.authors.size() > 3;
  n += reference.authors[0].organisation;
  n += !reference.year.has_value();
  n += reference.first_page.empty() && reference.type == ReferenceType::kArticle;
  n += reference.title.find(':') != std::string::npos;
  n += reference.title.find('{') != std::string::npos;
  n += reference.edition > 1;
  n += reference.type != ReferenceType::kArticle;
  const bool wants_headline = choice.style == Style::kMla || choice.style == Style::kChicago;
  n += wants_headline != (title_case == TitleCase::kHeadline);
  return n;
}

Difficulty rate(int n_authors, int n_rules, int n_distractors) {
  constexpr double kMostRules = 8;
  constexpr double kMostAuthors = 12;
  constexpr double kMostDistractors = 4;
  const double level = 0.5 * std::min(1.0, n_rules / kMostRules) +
                       0.35 * std::min(1.0, (n_authors - 1) / kMostAuthors) +
                       0.15 * std::min(1.0, n_distractors / kMostDistractors);
  return {level, n_authors, n_rules, n_distractors};
}

std::string join_lines(const std::vector<std::string>& lines, const StyleChoice& choice) {
  std::vector<std::string> asked;
  for (const std::string& line : lines) asked.push_back(as_asked(line, choice));
  return join(asked, "\n");
}

// The number in front of an entry of a numbered list.
std::string numbered(size_t i, const std::string& entry, Style style) {
  if (style == Style::kIeee) return "[" + std::to_string(i + 1) + "] " + entry;
  if (style == Style::kVancouver) return std::to_string(i + 1) + ". " + entry;
  return entry;
}

// "Order: Bauer; de la Cruz; Zeller": a list's order is found first and its entries are copied then.
std::string order_line(const std::vector<Reference>& references) {
  std::vector<std::string> names;
  for (const Reference& each : references) names.push_back(each.authors[0].family);
  return "Order: " + join(names, "; ");
}

// The letters that a list is sorted by: up to the first one outside ASCII.
std::string sort_key(const Reference& reference) {
  std::string key;
  for (const char c : lower(reference.authors[0].family)) {
    if (static_cast<unsigned char>(c) >= 0x80) break;
    if (c >= 'a' && c <= 'z') key += c;
  }
  return key;
}

bool may_stand_in_list(const std::vector<Reference>& list, const Reference& next) {
  const std::string key = sort_key(next);
  if (key.empty()) return false;
  for (const Reference& other : list) {
    const std::string there = sort_key(other);
    if (there.starts_with(key) || key.starts_with(there)) return false;
    for (const Person& person : other.authors) {
      if (person.family == next.authors[0].family) return false;
    }
  }
  return true;
}

std::string first_difference(std::string_view expected, std::string_view found) {
  size_t at = 0;
  while (at < expected.size() && at < found.size() && expected[at] == found[at]) ++at;
  constexpr size_t kBefore = 12;
  constexpr size_t kShown = 40;
  const auto window = [&](std::string_view text) {
    size_t begin = at > kBefore ? at - kBefore : 0;
    begin = std::min(begin, text.size());
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    size_t end = std::min(text.size(), begin + kShown);
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
    return std::string(text.substr(begin, end - begin));
  };
  return "expected '" + window(expected) + "', found '" + window(found) + "'";
}

}  // namespace

StyleChoice draw_style(Draw& draw) {
  StyleChoice choice;
  choice.style = static_cast<Style>(draw.below(kStyles));
  // Vancouver has no italics to ask for.
  choice.markdown = choice.style != Style::kVancouver && draw.chance(0.25);
  return choice;
}

Made<CitationTruth> make_format(Draw& draw, const Reference& reference, const StyleChoice& choice,
                                double level) {
  const auto format = static_cast<SourceFormat>(draw.below(kSourceFormats));
  TitleCase title_case = choice.style == Style::kMla || choice.style == Style::kChicago
                             ? TitleCase::kHeadline
                             : TitleCase::kSentence;
  // Sources mostly come as the style wants them; the other way round, every word changes.
  if (draw.chance(0.1 + 0.3 * level)) {
    title_case = title_case == TitleCase::kHeadline ? TitleCase::kSentence : TitleCase::kHeadline;
  }
  if (!can_print(reference, format, title_case)) title_case = TitleCase::kSentence;
  const int n_distractors = draw.range(0, 1 + static_cast<int>(3 * level));

  Made<CitationTruth> made;
  made.truth = {CitationSkill::kFormat,
                choice.style,
                choice.markdown,
                {format_reference(reference, choice.style)},
                {reference}};
  made.answer = as_asked(made.truth.lines[0], choice);
  const std::string source = print_source(draw, reference, format, title_case, n_distractors);
  made.prompt = request(draw, "citation.format",
                        {{"style", style_words(draw, choice)}, {"material", source}});
  made.difficulty = rate(static_cast<int>(reference.authors.size()),
                         count_rules(reference, title_case, choice), n_distractors);
  return made;
}

std::vector<Reference> draw_reference_list(Draw& draw, size_t n, double level) {
  std::vector<Reference> references;
  while (references.size() < n) {
    Reference next =
        draw_reference(draw, {.type = {}, .level = level, .max_authors = 3, .short_record = true});
    if (may_stand_in_list(references, next)) references.push_back(std::move(next));
  }
  return references;
}

Made<CitationTruth> make_bibliography(Draw& draw, const std::vector<Reference>& references,
                                      const std::vector<std::string>& material,
                                      const StyleChoice& choice) {
  std::vector<size_t> order(references.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::string order_words;
  if (is_numbered(choice.style)) {
    draw.shuffle(order);
    std::vector<std::string> names;
    for (const size_t i : order) names.push_back(references[i].authors[0].family);
    order_words = join(names, ", ");
  } else {
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return sort_key(references[a]) < sort_key(references[b]);
    });
  }
  Made<CitationTruth> made;
  made.truth = {CitationSkill::kBibliography, choice.style, choice.markdown, {}, {}};
  for (size_t i = 0; i < order.size(); ++i) {
    const Reference& reference = references[order[i]];
    made.truth.references.push_back(reference);
    made.truth.lines.push_back(
        numbered(i, format_reference(reference, choice.style), choice.style));
  }
  made.answer = order_line(made.truth.references) + "\n" + join_lines(made.truth.lines, choice);
  const std::string entries = join(material, "\n");
  const std::string style = draw.word("style." + std::string(style_name(choice.style)));
  made.prompt = is_numbered(choice.style)
                    ? request(draw, "citation.number",
                              {{"style", style}, {"material", entries}, {"order", order_words}})
                    : request(draw, "citation.sort", {{"style", style}, {"material", entries}});
  made.difficulty = {std::min(1.0, static_cast<double>(references.size()) / 4), 0, 0, 0};
  made.difficulty.items = static_cast<int>(references.size());
  return made;
}

Made<CitationTruth> make_in_text(Draw& draw, const std::vector<Reference>& references, size_t which,
                                 const std::string& material, const StyleChoice& choice) {
  const Reference& reference = references[which];
  InText citation{&reference, "", static_cast<int>(which) + 1};
  if (draw.chance(0.5)) citation.page = std::to_string(draw.range(2, 480));
  Made<CitationTruth> made;
  made.truth = {CitationSkill::kInText,
                choice.style,
                choice.markdown,
                {cite_in_text(citation, choice.style)},
                {reference}};
  made.answer = made.truth.lines[0];
  const std::string page = citation.page.empty()
                               ? ""
                               : appended(draw.filled("citation.page", {{"page", citation.page}}));
  made.prompt = request(draw, "citation.in_text",
                        {{"style", draw.word("style." + std::string(style_name(choice.style)))},
                         {"who", reference.authors[0].family},
                         {"page", page},
                         {"material", material}});
  made.difficulty = {0.1 * static_cast<double>(references.size()) +
                         0.2 * static_cast<double>(std::min<size_t>(3, reference.authors.size())),
                     static_cast<int>(references.size()), citation.page.empty() ? 1 : 2, 0};
  return made;
}

Made<CitationTruth> make_citation(Draw& draw) {
  const double level = draw.uniform();
  const StyleChoice choice = draw_style(draw);
  const double skill = draw.uniform();
  if (skill < 0.8) {
    return make_format(draw, draw_reference(draw, {.type = {}, .level = level}), choice, level);
  }
  const bool sort = skill < 0.9;
  const size_t n = static_cast<size_t>(draw.range(sort ? 2 : 1, level > 0.7 && sort ? 4 : 3));
  const std::vector<Reference> references = draw_reference_list(draw, n, level);
  std::vector<std::string> entries;
  for (size_t i = 0; i < n; ++i) {
    const std::string entry = format_reference(references[i], choice.style);
    entries.push_back(as_asked(sort ? entry : numbered(i, entry, choice.style), choice));
  }
  if (sort) return make_bibliography(draw, references, entries, choice);
  return make_in_text(draw, references, draw.below(n), join(entries, "\n"), choice);
}

Verdict check_citation(const CitationTruth& truth, std::string_view answer) {
  std::vector<std::string_view> lines;
  for (const std::string_view line : split_lines(answer)) {
    if (!trim(line).empty()) lines.push_back(trim(line));
  }
  const bool states_order = truth.skill == CitationSkill::kBibliography && !lines.empty() &&
                            lines[0].starts_with("Order:");
  if (states_order) {
    const std::string order = order_line(truth.references);
    if (lines[0] != order) return failed(first_difference(order, lines[0]));
    lines.erase(lines.begin());
  }
  if (lines.size() != truth.lines.size()) {
    return failed("expected " + std::to_string(truth.lines.size()) + " line(s), found " +
                  std::to_string(lines.size()));
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& expected = truth.lines[i];
    const std::string plain = without(expected, '*');
    const bool emphasised = lines[i] == expected || lines[i] == replaced(expected, "*", "_");
    const bool bare = lines[i] == plain;
    if (emphasised || (bare && !truth.markdown)) continue;
    if (bare) return failed("the italics that were asked for are missing");
    return failed(first_difference(truth.markdown ? expected : plain, lines[i]));
  }
  return passed();
}

}  // namespace ac::tasks
