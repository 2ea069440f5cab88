// Everything around a router, faked: engines, remote, predictor.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "runtime/route/router.h"

namespace ac {

inline const std::vector<std::string> kPieces = {"one", " two", " three"};

// What the fakes saw and how they shall behave; outlives the router.
struct World {
  std::vector<std::string> loads;            // variants, in order
  std::map<std::string, Error> load_errors;  // by variant
  std::map<std::string, int> failing_loads;  // only so many times; absent: always
  std::function<void()> on_generate;         // before an engine answers
  std::function<void()> on_piece;            // after each of its pieces
  std::optional<Error> generate_error;
  size_t pieces_before_error = 0;
  std::vector<std::string> local_pieces = kPieces;  // as many as kPieces
  std::vector<std::string> local_prompts;  // "variant: text"
  int n_alive_engines = 0;
  int64_t n_context = 0;       // of every variant
  size_t n_prompt_tokens = 3;  // of every conversation
  int n_text_loads = 0;
  bool nested = false;          // q4 and q8 are two levels of one file
  std::vector<int32_t> levels;  // that engines were set to
  // What engines show of their answers.
  std::vector<float> prefill_logits = {0, 1, 2};
  std::vector<float> hidden = {1};
  double mean_logprob = -0.01;
  std::map<std::string, double> mean_logprob_of;        // by variant, instead of mean_logprob
  std::map<std::string, std::vector<float>> hidden_of;  // by variant, instead of hidden
  std::vector<size_t> together;  // answers that were made in one go
  int n_prefills = 0;
  int n_answers = 0;  // that were begun
  bool obeys_cancel = false;
  std::map<std::string, std::vector<std::string>> pieces_of;  // by variant, instead of local_pieces

