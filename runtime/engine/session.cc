#include "runtime/engine/session.h"

#include <tbb/task_group.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/core/log.h"
#include "runtime/core/memory.h"
#include "runtime/engine/backends.h"
#include "runtime/engine/engine_impl.h"
#include "runtime/engine/memory.h"

namespace ac {
namespace {

constexpr int32_t kMaxSlots = 256;
// Rows of logits that are computed at once when all positions are wanted; bounds their memory.
constexpr size_t kLogitRows = 32;

}  // namespace

Status check_option(std::string_view name, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return {};
  return fail(ErrorCode::kInvalidArgument, "{} is {}, expected {} to {}", name, value, min, max);
}

// --- loading ------------------------------------------------------------------------------------

Status EngineImpl::load() {
  AC_TRY_STATUS(check_option("the context", options_.n_context, 0, kMaxContext));
  AC_TRY_STATUS(check_option("the number of slots", options_.n_slots, 1, kMaxSlots));
  AC_TRY_STATUS(check_option("the prefill chunk", options_.prefill_chunk, 1, 1 << 16));
  if (options_.level) AC_TRY_STATUS(set_checkpoint_level(checkpoint_, *options_.level));
  AC_TRY(const ModelConfig config, read_model_config(checkpoint_));
  n_context_ = context_of(options_, config.n_context);
  if (n_context_ > config.n_context) {
    log_warning("{}: a context of {} tokens; the model was trained on {}", checkpoint_.origin,
                n_context_, config.n_context);
  }
  options_.prefill_chunk = std::min(options_.prefill_chunk, n_context_);

  // The vocabulary is read while the backend arranges the weights.
  std::optional<Result<ModelText>> text;
  tbb::task_group beside;
  beside.run([&] { text = ModelText::create(checkpoint_); });
  Status arranged = arrange_model();
  if (!arranged && go_on_elsewhere(arranged.error())) arranged = {};
  beside.wait();
  AC_TRY_STATUS(arranged);
  AC_TRY(ModelText reads, std::move(*text));
  text_ = std::make_shared<const ModelText>(std::move(reads));
  if (tokenizer().n_vocab() > model_.config.n_vocab) {
    return fail(ErrorCode::kCorruptFile, "{}: the tokenizer has {} tokens, the model {}",
                checkpoint_.origin, tokenizer().n_vocab(), model_.config.n_vocab);
  }
  level_ = model_.nested.level;
  slots_.resize(static_cast<size_t>(options_.n_slots));
  return {};
}

Status EngineImpl::check_fits() const {
  AC_TRY(const ModelConfig config, read_model_config(checkpoint_));
  const MemoryPlan plan =
      plan_memory(checkpoint_, config,
                  config.kv_shape(options_.n_slots, n_context_, options_.kv_format),
                  options_.prefill_chunk, *backend_);
  const uint64_t allowed = options_.memory_limit_bytes;
  if (const auto own = backend_->memory_free()) {
    return check_memory(plan, allowed > 0 ? std::min(allowed, *own) : *own, checkpoint_.origin);
  }
  return check_memory(plan, allowed > 0 ? allowed : available_memory_bytes(), checkpoint_.origin);
}

// Weights and an empty cache to the backend.
Status EngineImpl::arrange_model() {
  AC_TRY_STATUS(check_fits());
  AC_TRY(model_, load_model(checkpoint_, *backend_, {.n_context = n_context_}));
  applied_level_ = model_.nested.level;
  return backend_->create_kv(
      model_.config.kv_shape(options_.n_slots, n_context_, options_.kv_format));
}

// --- precision ----------------------------------------------------------------------------------

Status EngineImpl::set_level(int32_t level) {
  AC_TRY_STATUS(check_level(checkpoint_.origin, has_levels(), level));
  level_ = level;
  return {};
}

void EngineImpl::apply_level(int32_t level) {
  if (level == applied_level_ || backend_ == nullptr) return;
  ac::set_level(*backend_, model_, level);
  applied_level_ = level;
}

// --- steps --------------------------------------------------------------------------------------

Status EngineImpl::check_tokens(std::span<const int32_t> tokens) const {
  if (tokens.empty()) return fail(ErrorCode::kInvalidArgument, "a prompt without tokens");
  for (int32_t token : tokens) {
    if (token < 0 || token >= model_.config.n_vocab) {
      return fail(ErrorCode::kInvalidArgument, "token {} is outside the vocabulary of {}", token,
                  model_.config.n_vocab);
    }
  }
  return {};
}

Result<std::span<const float>> EngineImpl::run_step(std::vector<float>* hidden) {
  if (backend_ == nullptr) return *lost_;
  backend_->begin_step(
      {.tokens = step_.tokens, .positions = step_.positions, .slots = step_.slots});
  Value last;
  const Value out = forward(*backend_, model_, step_.logit_rows, &last);
  AC_TRY_STATUS(backend_->end_step());
  if (step_.logit_rows.empty()) return std::span<const float>();
  // A backend may read into one place.
  if (hidden != nullptr) {
    const std::span<const float> rows = backend_->read(last);
    hidden->assign(rows.begin(), rows.end());
  }
  return backend_->read(out);
}

// Another backend takes over where this one has failed: with the tokens that there are, and an empty cache.
bool EngineImpl::go_on_elsewhere(const Error& error) {
  if (!options_.fall_back) return false;
  log_warning("{} on the backend '{}'; going on without it", error.message, backend_->name());
  const auto make = std::exchange(options_.fall_back, nullptr);
  model_ = Model();
  backend_.reset();
  auto backend = make();
  if (backend) backend_ = std::move(*backend);
  const Status ready = backend ? arrange_model() : backend.error();
  for (Slot& slot : slots_) slot.tokens.clear();
  if (ready) return true;
  log_warning("{} on another backend, too", ready.error().message);
  backend_.reset();
  lost_ = ready.error();
  return false;
}

void EngineImpl::forget_all() {
  for (Slot& slot : slots_) slot = Slot{};
}

Status EngineImpl::walk(std::span<const int32_t> tokens, const std::function<void()>& begin,
                        const Walk& visit) {
  begin();
  const Status walked = walk_once(tokens, visit);
  if (walked || walked.error().code == ErrorCode::kInvalidArgument ||
      walked.error().code == ErrorCode::kContextFull) {
    return walked;
  }
  forget_all();
  if (!go_on_elsewhere(walked.error())) return walked;
  begin();
  return walk_once(tokens, visit);
}

Status EngineImpl::walk_once(std::span<const int32_t> tokens, const Walk& visit) {
  AC_TRY_STATUS(check_tokens(tokens));
  if (tokens.size() > static_cast<size_t>(n_context_)) {
    return fail(ErrorCode::kContextFull, "{} tokens exceed the context of {}", tokens.size(),
                n_context_);
  }
  std::vector<int32_t>& held = slots_[0].tokens;
  held.clear();
  apply_level(level_);
  const size_t chunk = std::min(kLogitRows, static_cast<size_t>(options_.prefill_chunk));
  while (held.size() < tokens.size()) {
    const size_t begin = held.size();
    const size_t end = std::min(tokens.size(), begin + chunk);
    step_.clear();
    step_.append(tokens, begin, end, 0);
    step_.logit_rows.resize(end - begin);
    std::iota(step_.logit_rows.begin(), step_.logit_rows.end(), 0);
    AC_TRY(const std::span<const float> rows, run_step(&hidden_));
    visit(rows, hidden_);
    held.assign(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(end));
  }
  return {};
}

Result<std::vector<float>> EngineImpl::logits(std::span<const int32_t> tokens) {
  const auto n_vocab = static_cast<size_t>(model_.config.n_vocab);
  const uint64_t bytes = uint64_t{tokens.size()} * n_vocab * sizeof(float);
  if (bytes > available_memory_bytes()) {
    return fail(ErrorCode::kOutOfMemory, "logits of {} positions take {} bytes", tokens.size(),
                bytes);
  }
  std::vector<float> all;
  AC_TRY_STATUS(walk(tokens, [&] { all.clear(); },
                     [&](std::span<const float> rows, std::span<const float>) {
                       all.insert(all.end(), rows.begin(), rows.end());
                     }));
  return all;
}

Result<std::vector<float>> EngineImpl::embed(std::span<const int32_t> tokens) {
  const auto n = static_cast<size_t>(model_.config.d_model);
  std::vector<double> sum;
  AC_TRY_STATUS(walk(tokens, [&] { sum.assign(n, 0); },
                     [&](std::span<const float>, std::span<const float> hidden) {
                       for (size_t i = 0; i < hidden.size(); ++i) {
                         sum[i % n] += static_cast<double>(hidden[i]);
                       }
                     }));
  const double length = std::sqrt(std::inner_product(sum.begin(), sum.end(), sum.begin(), 0.0));
  std::vector<float> unit(n);
  for (size_t i = 0; i < n; ++i) unit[i] = static_cast<float>(length > 0 ? sum[i] / length : 0);
  return unit;
}

Result<std::unique_ptr<Engine>> Engine::load_on(std::unique_ptr<Backend> backend,
                                                Checkpoint checkpoint,
                                                const EngineOptions& options) {
  auto engine = std::make_unique<EngineImpl>(std::move(checkpoint), std::move(backend), options);
  AC_TRY_STATUS(engine->load());
  return std::unique_ptr<Engine>(std::move(engine));
}

Result<std::unique_ptr<Engine>> Engine::load(Checkpoint checkpoint, const EngineOptions& options) {
  const BackendOptions wanted{.n_threads = options.n_threads,
                              .device = options.device,
                              .choices_file = options.choices_file,
                              .drop_pages = checkpoint.drop_pages};
  AC_TRY(std::unique_ptr<Backend> backend, make_backend(options.backend, wanted));
  EngineOptions with_fall_back = options;
  if (backend->name() != "cpu") {
    // It reads the weights where they lie, which must then stay.
    with_fall_back.fall_back = [n_threads = options.n_threads] {
      return make_backend("cpu", {.n_threads = n_threads});
    };
  }
  return load_on(std::move(backend), std::move(checkpoint), with_fall_back);
}

}  // namespace ac
