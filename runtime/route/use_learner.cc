#include "runtime/route/use_learner.h"

namespace ac {

Result<std::unique_ptr<UseLearner>> UseLearner::open(std::shared_ptr<const Gates> gates,
                                                     std::string path) {
  auto learning = std::make_shared<GateLearning>(*gates->ngram);
  std::string gate = gate_id(*gates->ngram);
  if (!path.empty()) {
    AC_TRY(const std::vector<UseLabelRow> rows, read_use_labels(path));
    for (const UseLabelRow& row : rows) {
      if (row.gate == gate) learning->learn(row.label);
    }
  }
  return std::unique_ptr<UseLearner>(
      new UseLearner(std::move(path), std::move(gate), std::move(learning)));
}

Status UseLearner::learn(std::string_view prompt, const RequestFacts& facts,
                         const std::string& tier, double success, double weight,
                         const std::string& source) {
  UseLabelRow row{.gate = gate_,
                  .source = source,
                  .label = {.tier = tier,
                            .success = success,
                            .weight = weight,
                            .features = reader_.read(prompt, facts).entries}};
  round_features(row.label);
  if (!path_.empty()) AC_TRY_STATUS(append_use_label(path_, row));
  learning_->learn(row.label);
  return {};
}

}  // namespace ac
