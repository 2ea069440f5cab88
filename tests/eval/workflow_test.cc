// Workflows through strategies, with places whose answers are known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/eval/strategies.h"
#include "runtime/eval/workflow_report.h"
#include "tests/predictor/plain_gates.h"

namespace ac {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr StepPrices kPrices = {.usd_per_million_prompt_tokens = 1,
                                .usd_per_million_completion_tokens = 10,
                                .local_usd_per_second = 1e-6};

// The remote knows every answer of some workflows; the variant "cheap" those of one kind, and "odd"
// says the right thing with a wrong number.
class World {
 public:
  explicit World(size_t n) : workflows(workflows_of(tasks::Split::kTrain, 7, n)) {
    for (const tasks::Workflow& workflow : workflows) {
      for (const tasks::Step& step : workflow.steps) {
        right_[step.task.prompt] = step.task.answer;
        if (step.task.kind == tasks::TaskKind::kCitation) easy_.insert(step.task.prompt);
      }
    }
  }

  AnswerBook book() {
    return AnswerBook([this](const std::string& place,
                             const std::string& prompt) -> Result<PlaceAnswer> {
      asked.push_back(place);
      PlaceAnswer answer{.text = {}, .seconds = 0.1, .prompt_tokens = 100, .completion_tokens = 20};
      const auto known = right_.find(prompt);
      if (place == kRemotePlace) answer.seconds = 1;
      answer.bit_ops_per_token = place == kRemotePlace ? 16 : 4;
      if (place == "broken") return fail(ErrorCode::kIo, "the place is broken");
      const bool knows = place == kRemotePlace || place == "odd" || easy_.contains(prompt);
      if (known != right_.end() && knows) answer.text = known->second;
      if (place == "odd") answer.text += " And 90210 more.";
      return answer;
    });
  }

  std::vector<tasks::Workflow> workflows;
  std::vector<std::string> asked;

