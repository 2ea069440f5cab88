// Functions that a model may ask its caller to run.
#pragma once

#include <string>

namespace ac {

struct ToolCall {
  std::string id;         // as the model's server names it
  std::string name;       // of the function
  std::string arguments;  // JSON text
};

}  // namespace ac
