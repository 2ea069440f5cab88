// Local variants as the router needs them: a list, a way to load one, and a cache of the loaded.
//
// VariantSource is a seam: a zoo, a single file, or a test's fake.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/store/zoo.h"
#include "runtime/engine/model_text.h"
#include "runtime/engine/session.h"
#include "runtime/route/policy.h"

namespace ac {

struct LocalVariant {
  VariantCost cost;  // id, bit-operations per token, context: what the policy wants to know
  uint64_t memory_bytes = 0;  // of its weights, what the cache counts
  // Variants of one nested file differ in their level only, and one engine answers for all of them.
  std::string weights = {};  // the file; empty: its own
  std::optional<int32_t> level = std::nullopt;
};

class VariantSource {
 public:
  virtual ~VariantSource() = default;
  virtual std::span<const LocalVariant> variants() const = 0;
  // Errors: kNotFound, kCorruptFile, kOutOfMemory and those of Engine::load.
  virtual Result<std::unique_ptr<Engine>> load(std::string_view id) const = 0;
  // Whether a variant that was let go of can be loaded again.
  virtual bool loads_again() const { return true; }
  // How the variants turn text to tokens: one way for all of them. Needs no weights. Errors: as
  // load().
  virtual Result<ModelText> load_text() const = 0;
};

// Every variant of a zoo; `options` are those of each engine.
std::unique_ptr<VariantSource> variants_of_zoo(std::shared_ptr<const Zoo> zoo,
                                               EngineOptions options);
// One model outside any zoo (`--model FILE`). Loads once: after it, load and load_text are
// kInvalidArgument, since the checkpoint has moved into the engine.
Result<std::unique_ptr<VariantSource>> variant_of_checkpoint(std::string id, Checkpoint checkpoint,
                                                             EngineOptions options);

// Loads on demand and keeps the engines last used. Not thread-safe.
class VariantCache {
 public:
  // budget_bytes 0: no limit of its own. Where a load fails for want of memory, everything else is
  // let go and the load is tried once more.
  VariantCache(std::unique_ptr<VariantSource> source, uint64_t budget_bytes);

  std::span<const LocalVariant> variants() const { return source_->variants(); }
  // The pointer is valid until the next call. Errors: those of VariantSource::load.
  Result<Engine*> get(std::string_view id);
  std::vector<std::string> loaded() const;  // last used first
  // Whether the budget has room for both at once: taking turns with the memory costs more than a
  // cheaper answer saves. Thread-safe.
  bool hold_together(std::string_view one, std::string_view other) const;
  // False: the variant was not loaded, or cannot be loaded again.
  bool drop(std::string_view id);
  // The tokens of a conversation, or of text to continue. Loads no weights. Errors: those of
  // VariantSource::load_text and ModelText::tokens_of_chat.
  Result<int64_t> count_tokens(const std::vector<ChatMessage>& messages);
  Result<int64_t> count_tokens(std::string_view raw_prompt);

 private:
  struct Entry {
    std::string id;       // of the variant last asked for
    std::string weights;  // LocalVariant's, or its id
    uint64_t memory_bytes = 0;
    std::unique_ptr<Engine> engine;
  };
  void make_room(uint64_t bytes);
  Result<const ModelText*> text();

  std::unique_ptr<VariantSource> source_;
  uint64_t budget_bytes_;
  std::list<Entry> entries_;               // last used first
  std::optional<Result<ModelText>> text_;  // read when it is first needed
};

}  // namespace ac
