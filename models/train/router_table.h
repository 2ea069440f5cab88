// A pair of models and a file of labels: how both gates route between them, beside the router that
// tosses a coin, the one that knows the task, and the one that knows the outcome.
//
// Everything is out of fold: a prompt is judged by a gate that learned from other folds, and kept
// on the weak model by a threshold from other folds. Copies of a prompt share a fold.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/train/labels.h"
#include "models/train/routing_metrics.h"
#include "runtime/core/cancel.h"
#include "runtime/core/json.h"
#include "runtime/core/result.h"

namespace ac {

struct RouterTableOptions {
  std::string weak{}, strong{};       // models of the labels; both empty: default_tiers
  std::vector<std::string> drafts{};  // models whose answers are compared with the weak one's
  double retain = 0.962;              // of the strong model's success
  double confidence = 0.9;            // of the guarantee
  int n_folds = 5;
  int n_trials = 200;  // random halves on which the guarantee is tried
  const CancelFlag* cancel = nullptr;
  std::function<void(std::string_view what)> progress{};
};

// Shares in [0, 1]; NaN where a row has none.
struct RouterRow {
  // "default", "agreement" (with drafts), "probe" and "draft" (with signals of the weak model),
  // "paper", "task", "random", "oracle"
  std::string name;
  double apgr = 0;   // average performance gap recovered
  double cpt50 = 0;  // share of strong calls that recovers half of the gap
  double cpt80 = 0;
  double cut = 0;       // share kept on the weak model, thresholds from other folds
  double retained = 0;  // of the strong model's success, at that cut
  double ece = 0;       // calibration error of the weak model's predicted success
};

// The guarantee tried: each time half of the prompts choose the threshold for the other half.
struct GuaranteeTrials {
  int n_trials = 0;
  double missed = 0;      // share of trials that kept less than the target
  double infeasible = 0;  // share in which nothing could be promised
  double cut = 0;         // means over trials; nothing is cut where nothing could be promised
  double retained = 0;
};

struct RouterTable {
  std::string labels, weak, strong;
  size_t n_rows = 0;
  double retain = 0, confidence = 0;
  double weak_success = 0, strong_success = 0;
  std::vector<RouterRow> rows;
  Kept rule;  // the paper's gate at its confidence of 0.7
  GuaranteeTrials guarantee;
};

// Errors: kInvalidArgument (models that the labels do not have, drafts without answers, too few
// rows), kCancelled.
Result<RouterTable> router_table(const Labels& labels, const RouterTableOptions& options);

std::vector<std::string> router_table_lines(const RouterTable& table);
// {"default": {"apgr", "cpt50", "cpt80", "cut", "retained", "ece"}, "paper": ..., "guarantee": ...}
OrderedJson router_table_to_json(const RouterTable& table);

}  // namespace ac
