#include "models/tasks/hypothesis.h"

#include <algorithm>

#include "models/tasks/request.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

struct Told : Relation {
  bool untested = false;
};

// People who type a relation rarely say more than that; the phrasings of all splits mostly do.
constexpr double kBareRelation = 0.25;  // of made-up instances

std::string sentence(Draw& draw, const Told& relation) {
  const std::string stated = draw.filled(relation.sign == kRises ? "relation.up" : "relation.down",
                                         {{"a", relation.from}, {"b", relation.to}});
  if (draw.is_respelled() && !relation.untested && draw.chance(kBareRelation)) {
    return capitalised(stated) + ".";
  }
  const std::string framed =
      draw.filled(relation.untested ? "relation.untested" : "relation.frame", {{"r", stated}});
  return capitalised(framed);
}

// The relations of the chain and those beside it, in any order.
struct Story {
  std::vector<Told> relations;
  HypothesisTruth truth;
  int n_distractors = 0;
};

Story draw_story(Draw& draw, const ChainPlan& plan, HypothesisSkill skill) {
  Story story;
  HypothesisTruth& truth = story.truth;
  truth.skill = skill;
  truth.chain = plan.chain;
  truth.directions = {plan.start};
  const size_t n_links = plan.chain.size() - 1;
  // A review has settled the first link.
  const size_t first_open = plan.first_sign != 0 ? 1 : 0;
  truth.untested = static_cast<int>(first_open + draw.below(n_links - first_open));
  for (size_t i = 0; i < n_links; ++i) {
    int sign = draw.chance(0.5) ? kRises : kFalls;
    if (i < first_open) sign = plan.first_sign;
    truth.directions.push_back(truth.directions.back() * sign);
    const Relation link{plan.chain[i], plan.chain[i + 1], sign};
    if (i < first_open) {
      truth.relations.push_back(link);
    } else {
      story.relations.push_back({link, static_cast<int>(i) == truth.untested});
    }
  }
  // Side branches end at once; what flows into the chain from outside does not matter here.
  size_t at = 0;
  const int n_wanted = draw.range(0, 1 + static_cast<int>(2.5 * plan.level));
  while (story.n_distractors < n_wanted && at < plan.spare.size()) {
    Told relation{{"", "", draw.chance(0.5) ? kRises : kFalls, true}, false};
    const double shape = draw.uniform();
    if (shape < 0.45) {
      relation.from = plan.chain[draw.below(plan.chain.size())];
      relation.to = plan.spare[at];
    } else if (shape < 0.8 || at + 1 >= plan.spare.size()) {
      relation.from = plan.spare[at];
      relation.to = plan.chain[1 + draw.below(plan.chain.size() - 1)];
    } else {
      relation.from = plan.spare[at];
      relation.to = plan.spare[at + 1];
      ++at;
    }
    for (const std::string* end : {&relation.from, &relation.to}) {
      const bool on_chain =
          std::find(plan.chain.begin(), plan.chain.end(), *end) != plan.chain.end();
      if (!on_chain) truth.others.push_back(*end);
    }
    // A second untested relation off the chain is for the hard end.
    relation.untested = plan.level > 0.7 && draw.chance(0.25);
    story.relations.push_back(std::move(relation));
    ++story.n_distractors;
    ++at;
  }
  // The order of the chain is a help that fades.
  if (draw.chance(0.3 + 0.7 * plan.level)) draw.shuffle(story.relations);
  truth.relations.insert(truth.relations.end(), story.relations.begin(), story.relations.end());
  return story;
}

enum class Form { kFlowing, kAny };
std::string prose(Draw& draw, const Story& story, Form form) {
  const bool lines = form == Form::kAny && draw.chance(0.3);
  std::string text;
  for (const Told& relation : story.relations) {
    if (!text.empty()) text += lines ? "\n" : " ";
    if (lines) text += "- ";
    text += sentence(draw, relation);
  }
  return text;
}

