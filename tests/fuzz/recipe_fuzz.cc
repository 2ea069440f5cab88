// Any bytes as a recipe: a message, or a recipe whose canonical form is the same recipe.
#include <string_view>

#include "models/train/recipe.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto recipe = ac::parse_base_recipe(text, "/r/fuzz.ini");
  if (!recipe) return 0;
  FUZZ_CHECK(recipe->model.d_model % recipe->model.n_heads == 0);
  FUZZ_CHECK(recipe->tokens_per_pack >= recipe->model.context);
  const auto again = ac::parse_base_recipe(recipe->canonical, "/r/fuzz.ini");
  FUZZ_CHECK(again.has_value());
  FUZZ_CHECK(again->canonical == recipe->canonical);
  return 0;
}
