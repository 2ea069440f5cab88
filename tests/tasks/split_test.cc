// Nothing of one split in another: words, names, phrasings, prompts.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "models/tasks/alternation.h"
#include "models/tasks/task.h"
#include "models/tasks/text.h"
#include "models/tasks/workflow.h"

namespace ac::tasks {
namespace {

constexpr std::array kAllSplits = {Split::kTrain, Split::kCalibration, Split::kEvaluation};

// The words of an entry, without row headers, units and abbreviations.
std::vector<std::string> words_of(std::string_view key, std::string_view entry) {
  if (key.starts_with("table.named")) entry.remove_prefix(entry.find(':') + 1);
  if (key.starts_with("table.variable") || key.starts_with("journal.topic")) {
    entry = entry.substr(0, entry.find('|'));
  }
  std::vector<std::string> words(1);
  for (const char c : entry) {
    if (c == ' ' || c == ';' || c == '-' || c == ',') {
      words.emplace_back();
    } else {
      words.back() += lower(c);
    }
  }
  std::erase_if(words, [](const std::string& word) {
    return word.empty() || word == "and" || word == "of" || word == "the";
  });
  return words;
}

TEST(Splits, ShareNoContentWord) {
  std::map<std::string, std::map<Split, std::string>> seen;
  size_t n_words = 0;
  for (const auto& [key, section] : lexicon().sections()) {
    if (!is_content(key)) continue;
    EXPECT_TRUE(section.all.empty()) << key;
    for (const Split split : kAllSplits) {
      for (const std::string& entry : lexicon().list(key, split)) {
        for (const std::string& word : words_of(key, entry)) seen[word][split] = key;
        ++n_words;
      }
    }
  }
  EXPECT_GT(n_words, 1500u);
  for (const auto& [word, splits] : seen) {
    EXPECT_EQ(splits.size(), 1u) << "'" << word << "' in " << splits.begin()->second << " and "
                                 << splits.rbegin()->second;
  }
}

TEST(Splits, ShareNoMadeUpName) {
  std::map<std::string, Split> families;
  std::map<std::string, Split> terms;
  for (const Split split : kAllSplits) {
    for (const std::string& name : lexicon().list("name.family", split)) families[name] = split;
  }
  for (const Split split : kAllSplits) {
    for (const std::string& root : lexicon().list("name.root", split)) {
      for (const std::string& ending : lexicon().list("name.ending", split)) {
        const auto [it, is_new] = families.emplace(root + ending, split);
        EXPECT_TRUE(is_new || it->second == split) << root + ending;
      }
    }
    for (const std::string& root : lexicon().list("term.root", split)) {
      for (const char* field : {"biology", "chemistry", "physics", "social"}) {
        for (const std::string& ending :
             lexicon().list("term.ending." + std::string(field), split)) {
          std::vector<std::string> middles = lexicon().list("term.middle", split);
          middles.emplace_back();
          for (const std::string& middle : middles) {
            const auto [it, is_new] = terms.emplace(root + middle + ending, split);
            EXPECT_TRUE(is_new || it->second == split) << root + middle + ending;
          }
        }
      }
    }
  }
  EXPECT_GT(families.size(), 5000u);
}

// Requests are whole phrasings: none is in two splits, not even but for case.
TEST(Splits, ShareNoPhrasing) {
  for (const auto& [key, section] : lexicon().sections()) {
    if (!section.all.empty()) continue;
    std::map<std::string, Split> seen;
    for (const Split split : kAllSplits) {
      for (const std::string& entry : lexicon().list(key, split)) {
        const auto [it, is_new] = seen.emplace(lower(entry), split);
        EXPECT_TRUE(is_new || it->second == split) << key << ": " << entry;
      }
    }
  }
}

// Nor does a training entry that stands for many stand for one of another split.
TEST(Splits, ShareNoChoice) {
  size_t n_compared = 0;
  for (const auto& [key, section] : lexicon().sections()) {
    if (!section.all.empty()) continue;
    for (const std::string& entry : lexicon().list(key, Split::kTrain)) {
      if (!has_alternations(entry)) continue;
      for (const Split split : {Split::kCalibration, Split::kEvaluation}) {
        for (const std::string& other : lexicon().list(key, split)) {
          EXPECT_FALSE(may_become(lower(entry), lower(other))) << key << ": " << other;
          ++n_compared;
        }
      }
    }
  }
  EXPECT_GT(n_compared, 1000u);
}

TEST(Splits, ShareNoPrompt) {
  std::map<std::string, Split> prompts;
  size_t n_tasks = 0;
  for (const Split split : kAllSplits) {
    for (int kind = 0; kind < kTaskKinds; ++kind) {
      for (int field = 0; field < kFields; ++field) {
        for (uint64_t seed = 0; seed < 300; ++seed) {
          const Task task =
              make_task(static_cast<TaskKind>(kind), static_cast<Field>(field), split, seed);
          const auto [it, is_new] = prompts.emplace(task.prompt, split);
          EXPECT_TRUE(is_new || it->second == split) << task.prompt;
          ++n_tasks;
        }
      }
    }
  }
  // And hardly ever the same one twice.
  EXPECT_GT(static_cast<double>(prompts.size()), 0.999 * static_cast<double>(n_tasks));
}

// Every content word that evaluation prompts are made of is absent from training prompts: names of
// authors and quantities as they really come out.
TEST(Splits, EvaluationNamesDoNotOccurInTraining) {
  std::set<std::string> trained;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    for (const auto kind : {TaskKind::kCitation, TaskKind::kReview}) {
      const Task task = make_task(kind, static_cast<Field>(seed % kFields), Split::kTrain, seed);
      if (const auto* citation = std::get_if<CitationTruth>(&task.truth)) {
        for (const Person& person : citation->references[0].authors) {
          if (!person.organisation) trained.insert(person.family);
        }
      } else {
        for (const Study& study : std::get<ReviewTruth>(task.truth).studies) {
          trained.insert(study.authors.begin(), study.authors.end());
        }
      }
    }
  }
  EXPECT_GT(trained.size(), 2000u);
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const Task task =
        make_task(TaskKind::kReview, static_cast<Field>(seed % kFields), Split::kEvaluation, seed);
    for (const Study& study : std::get<ReviewTruth>(task.truth).studies) {
      for (const std::string& author : study.authors) {
        EXPECT_FALSE(trained.contains(author)) << author;
      }
    }
  }
}

}  // namespace
}  // namespace ac::tasks
