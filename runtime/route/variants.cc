#include "runtime/route/variants.h"

#include <algorithm>
#include <map>

namespace ac {
namespace {

// Bit-operations per token: a 16-bit weight counts as one whole.
double cost_of(uint64_t macs_per_token, uint64_t weight_bytes, uint64_t parameters) {
  if (parameters == 0) return 0;
  const double bits_per_weight =
      8 * static_cast<double>(weight_bytes) / static_cast<double>(parameters);
  return static_cast<double>(macs_per_token) * bits_per_weight / 16;
}

class ZooVariants final : public VariantSource {
 public:
  ZooVariants(std::shared_ptr<const Zoo> zoo, EngineOptions options)
      : zoo_(std::move(zoo)), options_(std::move(options)) {
    const ZooManifest& manifest = zoo_->manifest();
    for (const ZooVariant& variant : manifest.variants) {
      variants_.push_back({.cost = {.id = variant.id,
                                    .cost = cost_of(variant.macs_per_token, variant.weight_bytes,
                                                    variant.parameters),
                                    .n_context = context_of(options_, manifest.n_context)},
                           .memory_bytes = variant.weight_bytes,
                           .weights = variant.member,
                           .level = variant.level});
    }
  }

  std::span<const LocalVariant> variants() const override { return variants_; }

  Result<std::unique_ptr<Engine>> load(std::string_view id) const override {
    Result<std::unique_ptr<Engine>> engine = load_with(id, options_);
    if (engine || engine.error().code != ErrorCode::kOutOfMemory || options_.n_slots == 1) {
      return engine;
    }
    // One answer at a time is better than none.
    EngineOptions small = options_;
    small.n_slots = 1;
    return load_with(id, small);
  }

  Result<ModelText> load_text() const override {
    if (variants_.empty()) return fail(ErrorCode::kNotFound, "{}: no variants", zoo_->path());
    AC_TRY(const Checkpoint checkpoint, zoo_->open_variant(variants_.front().cost.id));
    return ModelText::create(checkpoint);
  }

 private:
  Result<std::unique_ptr<Engine>> load_with(std::string_view id,
                                            const EngineOptions& options) const {
    // The weights are hashed on another thread while the engine reads them.
    AC_TRY(UncheckedVariant variant, zoo_->open_variant_unchecked(id));
    Result<std::unique_ptr<Engine>> engine = Engine::load(std::move(variant.checkpoint), options);
    if (Status status = variant.check->wait(); !status.has_value()) return status.error();
    return engine;
  }

  std::shared_ptr<const Zoo> zoo_;
  EngineOptions options_;
  std::vector<LocalVariant> variants_;
};

class SingleVariant final : public VariantSource {
 public:
  SingleVariant(LocalVariant variant, Checkpoint checkpoint, EngineOptions options)
      : variant_(std::move(variant)),
        checkpoint_(std::move(checkpoint)),
        options_(std::move(options)) {}

  std::span<const LocalVariant> variants() const override { return {&variant_, 1}; }
  bool loads_again() const override { return false; }

  Result<std::unique_ptr<Engine>> load(std::string_view id) const override {
    if (id != variant_.cost.id) {
      return fail(ErrorCode::kNotFound, "no variant '{}'; there is only '{}'", id,
                  variant_.cost.id);
    }
    AC_TRY_STATUS(still_here());
    Checkpoint checkpoint = std::move(*checkpoint_);
    checkpoint_.reset();
    return Engine::load(std::move(checkpoint), options_);
  }

  Result<ModelText> load_text() const override {
    AC_TRY_STATUS(still_here());
    return ModelText::create(*checkpoint_);
  }

 private:
  Status still_here() const {
    if (checkpoint_.has_value()) return {};
    return fail(ErrorCode::kInvalidArgument, "'{}' has been loaded already", variant_.cost.id);
  }