Difficulty rate(const Story& story) {
  constexpr double kMostHops = 5;
  constexpr double kMostDistractors = 3;
  const int n_hops = static_cast<int>(story.truth.chain.size()) - 1;
  return {0.7 * (n_hops - 1) / (kMostHops - 1) + 0.3 * story.n_distractors / kMostDistractors,
          static_cast<int>(story.relations.size()), n_hops, story.n_distractors};
}

std::string_view moved(int direction) { return direction == kRises ? "rises" : "falls"; }

struct Move {
  std::string verb, past, gerund;
};
Move draw_move(Draw& draw, int direction) {
  const std::string& line = draw.word(direction == kRises ? "move.up" : "move.down");
  const std::vector<std::string_view> forms = split(line, '|');
  AC_CHECK(forms.size() == 3);
  return {std::string(forms[0]), std::string(forms[1]), std::string(forms[2])};
}

Made<HypothesisTruth> finish(const Story& story, std::string prompt) {
  Made<HypothesisTruth> made;
  made.truth = story.truth;
  made.answer = hypothesis_answer(story.truth);
  made.difficulty = rate(story);
  made.prompt = std::move(prompt);
  return made;
}

// A plan of its own for a single task: `n_hops` links.
ChainPlan draw_plan(Draw& draw, int n_hops, double level) {
  constexpr size_t kSpare = 4;
  std::vector<std::string> names = draw.quantities(static_cast<size_t>(n_hops) + 1 + kSpare);
  ChainPlan plan;
  plan.level = level;
  plan.start = draw.chance(0.5) ? kRises : kFalls;
  plan.spare.assign(names.end() - kSpare, names.end());
  names.resize(names.size() - kSpare);
  plan.chain = std::move(names);
  return plan;
}

int draw_hops(Draw& draw, double level) {
  return std::min(5, 2 + static_cast<int>(3.2 * level + 0.8 * draw.uniform()));
}

}  // namespace

std::string hypothesis_answer(const HypothesisTruth& truth) {
  const size_t link = static_cast<size_t>(truth.untested);
  const std::string& from = truth.chain[link];
  const std::string& to = truth.chain[link + 1];
  if (truth.skill == HypothesisSkill::kExperiment) {
    return "Experiment: vary " + from + " and measure " + to + "; raising " + from + " should " +
           (truth.link_sign() == kRises ? "raise " : "lower ") + to + ".";
  }
  // From where to where, then what each sentence says and whether it lies on the way, then the links in
  // order: what follows along the chain is then one step at a time.
  std::string text = "Question: " + truth.chain.front() + " " +
                     std::string(moved(truth.directions.front())) + ", what of " +
                     truth.chain.back() + "?\nRelations: ";
  for (size_t i = 0; i < truth.relations.size(); ++i) {
    const Relation& relation = truth.relations[i];
    text += (i > 0 ? "; " : "") + relation.from +
            (relation.sign == kRises ? " raises " : " lowers ") + relation.to +
            (relation.aside ? " (aside)" : "");
  }
  text += ".\nLinks: ";
  for (size_t i = 0; i + 1 < truth.chain.size(); ++i) {
    const bool raises = truth.directions[i] == truth.directions[i + 1];
    text += (i > 0 ? "; " : "") + truth.chain[i] + (raises ? " raises " : " lowers ") +
            truth.chain[i + 1];
  }
  text += ".\nChain: ";
  for (size_t i = 0; i < truth.chain.size(); ++i) {
    if (i > 0) text += ", so ";
    text += truth.chain[i] + " " + std::string(moved(truth.directions[i]));
  }
  text +=
      ".\nPrediction: " + truth.chain.back() + " " + std::string(moved(truth.directions.back()));
  text += ".\nUntested link: " + from + " to " + to;
  return text + ".\nExperiment: vary " + from + " and measure " + to + ".";
}

