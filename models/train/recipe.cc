#include "models/train/recipe.h"

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr uint64_t kRecipeBytes = 1u << 20;
constexpr auto kText = SettingType::kText;
constexpr auto kPath = SettingType::kPath;
constexpr auto kInteger = SettingType::kInteger;
constexpr auto kNumber = SettingType::kNumber;
constexpr auto kChoice = SettingType::kChoice;
constexpr auto kYesNo = SettingType::kYesNo;
constexpr double kMost = 1e12;

// clang-format off
constexpr auto kRows = std::to_array<SettingRow>({
    {"model", "name", kText, "", "base", 0, 0, "", "general.name of the model"},
    {"model", "d_model", kInteger, "", "", 16, 8192, "", "width of the residual stream"},
    {"model", "layers", kInteger, "", "", 1, 256, "", "blocks of attention and feed-forward"},
    {"model", "heads", kInteger, "", "", 1, 256, "", "query heads; d_model is a multiple of them"},
    {"model", "kv_heads", kInteger, "", "", 1, 256, "", "key and value heads; heads is a multiple of them"},
    {"model", "d_ff", kInteger, "", "", 16, 65536, "", "width of the feed-forward block"},
    {"model", "context", kInteger, "tokens", "512", 8, 65536, "", "longest sequence"},
    {"model", "start", kPath, "", "", 0, 0, "", "a GGUF file of this shape, whose weights and tokenizer to begin with; empty: random weights"},
    {"model", "rope_base", kNumber, "", "10000", 10, 1e9, "", "base of the rotary position embedding"},

    {"tokenizer", "vocab", kInteger, "tokens", "4096", 259, 1 << 20, "", "size of the vocabulary"},
    {"tokenizer", "first_letters", kYesNo, "", "no", 0, 0, "", "the first letter of a word is a token of its own: for models that copy words"},
    {"tokenizer", "relearn", kYesNo, "", "no", 0, 0, "", "with start: another tokenizer than that file's, its embeddings made from those"},
    {"tokenizer", "sample_mb", kInteger, "MB", "16", 1, 4096, "", "documents that the vocabulary is learned from"},

    {"data", "text", kPath, "", "", 0, 0, "", "a text file, a paragraph a document; empty: the research tasks"},
    {"data", "citation", kNumber, "", "1", 0, 1000, "", "what this kind of task counts"},
    {"data", "data_to_text", kNumber, "", "1", 0, 1000, "", "what this kind of task counts"},
    {"data", "review", kNumber, "", "1", 0, 1000, "", "what this kind of task counts"},
    {"data", "hypothesis", kNumber, "", "1", 0, 1000, "", "what this kind of task counts"},
    {"data", "workflows", kNumber, "", "0.25", 0, 1, "", "share of tasks that are steps of workflows"},
    {"data", "differences", kNumber, "", "0.5", 0, 1, "", "share of data-to-text tasks that ask for a difference"},
    {"data", "lists", kNumber, "", "0", 0, 1, "", "share of citation tasks that are about a list of entries"},
    {"data", "shortest", kNumber, "", "0", 0, 1, "", "share of tasks that are the shortest of four"},
    {"data", "longest", kNumber, "", "0", 0, 1, "", "share of tasks that are the longest of four"},
    {"data", "respelled", kNumber, "", "0.6", 0, 1, "", "share of tasks whose names and subject words are made up"},

    {"train", "steps", kInteger, "", "", 1, kMost, "", "steps of the optimiser"},
    {"train", "tokens_per_step", kInteger, "tokens", "16384", 1, 1 << 26, "", "in all packs of a step"},
    {"train", "tokens_per_pack", kInteger, "tokens", "2048", 1, 1 << 20, "", "that go through the model at once"},
    {"train", "learning_rate", kNumber, "", "0.002", 1e-7, 1, "", "at its peak"},
    {"train", "last_rate", kNumber, "", "0.05", 0, 1, "", "at the end, as a share of the peak"},
    {"train", "warm_up", kInteger, "", "100", 0, kMost, "", "steps until the peak"},
    {"train", "weight_decay", kNumber, "", "0.1", 0, 10, "", "of matrices"},
    {"train", "optimizer", kChoice, "", "adamw", 0, 0, "adamw|muon", "muon: matrices inside layers by it, the rest by AdamW"},
    {"train", "muon_beta", kNumber, "", "0.95", 0, 0.9999, "", "of Muon's momentum"},
    {"train", "beta1", kNumber, "", "0.9", 0, 0.9999, "", "of AdamW's mean"},
    {"train", "beta2", kNumber, "", "0.95", 0, 0.99999, "", "of AdamW's mean square"},
    {"train", "clip", kNumber, "", "1", 1e-6, 1e6, "", "longest gradient"},
    {"train", "prompt_weight", kNumber, "", "0.1", 0, 1, "", "what a prompt's tokens count; an answer's count 1"},
    {"train", "average", kInteger, "steps", "0", 0, kMost, "", "the model is the running mean of the weights over so many; 0: the last weights"},
    {"train", "seed", kInteger, "", "1", 0, 4294967295.0, "", "of first weights and of the documents: with start, another than that file was trained with"},

    {"watch", "evaluate_every", kInteger, "steps", "100", 1, kMost, "", "between two looks at the held-out loss"},
    {"watch", "evaluate_tokens", kInteger, "tokens", "16384", 1, 1 << 26, "", "held out for that"},
    {"watch", "checkpoint_minutes", kNumber, "minutes", "10", 0.01, 1e6, "", "between two checkpoints"},
    {"watch", "checkpoint_format", kChoice, "", "f32", 0, 0, "f32|bf16|small", "of the optimiser's means: 12, 8 or 3.6 bytes a parameter in all"},

    {"out", "format", kChoice, "", "bf16", 0, 0, "f32|bf16", "of the finished model's matrices"},
});
// clang-format on

}  // namespace

