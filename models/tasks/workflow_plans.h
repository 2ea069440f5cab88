// The plans behind workflow.h: which steps, about what.
#pragma once

#include <string>
#include <vector>

#include "models/tasks/task.h"

namespace ac::tasks {

// Stands in a prompt for the answer to step `step`, 0 to 5.
std::string answer_mark(size_t step);
inline constexpr char kAnswerMark = '\x01';

// Steps whose prompts hold answer marks.
struct Plan {
  std::string name;
  std::vector<Task> steps;
};

Plan plan_bibliography(Draw& draw);  // format each reference, list them, cite one
Plan plan_tables(Draw& draw);        // describe each table, compare across them
Plan plan_review(Draw& draw);        // extract each study, synthesise, perhaps a hypothesis
Plan plan_prediction(Draw& draw);    // predict, carry on, the deciding experiment

}  // namespace ac::tasks