Made<HypothesisTruth> make_prediction(Draw& draw, const ChainPlan& plan) {
  const Story story = draw_story(draw, plan, HypothesisSkill::kPredict);
  const Move move = draw_move(draw, plan.start);
  return finish(story, request(draw, "hypothesis.predict",
                               {{"material", prose(draw, story, Form::kAny)},
                                {"x", plan.chain.front()},
                                {"z", plan.chain.back()},
                                {"raise", move.verb},
                                {"raised", move.past},
                                {"raising", move.gerund}}));
}

Made<HypothesisTruth> make_continuation(Draw& draw, const ChainPlan& plan,
                                        const std::string& material) {
  const Story story = draw_story(draw, plan, HypothesisSkill::kContinue);
  return finish(story, request(draw, "hypothesis.continue",
                               {{"earlier", material},
                                {"material", prose(draw, story, Form::kFlowing)},
                                {"z", plan.chain.back()}}));
}

Made<HypothesisTruth> make_from_review(Draw& draw, const ChainPlan& plan,
                                       const std::string& material) {
  const Story story = draw_story(draw, plan, HypothesisSkill::kFromReview);
  const Move move = draw_move(draw, plan.start);
  return finish(story, request(draw, "hypothesis.from_review",
                               {{"earlier", material},
                                {"material", prose(draw, story, Form::kFlowing)},
                                {"x", plan.chain[0]},
                                {"y", plan.chain[1]},
                                {"z", plan.chain.back()},
                                {"raise", move.verb},
                                {"raised", move.past},
                                {"raising", move.gerund}}));
}

Made<HypothesisTruth> make_experiment(Draw& draw, const HypothesisTruth& predicted,
                                      const std::string& material) {
  Made<HypothesisTruth> made;
  made.truth = predicted;
  made.truth.skill = HypothesisSkill::kExperiment;
  made.answer = hypothesis_answer(made.truth);
  made.prompt = request(draw, "hypothesis.experiment", {{"earlier", material}});
  const int n_hops = static_cast<int>(predicted.chain.size()) - 1;
  made.difficulty = {0.1 * n_hops, 1, n_hops, 0};
  return made;
}

Made<HypothesisTruth> make_hypothesis(Draw& draw) {
  const double level = draw.uniform();
  const double skill = draw.uniform();
  if (skill < 0.78) return make_prediction(draw, draw_plan(draw, draw_hops(draw, level), level));
  ChainPlan plan = draw_plan(draw, draw.range(2, 3), level);
  if (skill < 0.85) {
    // The earlier answer ends where this chain begins.
    const size_t n_shared = plan.spare.size() / 2;
    ChainPlan earlier = plan;
    earlier.start = draw.chance(0.5) ? kRises : kFalls;
    earlier.chain.assign(plan.spare.begin(), plan.spare.begin() + static_cast<long>(n_shared));
    earlier.chain.push_back(plan.chain[0]);
    earlier.spare.clear();
    plan.spare.erase(plan.spare.begin(), plan.spare.begin() + static_cast<long>(n_shared));
    const Made<HypothesisTruth> before = make_prediction(draw, earlier);
    plan.start = before.truth.directions.back();
    return make_continuation(draw, plan, before.answer);
  }
  if (skill < 0.92) {
    plan.first_sign = draw.chance(0.5) ? kRises : kFalls;
    const std::string overall = plan.first_sign == kRises ? "increase" : "decrease";
    const int n = draw.range(2, 5);
    const int k = draw.range(n / 2 + 1, n);
    const std::string counts = " (" + std::to_string(k) + " of " + std::to_string(n) + ")";
    return make_from_review(draw, plan,
                            "Overall: " + std::string(k == n ? "" : "mostly ") + overall + counts +
                                (k == n ? "; the studies agree." : "; the studies conflict."));
  }
  const Made<HypothesisTruth> before = make_prediction(draw, plan);
  return make_experiment(draw, before.truth, before.answer);
}

}  // namespace ac::tasks
