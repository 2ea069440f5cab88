#include "models/train/base_trainer.h"

#include <algorithm>
#include <cmath>

#include "models/arch/model.h"
#include "models/store/gguf.h"
#include "models/train/base_model.h"
#include "models/train/train_log.h"
#include "models/train/weight_average.h"
#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr const char* kRecipeKey = "agentcompress.recipe";
constexpr uint64_t kLogBytes = 1u << 30;
// Documents of a source without end between the first ones of two seeds: more than any run has.
constexpr uint64_t kDocumentsOfSeed = 1u << 21;

Status check_shape(const Checkpoint& model, const BaseRecipe& recipe) {
  AC_TRY(const ModelConfig config, read_model_config(model));
  const BaseRecipe::ModelShape& shape = recipe.model;
  const auto differs = [&](std::string_view name, int64_t found, int64_t expected) {
    return fail(ErrorCode::kInvalidArgument, "{}: {} is {}, the recipe says {}", model.origin, name,
                found, expected);
  };
  const auto n_layers = static_cast<int64_t>(config.layers.size());
  if (config.d_model != shape.d_model) return differs("d_model", config.d_model, shape.d_model);
  if (n_layers != shape.n_layers) return differs("layers", n_layers, shape.n_layers);
  if (config.n_vocab > recipe.n_vocab && !recipe.relearn) return differs("vocab", config.n_vocab, recipe.n_vocab);
  if (config.n_context != shape.context) return differs("context", config.n_context, shape.context);
  for (const LayerConfig& layer : config.layers) {
    if (layer.n_heads != shape.n_heads) return differs("heads", layer.n_heads, shape.n_heads);
    if (layer.n_kv_heads != shape.n_kv_heads) {
      return differs("kv_heads", layer.n_kv_heads, shape.n_kv_heads);
    }
    if (layer.d_ff != shape.d_ff) return differs("d_ff", layer.d_ff, shape.d_ff);
  }
  return {};
}

// A model learns next to nothing from documents that it has seen, and becomes worse at others.
Status check_seed(const Checkpoint& model, const BaseRecipe& recipe) {
  AC_TRY(const std::string_view text, model.get_string_or(kRecipeKey, ""));
  const Result<BaseRecipe> before = parse_base_recipe(std::string(text), model.origin);
  const bool knows_them = before && before->text_path.empty() && before->seed == recipe.seed;
  if (!knows_them) return {};  // made by something else, of a text, or of other documents
  return fail(ErrorCode::kInvalidArgument,
              "{}: was trained with seed = {}, whose documents it knows: give another seed in [train]", model.origin,
              recipe.seed);
}

class BaseTrainer {
 public:
  BaseTrainer(const BaseRecipe& recipe, DocumentSource& training,
              const DocumentSource& held_out, const BaseTrainOptions& options)
      : recipe_(recipe),
        training_(training),
        held_out_(held_out),
        options_(options),
        clock_(options.clock != nullptr ? *options.clock : system_clock()),
        begin_(clock_.now()) {}

  Result<BaseTrainReport> run() {
    AC_TRY_STATUS(options_.resume ? resume() : start());
    AC_TRY_STATUS(prepare());
    last_checkpoint_ = clock_.now();
    while (place_.step < recipe_.n_steps) {
      if (wants_to_stop()) {
        AC_TRY_STATUS(checkpoint());
        return report(false);
      }
      AC_TRY_STATUS(step());
      const double minutes = seconds_between(last_checkpoint_, clock_.now()) / 60;
      if (minutes >= recipe_.checkpoint_minutes) {
        AC_TRY_STATUS(checkpoint());
        last_checkpoint_ = clock_.now();
      }
    }
    AC_TRY_STATUS(look_at_held_out());
    AC_TRY_STATUS(checkpoint());
    return report(true);
  }

 private:
  std::string state_path() const { return options_.out_path + ".state"; }
  std::string log_path() const { return options_.out_path + ".log.jsonl"; }

  void say(std::string_view what) const {
    if (options_.on_stage) options_.on_stage(what);
  }