 private:
  std::map<std::string, std::string> right_;
  std::set<std::string> easy_;
};

std::vector<WorkflowRun> run_all(World& world, AnswerBook& book, const Strategy& strategy) {
  std::vector<WorkflowRun> runs;
  for (const tasks::Workflow& workflow : world.workflows) {
    auto run = run_workflow(workflow, strategy, kPrices, book);
    EXPECT_TRUE(run) << run.error().message;
    runs.push_back(std::move(*run));
  }
  return runs;
}

TEST(Workflows, EveryKindAndFieldTakesTurns) {
  std::set<std::pair<tasks::TaskKind, tasks::Field>> seen;
  for (const auto& workflow : workflows_of(tasks::Split::kTrain, 0, 16)) {
    seen.emplace(workflow.kind, workflow.field);
  }
  EXPECT_EQ(seen.size(), 16u);
}

TEST(Workflows, TheRemoteIsPaidAndRight) {
  World world(32);
  AnswerBook book = world.book();
  const auto runs = run_all(world, book, always_remote());
  const StrategyScore score = score_of(runs);
  EXPECT_EQ(score.workflows.right, 32);
  EXPECT_EQ(score.steps.right, score.steps.n);
  EXPECT_NEAR(score.usd, static_cast<double>(score.steps.n) * (100e-6 + 200e-6), 1e-9);
  EXPECT_EQ(score.p90_seconds, 1);
  EXPECT_EQ(score.remote_share, 1);
  // Nobody is asked the same twice.
  const size_t n = world.asked.size();
  run_all(world, book, always_remote());
  EXPECT_EQ(world.asked.size(), n);
}

TEST(Workflows, PlacesAreAskedTogether) {
  World world(4);
  AnswerBook book = world.book();
  book.ask_together({"cheap", "remote"});
  ASSERT_TRUE(book.answer("remote", "a"));
  EXPECT_THAT(world.asked, ElementsAre("cheap", "remote"));
  ASSERT_TRUE(book.answer("cheap", "a"));
  EXPECT_EQ(world.asked.size(), 2u);
  ASSERT_TRUE(book.answer("odd", "b"));
  EXPECT_THAT(world.asked, ElementsAre("cheap", "remote", "odd"));
  book.ask_together({});
  ASSERT_TRUE(book.answer("remote", "c"));
  EXPECT_EQ(world.asked.size(), 4u);
}

TEST(Workflows, OneWrongStepIsAWrongWorkflowAndIsQuoted) {
  World world(32);
  AnswerBook book = world.book();
  std::vector<std::string> prompts;
  const Strategy strategy = [&](const StepQuestion& question) -> Result<StepPlan> {
    if (question.workflow.name == world.workflows[0].name) prompts.push_back(question.prompt);
    return StepPlan{.places = {question.step == 0 ? "odd" : "remote"}};
  };
  const auto run = run_workflow(world.workflows[0], strategy, kPrices, book);
  ASSERT_TRUE(run);
  EXPECT_FALSE(run->success);
  EXPECT_FALSE(run->steps[0].success);
  EXPECT_TRUE(std::any_of(prompts.begin() + 1, prompts.end(), [](const std::string& prompt) {
    return prompt.find("90210") != std::string::npos;
  }));
}

TEST(Workflows, WhatFailsIsSaid) {
  World world(1);
  AnswerBook book = world.book();
  const Strategy broken = [](const StepQuestion&) -> Result<StepPlan> {
    return StepPlan{.places = {"broken"}};
  };
  const auto run = run_workflow(world.workflows[0], broken, kPrices, book);
  ASSERT_FALSE(run);
  EXPECT_THAT(run.error().message, HasSubstr("broken"));
}

TEST(Strategies, TheOracleTakesTheCheapestThatIsRight) {
  World world(32);
  AnswerBook book = world.book();
  const auto full = run_all(world, book, always_remote());
  const auto best = run_all(world, book, oracle({"cheap"}));
  const StrategyScore score = score_of(best);
  EXPECT_EQ(score.workflows.right, 32);
  EXPECT_GT(score.remote_share, 0.3);
  EXPECT_LT(score.remote_share, 0.9);
  for (size_t i = 0; i < best.size(); ++i) {
    if (world.workflows[i].kind != tasks::TaskKind::kCitation) continue;
    for (const StepRun& step : best[i].steps) EXPECT_THAT(step.places, ElementsAre("cheap"));
  }
  const ReportRow row = report_row("oracle", best, full);
  EXPECT_NEAR(row.cut, 1 - score.remote_share, 0.01);
  // Every place reads and writes as much.
  EXPECT_NEAR(row.compute_cut, 0.75 * (1 - score.remote_share), 1e-9);
  EXPECT_LE(row.cut_interval.low, row.cut);
  EXPECT_GE(row.cut_interval.high, row.cut);
  EXPECT_EQ(row.retained, 1);
}

// 0.5, 0.69 and 0.7, and the full model's 0.73: the first would do, and is not asked.
TEST(Strategies, AWorseVariantIsNotAsked) {
  World world(4);
  AnswerBook book = world.book();
  const auto gates = std::make_shared<const Gates>(
      plain_gates({"cheap", "odd", "dear", "full"}, {0, 0.8f, 0.85f, 1}));
  const auto asked = [&](const Strategy& strategy) {
    std::set<std::string> places;
    for (const WorkflowRun& run : run_all(world, book, strategy)) {
      for (const StepRun& step : run.steps) places.insert(step.places.begin(), step.places.end());
    }
    return places;
  };
  const std::vector<std::string> variants = {"cheap", "odd", "dear"};
  EXPECT_THAT(asked(default_gate(gates, variants, 0.3, false)), ElementsAre("odd"));
  EXPECT_THAT(asked(default_gate(gates, {"cheap"}, 0.3, false)), ElementsAre("cheap"));
  EXPECT_THAT(asked(default_gate(gates, variants, 0.01, false)), ElementsAre("remote"));
  // The paper's rule does ask it.
  EXPECT_THAT(asked(paper_gate(gates, variants, 0.4)), ElementsAre("cheap"));
}

TEST(Strategies, CoinsFallAsOften) {
  World world(64);
  AnswerBook book = world.book();
  EXPECT_EQ(score_of(run_all(world, book, at_random("cheap", 0, 1))).remote_share, 1);
  EXPECT_EQ(score_of(run_all(world, book, at_random("cheap", 1, 1))).remote_share, 0);
  EXPECT_NEAR(score_of(run_all(world, book, at_random("cheap", 0.5, 1))).remote_share, 0.5, 0.15);
}

std::shared_ptr<const Gates> gates_that_say(float cheap, float full) {
  return std::make_shared<const Gates>(plain_gates({"odd", "full"}, {cheap, full}));
}

TEST(Strategies, GatesHaveTheirRules) {
  World world(16);
  AnswerBook book = world.book();
  const auto gates = gates_that_say(0, 2);  // 0.5 and 0.88
  const auto remote_share = [&](const Strategy& strategy) {
    return score_of(run_all(world, book, strategy)).remote_share;
  };
  EXPECT_EQ(remote_share(paper_gate(gates, {"odd"}, 0.7)), 1);
  EXPECT_EQ(remote_share(paper_gate(gates, {"odd"}, 0.4)), 0);
  EXPECT_EQ(remote_share(default_gate(gates, {"odd"}, 0.3, false)), 1);
  EXPECT_EQ(remote_share(default_gate(gates, {"odd"}, 0.4, false)), 0);
  // Every draft of "odd" has a number that no prompt has: those that are made from their prompt are
  // found out.
  EXPECT_GT(remote_share(default_gate(gates, {"odd"}, 0.4, true)), 0.9);
}

// A draft gate that goes by the log-probabilities alone; before a draft it lets everything pass.
// `logits`: what the n-gram gate says of the variants and of the full model.
std::shared_ptr<const Gates> gates_with_drafts(const std::vector<std::string>& variants = {"odd"},
                                               const std::vector<float>& logits = {1, 2},
                                               int32_t n_hidden = 0) {
  constexpr size_t kMeanLogprob = 4;  // a feature's place (draft_gate.cc)
  std::vector<std::string> tiers = variants;
  tiers.push_back("full");
  Gates gates = plain_gates(tiers, logits);
  DraftGate::Parts parts;
  parts.variants = parts.seconds = variants;
  parts.n_hidden = n_hidden;
  for (int s = 0; s < kDraftStages; ++s) {
    const size_t n = draft_features_count(static_cast<DraftStage>(s),
                                          static_cast<size_t>(n_hidden)) + 1;
    DraftGate::Stage heads;
    for (size_t variant = 0; variant < variants.size(); ++variant) {
      std::vector<float> own(n), full(n);
      full.back() = own.back() = 5;
      if (s > 0) own[kMeanLogprob] = -10;
      heads.variant.insert(heads.variant.end(), own.begin(), own.end());
      heads.full.insert(heads.full.end(), full.begin(), full.end());
    }
    parts.stages.push_back(std::move(heads));
  }
  gates.draft = DraftGate::create(std::move(parts)).value();
  return std::make_shared<const Gates>(std::move(gates));
}

TEST(Strategies, DraftsAreTakenByWhatTheyShow) {
  World world(16);
  const auto remote_share = [&](float logprob) {
    AnswerBook book([&](const std::string& place, const std::string&) -> Result<PlaceAnswer> {
      PlaceAnswer answer{.text = "x", .seconds = 0.1, .prompt_tokens = 10, .completion_tokens = 5};
      if (place != kRemotePlace) answer.signals.mean_logprob = logprob;
      return answer;
    });
    return score_of(run_all(world, book, draft_gate(gates_with_drafts(), {"odd"}, {0.05}, {})))
        .remote_share;
  };
  EXPECT_EQ(remote_share(-0.001f), 0);
  EXPECT_EQ(remote_share(-3), 1);
}

TEST(Strategies, BothADraftAndWhatReplacesItArePaid) {
  World world(4);
  AnswerBook book([&](const std::string& place, const std::string&) -> Result<PlaceAnswer> {
    PlaceAnswer answer{.text = "x", .seconds = 0.25, .prompt_tokens = 10, .completion_tokens = 5};
    answer.signals.mean_logprob = -3;
    answer.bit_ops_per_token = place == kRemotePlace ? 16 : 4;
    if (place == kRemotePlace) answer.seconds = 1;
    return answer;
  });
  for (const WorkflowRun& run :
       run_all(world, book, draft_gate(gates_with_drafts(), {"odd"}, {0.05}, {}))) {
    for (const StepRun& step : run.steps) {
      EXPECT_THAT(step.places, ElementsAre("odd", "remote"));
      EXPECT_NEAR(step.seconds, 1.25, 0.01);
      EXPECT_EQ(step.local_seconds, 0.25);
      EXPECT_EQ(step.remote_prompt_tokens, 10);
      EXPECT_EQ(step.bit_ops, 15 * 4 + 15 * 16);
      EXPECT_NEAR(step.usd, 0.25e-6 + 10e-6 + 50e-6, 1e-12);
      EXPECT_NEAR(price_of(step, {.usd_per_million_prompt_tokens = 2}), 20e-6, 1e-12);
    }
  }
}

// 0.86 and 0.95 beside 0.95: "dear" is asked, "cheap" drafts before it.
TEST(Strategies, ACascadeTriesTheCheaperFirst) {
  World world(4);
  const auto steps = [&](float of_cheap, float of_dear, DraftPlan plan) {
    AnswerBook book([&](const std::string& place, const std::string&) -> Result<PlaceAnswer> {
      PlaceAnswer answer{.text = "x", .seconds = 0.25, .prompt_tokens = 10, .completion_tokens = 5};
      answer.signals.mean_logprob = place == "cheap" ? of_cheap : of_dear;
      answer.bit_ops_per_token = place == "cheap" ? 1 : 4;
      return answer;
    });
    const auto gates = gates_with_drafts({"cheap", "dear"}, {1.8f, 3, 3});
    std::vector<StepRun> all;
    for (WorkflowRun& run :
         run_all(world, book, draft_gate(gates, {"cheap", "dear"}, {0.05, 0.1}, plan))) {
      all.insert(all.end(), run.steps.begin(), run.steps.end());
    }
    return all;
  };
  constexpr float kSure = -0.001f, kUnsure = -3;
  constexpr DraftPlan kCascade = {.use = {.cascade = true}};
  for (const StepRun& step : steps(kSure, kSure, kCascade)) {
    EXPECT_THAT(step.places, ElementsAre("cheap"));
    EXPECT_EQ(step.bit_ops, 15);
  }
  for (const StepRun& step : steps(kUnsure, kSure, kCascade)) {
    EXPECT_THAT(step.places, ElementsAre("cheap", "dear"));
    EXPECT_EQ(step.bit_ops, 15 + 15 * 4);
    EXPECT_EQ(step.local_seconds, 0.5);
  }
  for (const StepRun& step : steps(kUnsure, kUnsure, kCascade)) {
    EXPECT_THAT(step.places, ElementsAre("cheap", "dear", "remote"));
  }
  for (const StepRun& step : steps(kSure, kSure, {.use = {.cascade = false}})) {
    EXPECT_THAT(step.places, ElementsAre("dear"));
  }
}

TEST(Strategies, WhatDidNotFitIsNotJudged) {
  World world(4);
  AnswerBook book([&](const std::string& place, const std::string&) -> Result<PlaceAnswer> {
    if (place != kRemotePlace) return PlaceAnswer{};
    return PlaceAnswer{.text = "x", .seconds = 1, .prompt_tokens = 10, .completion_tokens = 5};
  });
  const auto gates = gates_with_drafts({"cheap", "dear"}, {1.8f, 3, 3}, 2);
  for (const WorkflowRun& run :
       run_all(world, book, draft_gate(gates, {"cheap", "dear"}, {0.05, 0.1},
                                      {.use = {.cascade = true}}))) {
    for (const StepRun& step : run.steps) EXPECT_THAT(step.places, ElementsAre("remote"));
  }
}

TEST(Strategies, AnAllowanceIsTakenAsFarAsItIsCertain) {
  const auto runs_of = [](size_t n, size_t n_right) {
    std::vector<WorkflowRun> runs(n);
    for (size_t i = 0; i < n; ++i) runs[i].success = i * 7919 % n < n_right;
    return runs;
  };
  const auto full = runs_of(1000, 900);
  const auto certain = [&](bool cascade, const auto& n_right) {
    return certain_setting(full, 0.95, 0.9, tried_settings(cascade),
                           [&](const Allowed& at) -> Result<std::vector<WorkflowRun>> {
                             return runs_of(1000, n_right(at));
                           });
  };
  const auto allowed = certain(true, [](const Allowed& at) { return at.allowance < 0.1 ? 895u : 700u; });
  ASSERT_TRUE(allowed && *allowed);
  EXPECT_NEAR((*allowed)->allowance, 0.095, 1e-9);
  EXPECT_FALSE((*allowed)->cascade) << "what was lost to allowances is not there for a cascade";
  const auto further = [](const Allowed& at) { return at.cascade.value_or(0) < 0.1 ? 895u : 700u; };
  EXPECT_NEAR(*(*certain(true, further))->cascade, 0.09, 1e-9);
  EXPECT_FALSE((*certain(false, further))->cascade);
  const auto none = certain(true, [](const Allowed&) { return 700u; });
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST(Report, SaysWhatWasRun) {
  World world(32);
  AnswerBook book = world.book();
  const auto full = run_all(world, book, always_remote());
  WorkflowReport report;
  report.zoo = "lab.zoo";
  report.remote_model = "full";
  report.n_workflows = 32;
  report.retain = 0.962;
  report.confidence = 0.9;
  report.headline = "oracle";
  report.allowed = Allowed{.allowance = 0.01, .cascade = 0.1};
  report.prices = kPrices;
  report.rows.push_back(report_row("full model alone", full, full));
  report.rows.push_back(report_row("oracle", run_all(world, book, oracle({"cheap"})), full));
  // Without "cheap" everything costs what the full model does.
  const auto best = run_all(world, book, oracle({"cheap"}));
  const auto& ablation = report.ablations.emplace_back(ablation_of("prune", full, best, full));
  EXPECT_EQ(ablation.row.compute_cut, 0);
  EXPECT_LT(ablation.compute_lost.low, report.rows.back().compute_cut);
  EXPECT_GT(ablation.compute_lost.high, report.rows.back().compute_cut);
  EXPECT_GT(ablation.compute_lost.low, 0);
  for (const double share : {0.0, 0.5, 1.0}) {
    report.random_rows.push_back(
        report_row("random", run_all(world, book, at_random("cheap", share, 1)), full));
  }
  const std::string text = report_markdown(report);
  EXPECT_THAT(text, HasSubstr("| oracle | "));
  EXPECT_THAT(text, HasSubstr("an allowance of 0.010 and of 0.10 in the cascade"));
  EXPECT_THAT(text, testing::ContainsRegex("answered by (remote|cheap) [0-9.]+ %, (remote|cheap) "));
  const OrderedJson json = report_to_json(report);
  EXPECT_THAT(text, HasSubstr("| prune | 0.0 % [0.0, 0.0] | 0.0 % | ["));
  EXPECT_EQ(json["ablations"][0]["without"], "prune");
  EXPECT_EQ(json["rows"].size(), 2u);
  EXPECT_EQ(json["rows"][1]["retained"], 1);
  EXPECT_THAT(report_svg(report), HasSubstr("<polyline class=\"random\""));
  const auto at_all = cut_at(report.random_rows, 1);
  ASSERT_TRUE(at_all);
  EXPECT_NEAR(*at_all, 0, 0.01);
  const auto at_half = cut_at(report.random_rows, 0.6);
  ASSERT_TRUE(at_half);
  EXPECT_GT(*at_half, *at_all);
  EXPECT_FALSE(cut_at(report.random_rows, 1.1));
}

}  // namespace
}  // namespace ac
