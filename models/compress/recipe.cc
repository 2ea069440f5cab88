#include "models/compress/recipe.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "models/store/zoo.h"
#include "models/store/zoo_layout.h"
#include "runtime/core/file.h"
#include "runtime/core/ini.h"

namespace ac {
namespace {

constexpr uint64_t kMaxRecipeBytes = 1u << 20;
constexpr size_t kMaxVariants = 64;
constexpr size_t kMaxChain = 16;
constexpr int64_t kMaxTokens = int64_t{1} << 28;

Result<int64_t> whole_number(std::string_view text, int64_t min, int64_t max) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    return fail(ErrorCode::kInvalidArgument, "'{}', expected {} to {}", text.substr(0, 40), min,
                max);
  }
  return value;
}

Status read_entry(const IniEntry& entry, Recipe& recipe) {
  const auto number = [&](int64_t min, auto* to) -> Status {
    AC_TRY(const int64_t value, whole_number(entry.value, min, kMaxTokens));
    *to = static_cast<std::remove_reference_t<decltype(*to)>>(value);
    return {};
  };
  if (entry.section.empty()) {
    if (entry.key == "version" && entry.value == "1") return {};
    return fail(ErrorCode::kInvalidArgument,
                "'{} = {}', expected 'version = 1' before the first section", entry.key,
                entry.value);
  }
  if (entry.section == "calibrate" && entry.key == "tokens") {
    return number(1, &recipe.calibrate_tokens);
  }
  if (entry.section == "calibrate" && entry.key == "window") return number(16, &recipe.window);
  if (entry.section == "measure" && entry.key == "tokens") {
    return number(2, &recipe.measure_tokens);
  }
  if (entry.section == "recover" && entry.key == "tokens") {
    return number(2, &recipe.recover_tokens);
  }
  if (entry.section == "calibrate" || entry.section == "measure" || entry.section == "recover") {
    return fail(ErrorCode::kInvalidArgument, "unknown key '{}' in [{}]", entry.key, entry.section);
  }
  if (recipe.variants.empty() || recipe.variants.back().id != entry.section) {
    if (!is_variant_id(entry.section)) {
      return fail(ErrorCode::kInvalidArgument,
                  "'{}' is not a variant's name, expected a-z 0-9 . _ -, at most 64",
                  entry.section);
    }
    for (const RecipeVariant& variant : recipe.variants) {
      if (variant.id != entry.section) continue;
      return fail(ErrorCode::kInvalidArgument, "[{}] is there twice", entry.section);
    }
    if (recipe.variants.size() >= kMaxVariants) {
      return fail(ErrorCode::kInvalidArgument, "more than {} variants", kMaxVariants);
    }
    recipe.variants.push_back({entry.section, {}});
  }
  RecipeVariant& variant = recipe.variants.back();
  if (variant.chain.size() >= kMaxChain) {
    return fail(ErrorCode::kInvalidArgument, "[{}] has more than {} techniques", variant.id,
                kMaxChain);
  }
  AC_TRY(std::unique_ptr<const Technique> technique, make_technique(entry.key, entry.value));
  variant.chain.push_back(std::move(technique));
  return check_chain(variant.chain);
}

// Every variant that comes of the recipe has a name of its own, as the zoo wants it.
Status check_ids(const Recipe& recipe) {
  std::set<std::string> ids;
  for (const RecipeVariant& variant : recipe.variants) {
    std::vector<std::string> made;
    for (const int32_t level : variant.levels()) made.push_back(level_id(variant.id, level));
    if (made.empty()) made.push_back(variant.id);
    for (const std::string& id : made) {
      if (is_variant_id(id) && ids.insert(id).second) continue;
      return fail(
          ErrorCode::kInvalidArgument,
          "[{}] makes a variant '{}', expected a name of at most 64 bytes that no other has",
          variant.id, id);
    }
  }
  return {};
}

}  // namespace

std::vector<int32_t> RecipeVariant::levels() const {
  return chain.empty() ? std::vector<int32_t>() : chain.back()->levels();
}

std::string level_id(std::string_view id, int32_t level) { return fmt::format("{}.{}", id, level); }

Result<Recipe> parse_recipe(std::string_view text, std::string_view origin) {
  AC_TRY(const std::vector<IniEntry> entries, parse_ini(text, origin));
  Recipe recipe;
  for (const IniEntry& entry : entries) {
    if (Status status = read_entry(entry, recipe); !status) {
      return with_context(status.error(), fmt::format("{}:{}", origin, entry.line));
    }
  }
  if (entries.empty() || !entries[0].section.empty()) {
    return fail(ErrorCode::kInvalidArgument, "{}: does not begin with 'version = 1'", origin);
  }
  if (recipe.variants.empty()) {
    return fail(ErrorCode::kInvalidArgument, "{}: names no variant", origin);
  }
  if (Status status = check_ids(recipe); !status) return with_context(status.error(), origin);
  return recipe;
}

Result<Recipe> read_recipe(const std::string& path) {
  AC_TRY(const std::string text, read_file(path, kMaxRecipeBytes));
  return parse_recipe(text, path);
}

}  // namespace ac
