#include "runtime/route/local_answers.h"

#include <algorithm>

namespace ac {

LocalAnswers::~LocalAnswers() {
  turns_.stop();
  if (thread_.joinable()) thread_.join();
}

void LocalAnswers::make(LocalQuestion& question) {
  std::call_once(started_, [this] { thread_ = std::thread([this] { run(); }); });
  if (!turns_.wait_for(question, question.options->cancel)) return;
  if (question.thrown) std::rethrow_exception(question.thrown);
}

void LocalAnswers::run() {
  while (Turns::Question* question = turns_.begin()) {
    answer_together(static_cast<LocalQuestion&>(*question));
    turns_.unlock();
  }
}

void LocalAnswers::complete(LocalQuestion& question, Result<Generation> made,
                            const Engine& engine) {
  const GenerateOptions& options = *question.options;
  question.level = engine.level();
  if (made && options.level_at && question.level) {
    question.level = options.level_at(static_cast<int32_t>(made->tokens.size()));
  }
  question.made = std::move(made);
}

void LocalAnswers::answer_together(LocalQuestion& first) {
  std::vector<LocalQuestion*> open = {&first};
  std::string variant;  // `first` may be gone before the last of those that join it
  try {
    const Result<Engine*> engine = first.load();
    if (!engine) {
      first.made = engine.error();
      return turns_.settle(first);
    }
    variant = first.variant;
    LocalQuestion* waiting = &first;  // not yet given to the engine
    const auto next = [&]() -> std::optional<Asked> {
      while (true) {
        LocalQuestion* question = std::exchange(waiting, nullptr);
        if (question == nullptr) {
          open.reserve(open.size() + 1);  // once it has left the line nothing may fail
          question = static_cast<LocalQuestion*>(turns_.join(variant));
          if (question == nullptr) return std::nullopt;
          open.push_back(question);
        }
        const auto close = [&, question](Result<Generation> made) {
          complete(*question, std::move(made), **engine);
          std::erase(open, question);
          turns_.settle(*question);
        };
        Result<std::vector<int32_t>> prompt = question->tokens(**engine);
        if (!prompt) {
          close(prompt.error());
          continue;
        }
        question->prompt = std::move(*prompt);
        return Asked{question->prompt, question->options, close};
      }
    };
    (*engine)->serve(next);
  } catch (...) {
    // It is told to all of them: whose it was is not known.
    for (LocalQuestion* question : open) {
      question->thrown = std::current_exception();
      turns_.settle(*question);
    }
  }
}

}  // namespace ac