  Status start() {
    if (training_.size() == 0) place_.place.document = recipe_.seed * kDocumentsOfSeed;
    const bool from_file = !recipe_.start_path.empty();
    Checkpoint first;
    if (from_file) {
      say("reading the first weights");
      AC_TRY(first, open_gguf(recipe_.start_path));
      AC_TRY_STATUS(check_shape(first, recipe_));
      if (training_.size() == 0) AC_TRY_STATUS(check_seed(first, recipe_));
    }
    if (from_file && !recipe_.relearn) {
      AC_TRY(parameters_, Parameters::create(first));
      return make_trainer();
    }
    say("learning the vocabulary");
    AC_TRY(const BpeVocabulary vocabulary, train_tokenizer(recipe_, training_));
    AC_TRY(const Checkpoint model, make_base_model(recipe_, vocabulary));
    AC_TRY(parameters_, Parameters::create(model));
    if (from_file) {
      AC_TRY_STATUS(take_weights(first, vocabulary, parameters_.get()));
    }
    return make_trainer();
  }

  Status resume() {
    say("reading the checkpoint");
    AC_TRY(TrainState state, load_train_state(state_path()));
    if (state.recipe != recipe_.canonical) {
      AC_TRY_STATUS(take_new_recipe(state.recipe));
    }
    parameters_ = std::move(state.parameters);
    place_ = state.place;
    AC_TRY_STATUS(make_trainer());
    if (state.mean.size() != trainer_->optimizer().mean().size()) {
      return fail(ErrorCode::kCorruptFile, "{}: {} running means, expected {}", state_path(),
                  state.mean.size(), trainer_->optimizer().mean().size());
    }
    std::ranges::copy(state.mean, trainer_->optimizer().mean().begin());
    std::ranges::copy(state.square, trainer_->optimizer().square().begin());
    trainer_->optimizer().resume_at(place_.step);
    if (average_ && !state.average.empty()) average_->go_on_from(state.average, state.n_averaged);
    return read_log();
  }

  Status take_new_recipe(const std::string& before) {
    if (!options_.new_recipe) {
      return fail(ErrorCode::kInvalidArgument,
                  "{}: was begun with another recipe; go on with --new-recipe, train without "
                  "resuming, or to another file",
                  state_path());
    }
    AC_TRY(const BaseRecipe begun, parse_base_recipe(before, state_path()));
    if (begun.fixed != recipe_.fixed) {
      return fail(ErrorCode::kInvalidArgument,
                  "{}: was begun with another model, tokenizer or optimizer ({}), which cannot change "
                  "on the way",
                  state_path(), changed_values(recipe_.fixed, begun.fixed));
    }
    new_values_ = changed_values(before, recipe_.canonical);
    return {};
  }

  Status read_log() {
    auto text = read_file(log_path(), kLogBytes);
    if (!text && text.error().code == ErrorCode::kNotFound) return {};
    if (!text) return text.error();
    AC_TRY(log_, parse_log_lines(*text, log_path()));
    std::erase_if(log_, [this](const LogPoint& point) { return point.step > place_.step; });
    for (const LogPoint& point : log_) {
      if (point.held_out) held_out_loss_ = point.held_out;
    }
    return {};
  }

  Status make_trainer() {
    AC_TRY(trainer_, LmTrainer::create(*parameters_, {.n_threads = options_.n_threads,
                                                      .adamw = recipe_.adamw,
                                                      .muon = recipe_.muon,
                                                      .clip_length = recipe_.clip_length}));
    if (recipe_.average_steps > 0) average_.emplace(recipe_.average_steps);
    return {};
  }

