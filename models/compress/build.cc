#include "models/compress/build.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "models/compress/calibration.h"
#include "models/compress/measure.h"
#include "models/compress/recipe.h"
#include "models/compress/requantize.h"
#include "models/compress/tensor_values.h"
#include "models/compress/zoo_parts.h"
#include "models/store/gguf.h"
#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr uint64_t kStepsPerVariant = 1000;
constexpr int kTimedRounds = 3;
constexpr uint64_t kMaxFactsBytes = 4u << 20;

struct Texts {
  TokenWindows calibration;
  TokenWindows held_out;
  TokenWindows recovery;      // empty where no technique learns
  std::string recovery_line;  // as in `lines`
  std::vector<std::string> lines;  // for the manifest
  uint64_t hash = 0;
};

std::string text_line(std::string_view what, const std::string& path,
                      const std::vector<TextDocument>& documents, const TokenWindows& windows,
                      int32_t window) {
  return fmt::format("{} text={} documents={} tokens={} window={} xxh3={:016x}", what,
                     base_name(path), documents.size(), windows.tokens.size(), window,
                     hash_of(documents));
}

Result<Texts> read_texts(const BuildOptions& options, const Recipe& recipe,
                         const ModelConfig& config, const Tokenizer& tokenizer,
                         std::string_view chat_template) {
  AC_TRY(std::vector<TextDocument> documents, read_documents(options.calibration_path));
  SplitText split;
  std::string judge = options.held_out_path;
  if (judge.empty()) {
    split = split_held_out(std::move(documents));
    judge = options.calibration_path;
  } else {
    split.calibration = std::move(documents);
    AC_TRY(split.held_out, read_documents(judge));
    AC_TRY_STATUS(check_apart(split.calibration, split.held_out));
  }
  const int32_t window = std::max(2, std::min(recipe.window, config.n_context));
  Texts texts;
  const auto pack = [&](std::span<const TextDocument> from, size_t max_tokens) {
    return pack_documents(from, tokenizer, chat_template, window, max_tokens);
  };
  AC_TRY(texts.calibration, pack(split.calibration, recipe.calibrate_tokens));
  AC_TRY(texts.held_out, pack(split.held_out, recipe.measure_tokens));
  const auto any_technique = [&](bool (Technique::*asks)() const) {
    return std::any_of(recipe.variants.begin(), recipe.variants.end(), [&](const auto& variant) {
      return std::any_of(variant.chain.begin(), variant.chain.end(),
                         [&](const auto& technique) { return ((*technique).*asks)(); });
    });
  };
  if (any_technique(&Technique::needs_calibration)) {
    const size_t limit = recipe.calibrate_tokens;
    if (Status status = check_enough_tokens(config, texts.calibration.tokens.size()); !status) {
      const bool cut = texts.calibration.tokens.size() + static_cast<size_t>(window) > limit;
      return with_context(status.error(), cut ? fmt::format("{}: [calibrate] tokens = {}",
                                                            options.recipe_path, limit)
                                              : options.calibration_path);
    }
  }
  if (texts.held_out.tokens.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: no held-out text: expected at least 10 documents, separated by blank lines",
                judge);
  }
  texts.lines = {text_line("calibrate", options.calibration_path, split.calibration,
                           texts.calibration, window),
                 text_line("measure", judge, split.held_out, texts.held_out, window)};
  texts.hash = hash_of(split.calibration);
  if (any_technique(&Technique::learns)) {
    AC_TRY(texts.recovery, pack(split.calibration, recipe.recover_tokens));
    texts.recovery_line = text_line("recover", options.calibration_path, split.calibration,
                                    texts.recovery, window);
    texts.lines.push_back(texts.recovery_line);
  }
  return texts;
}

// Finished weights, and the variants that they are: one, or one for each level.
struct Made {
  std::vector<ZooVariant> variants;
  std::string member;
  std::string weights_file;  // in the folder
  Checkpoint weights;
};

class Builder {
 public:
  Builder(const BuildOptions& options, const Recipe& recipe, std::shared_ptr<const Checkpoint> base,
          const Texts& texts, const BuildFolder& folder)
      : options_(options),
        recipe_(recipe),
        base_(std::move(base)),
        texts_(texts),
        folder_(folder),
        team_({.n_threads = options.n_threads}) {}

  Result<std::vector<Made>> run() {
    AC_TRY_STATUS(check_weights(*base_, team_));
    base_key_ = derived_key(fmt::format("{:016x}", fingerprint(*base_)),
                            fmt::format("{:016x} {}", texts_.hash, texts_.lines[0]));
    std::vector<Made> all;
    for (const RecipeVariant& variant : recipe_.variants) {
      begin_ = all.size() * kStepsPerVariant;
      auto made = make(variant);
      if (!made) return with_context(made.error(), fmt::format("variant '{}'", variant.id));
      all.push_back(std::move(*made));
    }
    AC_TRY_STATUS(measure_times(&all));
    report(recipe_.variants.size() * kStepsPerVariant, "writing the zoo");
    return all;
  }