std::span<const SettingRow> recipe_rows() { return kRows; }

Result<BaseRecipe> parse_base_recipe(std::string_view text, const std::string& path) {
  AC_TRY(const IniTable table, IniTable::parse(kRows, text, path));
  const auto narrow = [&table](std::string_view name) {
    return static_cast<int32_t>(table.integer(name));
  };
  const auto number = [&table](std::string_view name) {
    return static_cast<float>(table.number(name));
  };
  BaseRecipe recipe;
  recipe.model = {.name = table.text("model.name"),
                  .d_model = narrow("model.d_model"),
                  .n_layers = narrow("model.layers"),
                  .n_heads = narrow("model.heads"),
                  .n_kv_heads = narrow("model.kv_heads"),
                  .d_ff = narrow("model.d_ff"),
                  .context = narrow("model.context"),
                  .rope_base = table.number("model.rope_base")};
  const BaseRecipe::ModelShape& model = recipe.model;
  if (model.d_model % model.n_heads != 0 || model.d_model / model.n_heads % 2 != 0) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: d_model is {} with {} heads, expected a multiple with an even quotient", path,
                model.d_model, model.n_heads);
  }
  if (model.n_heads % model.n_kv_heads != 0) {
    return fail(ErrorCode::kInvalidArgument, "{}: kv_heads is {}, expected a divisor of {} heads",
                path, model.n_kv_heads, model.n_heads);
  }
  recipe.start_path = table.text("model.start");
  recipe.n_vocab = narrow("tokenizer.vocab");
  recipe.tokenizer_bytes = table.integer("tokenizer.sample_mb") * 1000 * 1000;
  recipe.first_letters = table.yes("tokenizer.first_letters");
  recipe.relearn = table.yes("tokenizer.relearn");
  if (recipe.relearn && recipe.start_path.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: tokenizer.relearn is yes without a model.start to take embeddings from", path);
  }
  recipe.text_path = table.text("data.text");
  recipe.tasks = {.kinds = {table.number("data.citation"), table.number("data.data_to_text"),
                            table.number("data.review"), table.number("data.hypothesis")},
                  .workflows = table.number("data.workflows"),
                  .respelled = table.number("data.respelled"),
                  .differences = table.number("data.differences"),
                  .lists = table.number("data.lists"),
                  .shortest = table.number("data.shortest"),
                  .longest = table.number("data.longest")};
  if (recipe.tasks.shortest + recipe.tasks.longest > 1) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: data.shortest {} and data.longest {} are shares of the same tasks, expected at "
                "most 1 together",
                path, recipe.tasks.shortest, recipe.tasks.longest);
  }
  if (std::ranges::all_of(recipe.tasks.kinds, [](double counts) { return counts == 0; })) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: every kind of task counts 0 in [data], expected one that counts more", path);
  }
  recipe.n_steps = table.integer("train.steps");
  recipe.tokens_per_step = table.integer("train.tokens_per_step");
  recipe.tokens_per_pack = narrow("train.tokens_per_pack");
  if (recipe.tokens_per_pack < model.context) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: tokens_per_pack is {}, expected at least the context, {}", path,
                recipe.tokens_per_pack, model.context);
  }
  recipe.warm_up_steps = table.integer("train.warm_up");
  recipe.learning_rate = number("train.learning_rate");
  recipe.last_rate = number("train.last_rate");
  recipe.prompt_weight = number("train.prompt_weight");
  recipe.clip_length = number("train.clip");
  recipe.average_steps = table.integer("train.average");
  recipe.adamw = {.beta1 = number("train.beta1"),
                  .beta2 = number("train.beta2"),
                  .weight_decay = number("train.weight_decay")};
  if (table.text("train.optimizer") == "muon") {
    recipe.muon = {.beta = number("train.muon_beta"), .weight_decay = recipe.adamw.weight_decay};
  }
  recipe.seed = static_cast<uint64_t>(table.integer("train.seed"));
  recipe.evaluate_every = table.integer("watch.evaluate_every");
  recipe.evaluate_tokens = table.integer("watch.evaluate_tokens");
  recipe.checkpoint_minutes = table.number("watch.checkpoint_minutes");
  const std::string& moments = table.text("watch.checkpoint_format");
  recipe.checkpoint_format = moments == "f32"    ? MomentFormat::kF32
                             : moments == "bf16" ? MomentFormat::kBF16
                                                 : MomentFormat::kSmall;
  recipe.format = table.text("out.format") == "f32" ? WeightFormat::kF32 : WeightFormat::kBF16;
  recipe.canonical = table.canonical();
  for (const SettingRow& row : kRows) {
    const bool fixed = (row.section == "model" && row.key != "start") || row.section == "tokenizer" ||
                       row.key == "optimizer" || row.key == "checkpoint_format";
    const std::string name = setting_name(row);
    if (fixed) recipe.fixed += fmt::format("{} = {}\n", name, table.text(name));
  }
  return recipe;
}

std::string changed_values(std::string_view before, std::string_view now) {
  const auto lines_of = [](std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
      lines.push_back(text.substr(0, text.find('\n')));
      text.remove_prefix(std::min(text.size(), lines.back().size() + 1));
    }
    return lines;
  };
  const std::vector<std::string_view> old = lines_of(before);
  std::string changed;
  for (const std::string_view line : lines_of(now)) {
    if (std::ranges::find(old, line) != old.end()) continue;
    changed += fmt::format("{}{}", changed.empty() ? "" : "; ", line);
  }
  return changed;
}

Result<BaseRecipe> read_base_recipe(const std::string& path) {
  AC_TRY(const std::string text, read_file(path, kRecipeBytes));
  return parse_base_recipe(text, path);
}

}  // namespace ac
