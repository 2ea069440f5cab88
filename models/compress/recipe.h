// A recipe: which variants a zoo has and how each is made.
//
//   version = 1
//   [calibrate]            ; may be left out, as each of its keys
//   tokens = 65536         ; at most, of the calibration text
//   window = 2048          ; tokens that are read together, at most the model's context
//   [measure]
//   tokens = 16384         ; at most, of the held-out text
//   [recover]
//   tokens = 4194304       ; at most, of the calibration text, for techniques that learn
//   [small]                ; a variant; its lines are techniques in the order in which they apply
//   prune = ff_keep=0.5 kv_keep=0.75
//   repair = damping=0.01
//   quantise = q4_0
//   [fine]                 ; one file, several precisions: variants fine.0, fine.50 and fine.100
//   quantise = nested levels=0,50,100
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/compress/technique.h"

namespace ac {

struct RecipeVariant {
  std::string id;
  std::vector<std::unique_ptr<const Technique>> chain;

  // Levels of precision that become a variant each; empty: there is one, called `id`.
  std::vector<int32_t> levels() const;
};
// "fine.50"
std::string level_id(std::string_view id, int32_t level);

struct Recipe {
  size_t calibrate_tokens = 65536;
  int32_t window = 2048;
  size_t measure_tokens = 16384;
  size_t recover_tokens = size_t{4} << 20;
  std::vector<RecipeVariant> variants;
};

// `origin` names the text in errors. Errors: kInvalidArgument with "origin:line:".
Result<Recipe> parse_recipe(std::string_view text, std::string_view origin);
Result<Recipe> read_recipe(const std::string& path);

}  // namespace ac