 private:
  void report(uint64_t done, std::string_view note) const {
    if (options_.progress) {
      options_.progress(done, recipe_.variants.size() * kStepsPerVariant, note);
    }
  }

  // What `technique` makes of what `key` stands for, with all the text that it reads.
  std::string next_key(std::string_view key, const Technique& technique) const {
    return derived_key(key, technique.learns() ? technique.text() + "\n" + texts_.recovery_line
                                               : technique.text());
  }

  Result<Made> make(const RecipeVariant& recipe) {
    std::string key = base_key_;
    for (const auto& technique : recipe.chain) key = next_key(key, *technique);
    const std::string name =
        derived_key(key, recipe.id + texts_.lines[1] + options_.score_text);
    const std::string weights_file = name + "-variant.gguf";
    std::vector<Wanted> wanted;
    for (const int32_t level : recipe.levels()) {
      wanted.push_back(
          {level_id(recipe.id, level), level, fmt::format("{}-level{:03}.json", name, level)});
    }
    if (wanted.empty()) wanted.push_back({recipe.id, std::nullopt, name + "-variant.json"});

    bool done = folder_.has(weights_file);
    for (const Wanted& one : wanted) done = done && folder_.has(one.facts_file);
    Made made;
    made.member = fmt::format("variants/{}.gguf", recipe.id);
    if (!done) AC_TRY_STATUS(make_and_keep(recipe, made.member, weights_file, wanted));
    AC_TRY(made.weights, folder_.load(weights_file));
    made.weights_file = weights_file;
    for (const Wanted& one : wanted) {
      AC_TRY(const std::string facts,
             read_file(folder_.path() + "/" + one.facts_file, kMaxFactsBytes));
      AC_TRY(ZooVariant variant, variant_from_json(facts));
      made.variants.push_back(std::move(variant));
    }
    return made;
  }

  // A variant that the weights of a recipe's section are, and where its facts are kept.
  struct Wanted {
    std::string id;
    std::optional<int32_t> level;
    std::string facts_file;
  };

  Status make_and_keep(const RecipeVariant& recipe, const std::string& member,
                       const std::string& weights_file, std::span<const Wanted> wanted) {
    AC_TRY(const StageResult made, apply_chain(recipe));
    if (!folder_.has(weights_file)) {
      AC_TRY(const ModelConfig config, read_model_config(made.checkpoint));
      RequantizeOptions layout;
      layout.may_pack = [&](std::string_view name, const TensorView& view) {
        return may_pack(config, name, view);
      };
      AC_TRY(Requantized packed, requantize(made.checkpoint, std::nullopt, team_, layout));
      remove_tokenizer(packed.checkpoint);
      AC_TRY_STATUS(folder_.store(weights_file, packed.checkpoint));
    }
    for (const Wanted& one : wanted) {
      if (folder_.has(one.facts_file)) continue;
      const uint64_t steps = recipe.chain.size() + 1;
      report(begin_ + kStepsPerVariant * (steps - 1) / steps, fmt::format("{}: measuring", one.id));
      AC_TRY(Checkpoint weights, folder_.load(weights_file));
      if (one.level) AC_TRY_STATUS(set_checkpoint_level(weights, *one.level));
      AC_TRY(ZooVariant variant, measured(one.id, weights));
      variant.member = member;
      for (const auto& technique : recipe.chain) variant.techniques.push_back(technique->text());
      variant.notes = made.notes;
      AC_TRY_STATUS(write_file(folder_.path() + "/" + one.facts_file, variant_to_json(variant)));
    }
    return {};
  }