  int n_clients = 0;
  std::mutex remote_asked;
  int n_questions = 0;
  std::function<void()> on_question;  // before the remote answers
  std::optional<Error> create_error;
  std::optional<Error> remote_error;
  size_t remote_pieces_before_error = 0;
  bool remote_available = true;
  bool usage_known = true;
  std::optional<RemoteRequest> remote_request;
  std::vector<ToolCall> tool_calls;  // of the remote
};


// Gives out kPieces; stops where the listener says so. Returns how many were given.
inline size_t give_out(size_t n, const std::function<bool(std::string_view)>& on_text,
                       std::string* text, const std::vector<std::string>& pieces = kPieces) {
  for (size_t i = 0; i < n; ++i) {
    *text += pieces[i];
    if (on_text && !on_text(pieces[i])) return i + 1;
  }
  return n;
}

class FakeEngine final : public Engine {
 public:
  FakeEngine(std::string id, World* world) : id_(std::move(id)), world_(world) {
    ++world_->n_alive_engines;
  }
  ~FakeEngine() override { --world_->n_alive_engines; }
  const ModelConfig& config() const override { return config_; }
  const Tokenizer& tokenizer() const override { std::abort(); }
  const ChatTemplate* chat_template() const override { return nullptr; }
  int32_t n_context() const override { return 64; }
  std::string_view backend_name() const override { return "fake"; }
  Result<std::vector<int32_t>> tokens_of_chat(
      const std::vector<ChatMessage>& messages) const override {
    world_->local_prompts.push_back(id_ + ": chat " + messages.back().content);
    return std::vector<int32_t>(world_->n_prompt_tokens, 1);
  }
  std::vector<int32_t> tokens_of_text(std::string_view text) const override {
    world_->local_prompts.push_back(id_ + ": raw " + std::string(text));
    return text.size() > 100 ? std::vector<int32_t>(50, 1) : std::vector<int32_t>{1, 2};
  }
  Status set_level(int32_t level) override {
    world_->levels.push_back(level);
    return {};
  }
  Result<Generation> generate(std::span<const int32_t> prompt,
                              const GenerateOptions& options) override {
    Generation out;
    if (const auto hook = world_->on_generate) hook();
    ++world_->n_prefills;
    out.n_prompt_tokens = static_cast<int32_t>(prompt.size());
    const auto own_hidden = world_->hidden_of.find(id_);
    const std::vector<float>& hidden =
        own_hidden == world_->hidden_of.end() ? world_->hidden : own_hidden->second;
    if (options.after_prefill && !options.after_prefill({world_->prefill_logits, hidden})) {
      out.finish = FinishReason::kCancelled;
      return out;
    }
    if (world_->obeys_cancel && options.cancel != nullptr && options.cancel->raised()) {
      out.finish = FinishReason::kCancelled;
      return out;
    }
    ++world_->n_answers;
    const auto own_logprob = world_->mean_logprob_of.find(id_);
    out.mean_logprob = own_logprob == world_->mean_logprob_of.end() ? world_->mean_logprob
                                                                    : own_logprob->second;
    out.low_logprob = out.least_logprob = static_cast<float>(out.mean_logprob);
    const auto own = world_->pieces_of.find(id_);
    const std::vector<std::string>& pieces =
        own == world_->pieces_of.end() ? world_->local_pieces : own->second;
    const size_t n = world_->generate_error ? world_->pieces_before_error : kPieces.size();
    const auto cancelled = [&] {
      return world_->obeys_cancel && options.cancel != nullptr && options.cancel->raised();
    };
    const auto on_text = [&](std::string_view piece) {
      const bool goes_on = !options.on_text || options.on_text(piece);
      if (world_->on_piece) world_->on_piece();
      return goes_on && !cancelled();
    };
    const size_t given = give_out(n, on_text, &out.text, pieces);
    if (world_->generate_error) return *world_->generate_error;
    out.tokens.resize(given);
    out.finish = given < kPieces.size() ? FinishReason::kCancelled : FinishReason::kStop;
    out.n_reused_tokens = 1;
    return out;
  }
  Result<std::vector<Generation>> generate_batch(std::span<const std::vector<int32_t>>,
                                                 std::span<const GenerateOptions>) override {
    std::abort();
  }
  void serve(const std::function<std::optional<Asked>()>& next) override {
    // As an engine with slots: whoever is answered makes room for the next.
    std::vector<Asked> all;
    size_t n_answered = 0;
    while (true) {
      while (auto asked = next()) all.push_back(std::move(*asked));
      if (n_answered == all.size()) break;
      const Asked one = all[n_answered++];
      one.done(generate(one.prompt, *one.options));
    }
    world_->together.push_back(all.size());
  }
  Result<std::vector<float>> logits(std::span<const int32_t>) override { std::abort(); }
  Result<std::vector<float>> embed(std::span<const int32_t> tokens) override {
    if (tokens.size() > 5) return fail(ErrorCode::kContextFull, "{} tokens", tokens.size());
    return std::vector<float>{0.5f, -2.0f};
  }

 private:
  std::string id_;
  World* world_;
  ModelConfig config_;
};

class FakeVariants final : public VariantSource {
 public:
  explicit FakeVariants(World* world) : world_(world) {
    for (int i = 0; i < 3; ++i) {
      const std::string id = i == 0 ? "q4" : i == 1 ? "q8" : "f16";
      variants_.push_back(
          {.cost = {.id = id, .cost = 4.0 * (1 << i), .n_context = world->n_context},
           .memory_bytes = uint64_t{100} << i});
      if (world->nested && i < 2) {
        variants_.back().weights = "variants/nested.gguf";
        variants_.back().level = 100 * i;
      }
    }
  }
  std::span<const LocalVariant> variants() const override { return variants_; }
  Result<std::unique_ptr<Engine>> load(std::string_view id) const override {
    world_->loads.emplace_back(id);
    const auto error = world_->load_errors.find(std::string(id));
    if (error != world_->load_errors.end()) {
      const auto times = world_->failing_loads.find(std::string(id));
      if (times == world_->failing_loads.end() || times->second-- > 0) return error->second;
    }
    return std::unique_ptr<Engine>(std::make_unique<FakeEngine>(std::string(id), world_));
  }
  Result<ModelText> load_text() const override {
    ++world_->n_text_loads;
    return Error{ErrorCode::kCorruptFile, "no tokenizer"};
  }

