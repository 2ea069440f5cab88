// The verbs, each defined in its own file. A new one: a file, a line here, a row in verbs.cc.
#pragma once

#include "runtime/cli/verb.h"

namespace ac::cli {

extern const Verb kAsk;
extern const Verb kChat;
extern const Verb kRoute;
extern const Verb kServe;
extern const Verb kStats;
extern const Verb kLogTail;
extern const Verb kLogShow;
extern const Verb kLogExport;
extern const Verb kLogForget;
extern const Verb kLogAccept;
extern const Verb kZooPack;
extern const Verb kZooAdd;
extern const Verb kZooRemove;
extern const Verb kZooBuild;
extern const Verb kZooLs;
extern const Verb kZooInfo;
extern const Verb kZooVerify;
extern const Verb kZooExtract;
extern const Verb kZooExport;
extern const Verb kPredictorLabel;
extern const Verb kPredictorLearned;
extern const Verb kPredictorTrain;
extern const Verb kPredictorEval;
extern const Verb kPredictorInfo;
extern const Verb kTrain;
extern const Verb kBench;
extern const Verb kDoctor;
extern const Verb kEval;
extern const Verb kConfigShow;
extern const Verb kConfigCheck;
extern const Verb kConfigPath;
extern const Verb kCompletion;
extern const Verb kMan;
extern const Verb kTasksShow;
extern const Verb kTasksCheck;
extern const Verb kTasksWorkflow;
extern const Verb kTasksScore;
extern const Verb kTokenize;
extern const Verb kLogits;
extern const Verb kVersion;

}  // namespace ac::cli
