// Any bytes as a recipe or as documents: a message, or techniques whose text reads back as they
// are.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/compress/calibration_text.h"
#include "models/compress/recipe.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"a.txt", "a.jsonl"}) {
    const auto documents = ac::split_documents(text, name);
    if (!documents) continue;
    for (const ac::TextDocument& document : *documents) FUZZ_CHECK(!document.text.empty());
  }
  const auto recipe = ac::parse_recipe(text, "a.ini");
  if (!recipe) return 0;
  for (const ac::RecipeVariant& variant : recipe->variants) {
    for (const auto& technique : variant.chain) {
      const std::string said = technique->text();
      const size_t space = said.find(' ');
      const auto again = ac::make_technique(said.substr(0, space), said.substr(space + 1));
      FUZZ_CHECK(again.has_value() && (*again)->text() == said);
    }
  }
  return 0;
}