 private:
  World* world_;
  std::vector<LocalVariant> variants_;
};

class FakeRemote final : public RemoteClient {
 public:
  explicit FakeRemote(World* world) : world_(world) {}
  Result<RemoteAnswer> complete(const RemoteRequest& request) override {
    if (world_->on_question) world_->on_question();
    {
      const std::lock_guard lock(world_->remote_asked);  // by several threads at once
      ++world_->n_questions;
      world_->remote_request = request;
    }
    RemoteAnswer out;
    const size_t n = world_->remote_error ? world_->remote_pieces_before_error : kPieces.size();
    if (give_out(n, request.on_text, &out.text) < n) {
      return Error{ErrorCode::kCancelled, "cancelled"};
    }
    if (world_->remote_error) return *world_->remote_error;
    out.model = "big-1-2026";
    out.finish_reason = "stop";
    out.tool_calls = world_->tool_calls;
    out.usage_known = world_->usage_known;
    out.prompt_tokens = world_->usage_known ? 20 : 0;
    out.completion_tokens = world_->usage_known ? 3 : 0;
    out.cost_usd = world_->usage_known ? 0.002 : 0;
    return out;
  }
  Result<std::vector<std::string>> list_models() override {
    return std::vector<std::string>{"big-1"};
  }
  Result<double> load(std::chrono::milliseconds) override {
    return fail(ErrorCode::kRemote, "http 404");
  }
  bool available() const override { return world_->remote_available; }
  const std::string& model() const override { return model_; }

 private:
  World* world_;
  std::string model_ = "big-1";
};

// The tiers are those of the variants and the full model; every success is the number in the prompt
// times 1, 1.1, 1.2, and 0.95 for the full model.
inline Judge fake_judge() {
  return {.tiers = {"q4", "q8", "f16", "full"}, .judge = [](std::string_view prompt, const RequestFacts&) {
            const float p = std::stof(std::string(prompt));
            Judgement judgement;
            judgement.prediction.success = {p, p * 1.1f, p * 1.2f, 0.95f};
            return judgement;
          }};
}

class RouterTest : public testing::Test {
 protected:
  enum Parts { kAll, kNoJudge, kNoRemote, kNoLocal };

  void make(Parts which = kAll, RouterOptions options = {}) {
    RouterParts parts;
    if (which != kNoJudge) parts.judge = judge_;
    parts.ledger = ledger_;
    parts.learner = learner_;
    if (which != kNoLocal) parts.variants = std::make_unique<FakeVariants>(&world_);
    if (which != kNoRemote) {
      parts.make_remote = [this]() -> Result<std::unique_ptr<RemoteClient>> {
        ++world_.n_clients;
        if (world_.create_error) return *world_.create_error;
        return std::unique_ptr<RemoteClient>(std::make_unique<FakeRemote>(&world_));
      };
    }
    Result<std::unique_ptr<Router>> router = Router::create(std::move(parts), options);
    ASSERT_TRUE(router.has_value());
    router_ = std::move(*router);
  }

  RouteRequest request_of(const std::string& prompt) {
    RouteRequest request;
    request.messages = {{"system", "Be brief."}, {"user", prompt}};
    relayed_.clear();
    request.options.on_text = [this](std::string_view piece) {
      relayed_ += piece;
      return true;
    };
    return request;
  }
  Result<RoutedAnswer> ask(const std::string& prompt, std::optional<std::string> pin = {}) {
    RouteRequest request = request_of(prompt);
    request.pin = std::move(pin);
    return router_->answer(request);
  }

  World world_;
  Judge judge_ = fake_judge();
  std::shared_ptr<Ledger> ledger_;
  std::shared_ptr<UseLearner> learner_;
  std::unique_ptr<Router> router_;
  std::string relayed_;
};

inline constexpr const char* kEasy = "0.8";
inline constexpr const char* kHard = "0.2";
inline constexpr const char* kWhole = "one two three";

}  // namespace ac