  LocalVariant variant_;
  mutable std::optional<Checkpoint> checkpoint_;  // until it moves into the engine
  EngineOptions options_;
};

}  // namespace

std::unique_ptr<VariantSource> variants_of_zoo(std::shared_ptr<const Zoo> zoo,
                                               EngineOptions options) {
  return std::make_unique<ZooVariants>(std::move(zoo), std::move(options));
}

Result<std::unique_ptr<VariantSource>> variant_of_checkpoint(std::string id, Checkpoint checkpoint,
                                                             EngineOptions options) {
  AC_TRY(const ModelCost cost, model_cost(checkpoint));
  AC_TRY(const ModelConfig config, read_model_config(checkpoint));
  LocalVariant variant{
      .cost = {.id = std::move(id),
               .cost = cost_of(cost.macs_per_token, cost.weight_bytes, cost.parameters),
               .n_context = context_of(options, config.n_context)},
      .memory_bytes = cost.weight_bytes};
  return std::unique_ptr<VariantSource>(std::make_unique<SingleVariant>(
      std::move(variant), std::move(checkpoint), std::move(options)));
}

VariantCache::VariantCache(std::unique_ptr<VariantSource> source, uint64_t budget_bytes)
    : source_(std::move(source)), budget_bytes_(budget_bytes) {}

// Lets go of the least recently used until `bytes` more keep within the budget.
void VariantCache::make_room(uint64_t bytes) {
  if (budget_bytes_ == 0) return;
  uint64_t used = 0;
  for (const Entry& entry : entries_) used += entry.memory_bytes;
  while (!entries_.empty() && (bytes > budget_bytes_ || used > budget_bytes_ - bytes)) {
    used -= entries_.back().memory_bytes;
    entries_.pop_back();
  }
}

bool VariantCache::hold_together(std::string_view one, std::string_view other) const {
  std::map<std::string_view, uint64_t> needed;  // by file
  for (const LocalVariant& variant : source_->variants()) {
    if (variant.cost.id != one && variant.cost.id != other) continue;
    uint64_t& bytes = needed[variant.weights.empty() ? variant.cost.id : variant.weights];
    bytes = std::max(bytes, variant.memory_bytes);
  }
  uint64_t all = 0;
  for (const auto& [file, bytes] : needed) all += bytes;
  return budget_bytes_ == 0 || all <= budget_bytes_;
}

Result<Engine*> VariantCache::get(std::string_view id) {
  LocalVariant wanted;
  for (const LocalVariant& variant : source_->variants()) {
    if (variant.cost.id == id) wanted = variant;
  }
  const std::string weights = wanted.weights.empty() ? std::string(id) : wanted.weights;
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.weights == weights; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    Entry& entry = entries_.front();
    if (wanted.level) AC_TRY_STATUS(entry.engine->set_level(*wanted.level));
    entry.id = id;
    entry.memory_bytes = std::max(entry.memory_bytes, wanted.memory_bytes);
    return entry.engine.get();
  }
  make_room(wanted.memory_bytes);
  Result<std::unique_ptr<Engine>> engine = source_->load(id);
  if (!engine.has_value() && engine.error().code == ErrorCode::kOutOfMemory && !entries_.empty()) {
    entries_.clear();
    engine = source_->load(id);
  }
  if (!engine.has_value()) return engine.error();
  entries_.push_front({std::string(id), weights, wanted.memory_bytes, std::move(*engine)});
  return entries_.front().engine.get();
}

Result<const ModelText*> VariantCache::text() {
  if (!text_.has_value()) text_ = source_->load_text();
  if (!text_->has_value()) return text_->error();
  return &**text_;
}

Result<int64_t> VariantCache::count_tokens(const std::vector<ChatMessage>& messages) {
  std::vector<int32_t> tokens;
  if (!entries_.empty()) {
    AC_TRY(tokens, entries_.front().engine->tokens_of_chat(messages));
  } else {
    AC_TRY(const ModelText* reads, text());
    AC_TRY(tokens, reads->tokens_of_chat(messages));
  }
  return static_cast<int64_t>(tokens.size());
}

Result<int64_t> VariantCache::count_tokens(std::string_view raw_prompt) {
  if (!entries_.empty()) {
    return static_cast<int64_t>(entries_.front().engine->tokens_of_text(raw_prompt).size());
  }
  AC_TRY(const ModelText* reads, text());
  return static_cast<int64_t>(reads->tokens_of_text(raw_prompt).size());
}

bool VariantCache::drop(std::string_view id) {
  if (!source_->loads_again()) return false;
  return entries_.remove_if([id](const Entry& entry) { return entry.id == id; }) > 0;
}

std::vector<std::string> VariantCache::loaded() const {
  std::vector<std::string> out;
  for (const Entry& entry : entries_) out.push_back(entry.id);
  return out;
}

}  // namespace ac
