// The table of an evaluation on workflows, as Markdown, JSON and a picture.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/predictor/guarantee.h"
#include "runtime/core/json.h"
#include "runtime/eval/workflow_run.h"

namespace ac {

struct ReportRow {
  std::string name;  // "full model alone", "default gate", ...
  StrategyScore score;
  double cut = 0;  // 1 - cost / cost of the full model alone
  Interval cut_interval;
  double compute_cut = 0;  // 1 - bit-operations / those of the full model alone
  double retained = 0;   // workflows, as a share of those of the full model alone
  double p90_ratio = 0;  // to the full model alone
};

struct WorkflowReport {
  std::string zoo, remote_model;
  size_t n_workflows = 0, n_calibration = 0;
  double retain = 0, confidence = 0;
  // The row that the groups, ablations and other prices are of, and its setting; none: nothing could
  // be promised.
  std::string headline;
  std::optional<Allowed> allowed;
  StepPrices prices;
  std::vector<ReportRow> rows;  // the full model alone first
  // Random routers of every share that stays local, for the curve; and what one with the headline's
  // success would have cut.
  std::vector<ReportRow> random_rows;
  std::optional<double> random_cut;
  struct Group {
    std::string name;  // a kind or a field
    SuccessCount full, gate;
    double cut = 0;
  };
  std::vector<Group> groups;
  // The same runs at other prices.
  struct Priced {
    std::string name;
    StepPrices prices;
    double usd_full = 0, usd = 0;
  };
  std::vector<Priced> priced;
  struct Ablation {
    std::string without{};  // variants of this technique
    ReportRow row;
    // Of the full model's bit-operations: how much less the headline's router takes.
    Interval compute_lost;
  };
  std::vector<Ablation> ablations;
};

ReportRow report_row(std::string name, std::span<const WorkflowRun> runs,
                     std::span<const WorkflowRun> full);
// `runs` are those without variants of a technique, `headline` those with all of them.
WorkflowReport::Ablation ablation_of(std::string without, std::span<const WorkflowRun> runs,
                                     std::span<const WorkflowRun> headline,
                                     std::span<const WorkflowRun> full);
// The cut of a random router that keeps this share of the full model's success, by straight lines
// between `rows`, whose retained falls as their cut rises; nullopt: none does.
std::optional<double> cut_at(std::span<const ReportRow> rows, double retained);

std::string report_markdown(const WorkflowReport& report);
OrderedJson report_to_json(const WorkflowReport& report);
// Cost against success: every row a point, random routers a line.
std::string report_svg(const WorkflowReport& report);

}  // namespace ac
