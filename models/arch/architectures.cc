// The list of families.
#include <array>

#include "models/arch/families.h"
#include "models/arch/family.h"

namespace ac {
namespace {

constexpr std::array<const Family*, 7> kFamilies = {
    &kLlama, &kQwen2, &kQwen3, &kGemma2, &kGemma3, &kPhi3, &kDeci,
};

}  // namespace

std::span<const Family* const> families() { return kFamilies; }

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const Family* family : families()) names.emplace_back(family->name);
  return names;
}

Result<const Family*> find_family(const Checkpoint& checkpoint) {
  AC_TRY(const std::string_view name, checkpoint.get_string("general.architecture"));
  std::string known;
  for (const Family* family : families()) {
    if (family->name == name) return family;
    known += known.empty() ? "" : ", ";
    known += family->name;
  }
  return fail(ErrorCode::kUnsupported, "{}: architecture '{}' is not one of {}", checkpoint.origin,
              name.substr(0, 64), known);
}

}  // namespace ac
