#include "models/tasks/workflow_plans.h"

#include "models/tasks/text.h"

namespace ac::tasks {

std::string answer_mark(size_t step) {
  return std::string(1, kAnswerMark) + static_cast<char>('0' + step);
}

Plan plan_bibliography(Draw& draw) {
  const double level = draw.uniform();
  const size_t n = static_cast<size_t>(draw.range(1, 4));
  const StyleChoice choice = draw_style(draw);
  const std::vector<Reference> references = draw_reference_list(draw, n, level);
  Plan plan{n == 1 ? "format-and-cite" : "bibliography", {}};
  std::vector<std::string> marks;
  for (size_t i = 0; i < n; ++i) {
    plan.steps.push_back(as_task(draw, make_format(draw, references[i], choice, level)));
    marks.push_back(answer_mark(i));
  }
  std::vector<Reference> listed = references;
  std::string list = marks[0];
  const bool numbered_alone = n == 1 && is_numbered(choice.style);
  if (n > 1 || numbered_alone) {
    Made<CitationTruth> made = make_bibliography(draw, references, marks, choice);
    listed = made.truth.references;
    list = answer_mark(plan.steps.size());
    plan.steps.push_back(as_task(draw, std::move(made)));
  }
  if (n == 1 || draw.chance(0.6)) {
    plan.steps.push_back(
        as_task(draw, make_in_text(draw, listed, draw.below(listed.size()), list, choice)));
  }
  return plan;
}

Plan plan_tables(Draw& draw) {
  const double level = draw.uniform();
  const size_t n_tables = static_cast<size_t>(draw.range(1, level > 0.5 ? 4 : 3));
  Plan plan{n_tables == 1 ? "table-then-compare" : "tables-compared", {}};
  const auto n_rows = [&] {
    return static_cast<size_t>(
        draw.range(2, n_tables > 2 ? 3 : 2 + static_cast<int>(2.99 * level)));
  };
  TableTruth all;
  all.layout = Layout::kNone;
  all.used = {0};
  std::string material;
  for (size_t i = 0; i < n_tables; ++i) {
    TableTruth one;
    one.used = {0};
    one.layout = draw.chance(0.4) ? Layout::kOneSentence : Layout::kSentences;
    one.table = i == 0 ? draw_table(draw, {level, n_rows(), 1, n_tables > 1})
                       : draw_sibling(draw, all.table, n_rows(), all.table.rows);
    all.table = i == 0 ? one.table : stacked(all.table, one.table);
    material += (i > 0 ? "\n" : "") + answer_mark(i);
    plan.steps.push_back(as_task(draw, make_description(draw, one)));
  }
  all.asked = draw_asked(draw, all.table, all.used, static_cast<size_t>(draw.range(1, 2)));
  plan.steps.push_back(as_task(draw, make_comparison(draw, all, material)));
  if (draw.chance(0.3)) {
    // One more question about the same descriptions.
    TableTruth more = all;
    std::vector<Asked> others;
    for (const Asked& each : draw_asked(draw, all.table, all.used, 3)) {
      const bool is_new = [&] {
        for (const Asked& asked : all.asked) {
          if (asked.operation == each.operation) return false;
        }
        return true;
      }();
      if (is_new) others.push_back(each);
    }
    if (!others.empty()) {
      more.asked = {others[0]};
      plan.steps.push_back(as_task(draw, make_comparison(draw, more, material)));
    }
  }
  return plan;
}

Plan plan_review(Draw& draw) {
  const double level = draw.uniform();
  const size_t n = static_cast<size_t>(draw.range(2, 4));
  std::vector<std::string> names = draw.quantities(10);
  const bool at_once = draw.chance(0.25);  // all abstracts in one prompt
  const bool goes_on = at_once || draw.chance(0.6);
  const ReviewTruth truth = draw_studies(draw, n, names[0], names[1], goes_on);
  const std::vector<std::string> side(names.begin() + 2, names.begin() + 4);
  Plan plan{goes_on ? "review-to-hypothesis" : "review", {}};
  if (at_once) {
    plan.steps.push_back(as_task(draw, make_full_review(draw, truth, level, side)));
  } else {
    std::vector<std::string> marks;
    for (size_t i = 0; i < n; ++i) {
      plan.steps.push_back(as_task(draw, make_extraction(draw, truth, i, level, side)));
      marks.push_back(answer_mark(i));
    }
    plan.steps.push_back(as_task(draw, make_synthesis(draw, truth, join(marks, "\n"))));
  }
  if (!goes_on) return plan;
  ChainPlan chain;
  const int n_more = draw.range(1, 2);
  chain.chain = {names[0], names[1], names[4]};
  if (n_more == 2) chain.chain.push_back(names[5]);
  chain.spare = {names[6], names[7]};
  chain.start = draw.chance(0.5) ? kRises : kFalls;
  chain.first_sign = overall(truth.studies).direction;
  chain.level = level;
  plan.steps.push_back(
      as_task(draw, make_from_review(draw, chain, answer_mark(plan.steps.size() - 1))));
  return plan;
}

Plan plan_prediction(Draw& draw) {
  const double level = draw.uniform();
  Plan plan{"predict-and-test", {}};
  const int n_chains = draw.range(1, 3);
  constexpr size_t kMostNames = 13;
  const std::vector<std::string> names = draw.quantities(kMostNames);
  size_t at = 0;
  const auto next = [&] { return names[at++]; };
  ChainPlan chain;
  chain.level = level;
  chain.start = draw.chance(0.5) ? kRises : kFalls;
  chain.chain = {next()};
  size_t predicted = 0;  // the step of the latest prediction
  for (int i = 0; i < n_chains; ++i) {
    const int n_hops = draw.range(2, i == 0 ? 3 : 2);
    for (int hop = 0; hop < n_hops; ++hop) chain.chain.push_back(next());
    chain.spare = {next()};
    const Made<HypothesisTruth> made = i == 0
                                           ? make_prediction(draw, chain)
                                           : make_continuation(draw, chain, answer_mark(predicted));
    predicted = plan.steps.size();
    plan.steps.push_back(as_task(draw, made));
    // The experiment for the link just named, always after the last prediction.
    if (i + 1 == n_chains || draw.chance(0.4)) {
      plan.steps.push_back(
          as_task(draw, make_experiment(draw, made.truth, answer_mark(predicted))));
    }
    chain.start = made.truth.directions.back();
    chain.chain = {made.truth.chain.back()};
  }
  return plan;
}

}  // namespace ac::tasks