  // What the techniques make of the base, one after the other, and all their notes.
  Result<StageResult> apply_chain(const RecipeVariant& recipe) {
    std::shared_ptr<const Checkpoint> from = base_;
    std::string key = base_key_;
    StageResult made;
    const uint64_t steps = recipe.chain.size() + 1;
    for (size_t i = 0; i < recipe.chain.size(); ++i) {
      const Technique& technique = *recipe.chain[i];
      const std::string made_key = next_key(key, technique);
      const auto progress = [&, i](uint64_t done, uint64_t total, std::string_view note) {
        const double part =
            static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(1, total));
        report(begin_ + static_cast<uint64_t>((static_cast<double>(i) + part) *
                                              static_cast<double>(kStepsPerVariant / steps)),
               fmt::format("{}: {}: {}", recipe.id, technique.name(), note));
      };
      const Stage stage(
          {.base = base_,
           .from = from,
           .folder = &folder_,
           .from_key = key,
           .key = made_key,
           .team = &team_,
           .moments = [&](int32_t layer) { return moments(*from, key, layer, progress); },
           .calibration = &texts_.calibration,
           .recovery = &texts_.recovery,
           .progress = progress});
      AC_TRY(StageResult result, technique.apply(stage));
      made.notes.insert(made.notes.end(), result.notes.begin(), result.notes.end());
      from = std::make_shared<const Checkpoint>(std::move(result.checkpoint));
      key = made_key;
    }
    made.checkpoint = assemble(from, {});
    return made;
  }

  // All variants in turn, round after round, and of each the best: a machine that is slow for a while is slow
  // for all of them, and what one of them costs is read beside the others.
  Status measure_times(std::vector<Made>* all) const {
    for (int round = 0; round < kTimedRounds; ++round) {
      report(recipe_.variants.size() * kStepsPerVariant,
             fmt::format("timing all variants, round {} of {}", round + 1, kTimedRounds));
      for (Made& made : *all) {
        for (ZooVariant& variant : made.variants) {
          AC_TRY(Checkpoint weights, folder_.load(made.weights_file));
          if (variant.level) AC_TRY_STATUS(set_checkpoint_level(weights, *variant.level));
          AC_TRY(const double ms, measure_ms_per_token(weights, options_.n_threads));
          variant.ms_per_token = round == 0 ? ms : std::min(variant.ms_per_token, ms);
        }
      }
    }
    return {};
  }

  Result<ZooVariant> measured(const std::string& id, const Checkpoint& weights) {
    AC_TRY(ZooVariant variant, describe_variant(id, weights));
    AC_TRY(const Quality quality,
           measure_quality(*base_, weights, texts_.held_out, {.n_threads = options_.n_threads}));
    variant.quality = VariantQuality{.n_tokens = quality.n_tokens,
                                     .perplexity = quality.perplexity,
                                     .base_perplexity = quality.base_perplexity,
                                     .kl_mean = quality.kl_mean,
                                     .kl_median = quality.kl_median,
                                     .kl_99 = quality.kl_99,
                                     .same_top1 = quality.same_top1};
    if (options_.score) {
      AC_TRY(variant.success, options_.score(with_tokenizer(weights, *base_)));
    }
    return variant;
  }

  // Moments of a layer of `from`: from the folder, or from one pass that leaves those of all layers
  // there.
  template <class ProgressOf>
  Result<LayerMoments> moments(const Checkpoint& from, const std::string& key, int32_t layer,
                               const ProgressOf& progress) {
    const auto file = [&](int32_t one) { return fmt::format("{}-moments{:03}.gguf", key, one); };
    if (!folder_.has(file(layer))) {
      AC_TRY_STATUS(calibrate(
          from, texts_.calibration,
          {.n_threads = options_.n_threads,
           .has = [&](int32_t one) { return folder_.has(file(one)); },
           .keep = [&](int32_t one, LayerMoments found) -> Status {
             AC_TRY(const Checkpoint to, moments_to_checkpoint(found));
             AC_TRY_STATUS(folder_.store(file(one), to));
             return {};
           },
           .progress =
               [&](int32_t done, int32_t n_layers) {
                 progress(0, 1, fmt::format("calibrating, layer {} of {}", done, n_layers));
               }}));
    }
    AC_TRY(const Checkpoint stored, folder_.load(file(layer)));
    return moments_from_checkpoint(stored);
  }

  const BuildOptions& options_;
  const Recipe& recipe_;
  std::shared_ptr<const Checkpoint> base_;
  const Texts& texts_;
  const BuildFolder& folder_;
  cpu::ThreadTeam team_;
  std::string base_key_;
  uint64_t begin_ = 0;
};

}  // namespace

Result<PackReport> build_zoo(const BuildOptions& options) {
  AC_TRY(const Recipe recipe, read_recipe(options.recipe_path));
  AC_TRY(Checkpoint opened, open_checkpoint(options.base_path));
  const auto base = std::make_shared<const Checkpoint>(std::move(opened));
  AC_TRY_STATUS(check_one_precision(*base));
  AC_TRY(const ModelConfig config, read_model_config(*base));
  AC_TRY(const ModelCost cost, model_cost(*base));  // every tensor is there and has its shape
  AC_CHECK(cost.parameters > 0);
  auto tokenizer = Tokenizer::from_checkpoint(*base);
  if (!tokenizer) return with_context(tokenizer.error(), options.base_path);
  AC_TRY(const std::string_view chat_template,
         base->get_string_or("tokenizer.chat_template", ""));
  AC_TRY(const Texts texts, read_texts(options, recipe, config, **tokenizer, chat_template));
  AC_TRY(const BuildFolder folder, BuildFolder::open(options.zoo_path + ".build"));
  AC_TRY(const std::vector<Made> made, Builder(options, recipe, base, texts, folder).run());

  ZooDraft draft;
  draft.manifest.base = base_name(options.base_path);
  draft.manifest.architecture = config.architecture;
  draft.manifest.n_context = config.n_context;
  draft.manifest.recipe = texts.lines;
  if (!options.score_text.empty()) draft.manifest.recipe.push_back(options.score_text);
  const Checkpoint tokens = tokenizer_of(*base);
  draft.members.push_back({.name = "tokenizer.gguf", .checkpoint = &tokens, .bytes = {}});
  for (const Made& one : made) {
    draft.manifest.variants.insert(draft.manifest.variants.end(), one.variants.begin(),
                                   one.variants.end());
    draft.members.push_back({.name = one.member, .checkpoint = &one.weights, .bytes = {}});
  }
  AC_TRY(PackReport report, write_and_report(options.zoo_path, draft));
  AC_TRY_STATUS(folder.remove());
  return report;
}

}  // namespace ac