  Status prepare() {
    const Checkpoint& model = parameters_->checkpoint();
    AC_TRY(tokenizer_, Tokenizer::from_checkpoint(model));
    AC_TRY(const std::string_view chat_template, model.get_string("tokenizer.chat_template"));
    const auto maker_of = [&](float prompt_weight) {
      return SequenceMaker::create(
          *tokenizer_, chat_template,
          {.prompt_weight = prompt_weight, .context = recipe_.model.context});
    };
    AC_TRY(SequenceMaker maker, maker_of(recipe_.prompt_weight));
    maker_.emplace(std::move(maker));
    // What is held out counts answers alone: nobody needs a model to guess what is asked.
    AC_TRY(const SequenceMaker answers, maker_of(0));
    training_.learn_tokens(tokenizer_->vocabulary());
    stream_.emplace(training_, *maker_, recipe_.seed, recipe_.tokens_per_pack);
    AC_TRY_STATUS(count_unigrams());
    stream_->go_to(place_.place);
    PackStream unseen(held_out_, answers, recipe_.seed, recipe_.tokens_per_pack);
    // Not more than there is: a second round would only repeat the first.
    int64_t n_tokens = 0;
    while (n_tokens < recipe_.evaluate_tokens &&
           (held_out_.size() == 0 || unseen.place().document < held_out_.size())) {
      AC_TRY(Pack pack, unseen.next());
      n_tokens += static_cast<int64_t>(pack.tokens.size());
      held_out_packs_.push_back(std::move(pack));
    }
    return {};
  }

  // How frequent tokens are, from as many packs as a step has; each token once more, so that none is
  // impossible.
  Status count_unigrams() {
    counts_.assign(static_cast<size_t>(tokenizer_->n_vocab()), 1.0);
    PackStream::Place none;
    stream_->go_to(none);
    int64_t n_tokens = 0;
    while (n_tokens < std::max<int64_t>(recipe_.tokens_per_step, 1 << 16)) {
      AC_TRY(const Pack pack, stream_->next());
      for (size_t i = 0; i < pack.targets.size(); ++i) {
        counts_[static_cast<size_t>(pack.targets[i])] += static_cast<double>(pack.weights[i]);
      }
      n_tokens += static_cast<int64_t>(pack.tokens.size());
    }
    return {};
  }

  double unigram_loss() const {
    double all = 0, sum = 0, weight = 0;
    for (const double count : counts_) all += count;
    for (const Pack& pack : held_out_packs_) {
      for (size_t i = 0; i < pack.targets.size(); ++i) {
        const auto w = static_cast<double>(pack.weights[i]);
        sum -= w * std::log(counts_[static_cast<size_t>(pack.targets[i])] / all);
        weight += w;
      }
    }
    return weight > 0 ? sum / weight : 0;
  }

  bool wants_to_stop() const {
    const bool out_of_time =
        options_.minutes > 0 && seconds_between(begin_, clock_.now()) >= 60 * options_.minutes;
    return out_of_time || (options_.cancel != nullptr && options_.cancel->raised());
  }

  Result<std::vector<Pack>> draw(int64_t n_tokens) {
    std::vector<Pack> packs;
    int64_t n_drawn = 0;
    while (n_drawn < n_tokens) {
      AC_TRY(Pack pack, stream_->next());
      n_drawn += static_cast<int64_t>(pack.tokens.size());
      packs.push_back(std::move(pack));
    }
    return packs;
  }

  Status step() {
    AC_TRY(const std::vector<Pack> packs, draw(recipe_.tokens_per_step));
    const float rate =
        cosine_learning_rate(place_.step, recipe_.warm_up_steps, recipe_.n_steps,
                             recipe_.learning_rate, recipe_.learning_rate * recipe_.last_rate);
    const auto begin = clock_.now();
    AC_TRY(const StepReport done, trainer_->step(packs, rate));
    if (average_) average_->add(parameters_->values());
    const double seconds = seconds_between(begin, clock_.now());
    ++place_.step;
    place_.n_tokens += done.n_tokens;
    place_.place = stream_->place();
    step_seconds_ += seconds;
    step_tokens_ += done.n_tokens;
    log_.push_back({.step = place_.step,
                    .n_tokens = place_.n_tokens,
                    .loss = done.loss,
                    .tokens_per_s = static_cast<double>(done.n_tokens) / std::max(seconds, 1e-9),
                    .learning_rate = static_cast<double>(rate),
                    .gradient_length = done.gradient_length});
    log_.back().new_values = std::exchange(new_values_, {});
    if (place_.step % recipe_.evaluate_every == 0) AC_TRY_STATUS(look_at_held_out());
    if (options_.on_step) {
      const double per_step = seconds_between(begin_, clock_.now()) /
                              static_cast<double>(++n_steps_here_);
      options_.on_step({.point = log_.back(),
                        .n_steps = recipe_.n_steps,
                        .left_s = per_step * static_cast<double>(recipe_.n_steps - place_.step),
                        .held_out = held_out_loss_});
    }
    return {};
  }

  // The weights become those of the model that is made; a second time, those that are trained.
  void swap_average() {
    if (!average_ || average_->n_seen() == 0) return;
    average_->swap(parameters_->values());
    trainer_->parameters_changed();
  }

  Status look_at_held_out() {
    swap_average();
    const Result<double> loss = trainer_->loss(held_out_packs_);
    swap_average();
    if (!loss) return loss.error();
    held_out_loss_ = *loss;
    if (!log_.empty()) log_.back().held_out = *loss;
    return {};
  }

  Status checkpoint() {
    AC_TRY_STATUS(save_train_state(state_path(), *parameters_, trainer_->optimizer(),
                                   average_ ? &*average_ : nullptr, recipe_.checkpoint_format, place_,
                                   recipe_.canonical));
    trainer_->parameters_changed();  // where the state is rounded
    AC_TRY_STATUS(write_file(log_path(), log_lines(log_)));
    AC_TRY_STATUS(write_model());
    return write_file(options_.out_path + ".svg",
                      loss_curve_svg(log_, fmt::format("{}: loss", recipe_.model.name),
                                     {unigram_loss(), "unigram"}));
  }

  Status write_model() {
    swap_average();
    Result<Checkpoint> exported = parameters_->exported(recipe_.format);
    swap_average();
    AC_TRY(Checkpoint model, std::move(exported));
    model.set_string(kRecipeKey, recipe_.canonical);
    AC_TRY(const auto writer, create_file(options_.out_path));
    AC_TRY_STATUS(write_gguf(model, *writer));
    return writer->commit();
  }

  BaseTrainReport report(bool finished) const {
    return {.finished = finished,
            .step = place_.step,
            .n_tokens = place_.n_tokens,
            .n_parameters = parameters_->n_parameters(),
            .n_vocab = tokenizer_->n_vocab(),
            .training_loss = log_.empty() ? 0 : log_.back().loss,
            .held_out_loss = held_out_loss_.value_or(0),
            .unigram_loss = unigram_loss(),
            .tokens_per_s = static_cast<double>(step_tokens_) / std::max(step_seconds_, 1e-9),
            .seconds = seconds_between(begin_, clock_.now())};
  }

  const BaseRecipe& recipe_;
  DocumentSource& training_;
  const DocumentSource& held_out_;
  const BaseTrainOptions& options_;
  const Clock& clock_;
  Clock::TimePoint begin_;
  Clock::TimePoint last_checkpoint_{};
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<LmTrainer> trainer_;
  std::optional<WeightAverage> average_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::optional<SequenceMaker> maker_;
  std::optional<PackStream> stream_;
  std::vector<Pack> held_out_packs_;
  std::vector<double> counts_;  // of tokens
  TrainPlace place_;
  std::vector<LogPoint> log_;
  std::optional<double> held_out_loss_;
  std::string new_values_;  // of the recipe, since the run went on with another
  double step_seconds_ = 0;
  int64_t step_tokens_ = 0;
  int64_t n_steps_here_ = 0;
};

}  // namespace

Result<BaseTrainReport> train_base(const BaseRecipe& recipe, DocumentSource& training,
                                   const DocumentSource& held_out,
                                   const BaseTrainOptions& options) {
  return BaseTrainer(recipe, training, held_out, options).run();
}

}  // namespace ac
