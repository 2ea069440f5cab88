#include "models/compress/technique.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "cpu/formats/codecs.h"
#include "models/compress/low_rank.h"
#include "models/compress/nested.h"
#include "models/compress/prune.h"
#include "models/compress/quantise.h"
#include "models/compress/recover.h"
#include "models/compress/repair.h"
#include "runtime/core/nearest.h"

namespace ac {
namespace {

// The words of a line: at most one without "=", and keys with values, each asked for once.
class Words {
 public:
  static Result<Words> parse(std::string_view technique, std::string_view text) {
    Words words;
    words.technique_ = technique;
    while (true) {
      const size_t begin = text.find_first_not_of(" \t");
      if (begin == std::string_view::npos) break;
      text.remove_prefix(begin);
      const std::string_view word = text.substr(0, text.find_first_of(" \t"));
      text.remove_prefix(word.size());
      const size_t equals = word.find('=');
      if (equals == std::string_view::npos) {
        if (!words.plain_.empty()) {
          return fail(ErrorCode::kInvalidArgument, "{}: '{}' beside '{}', expected key=value",
                      technique, word, words.plain_);
        }
        words.plain_ = word;
      } else if (!words.values_.emplace(word.substr(0, equals), word.substr(equals + 1)).second) {
        return fail(ErrorCode::kInvalidArgument, "{}: '{}' is there twice", technique,
                    word.substr(0, equals));
      }
    }
    return words;
  }

  std::string_view plain() const { return plain_; }

  std::optional<std::string_view> take(std::string_view key) {
    known_.push_back(key);
    const auto it = values_.find(key);
    if (it == values_.end()) return std::nullopt;
    const std::string_view value = it->second;
    values_.erase(it);
    return value;
  }

  Status number(std::string_view key, double min, double max, double* to) {
    const auto text = take(key);
    if (!text) return {};
    double value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size() || !(value >= min) ||
        !(value <= max)) {
      return fail(ErrorCode::kInvalidArgument, "{}: {} is '{}', expected {} to {}", technique_, key,
                  *text, min, max);
    }
    *to = value;
    return {};
  }

  template <class Integer>
  Status integer(std::string_view key, int64_t min, int64_t max, Integer* to) {
    double value = static_cast<double>(*to);
    AC_TRY_STATUS(number(key, static_cast<double>(min), static_cast<double>(max), &value));
    if (value != std::floor(value)) {
      return fail(ErrorCode::kInvalidArgument, "{}: {} is {}, expected a whole number", technique_,
                  key, value);
    }
    *to = static_cast<Integer>(value);
    return {};
  }

  Status yes_or_no(std::string_view key, bool* to) {
    const auto text = take(key);
    if (!text) return {};
    if (*text != "yes" && *text != "no") {
      return fail(ErrorCode::kInvalidArgument, "{}: {} is '{}', expected yes or no", technique_,
                  key, *text);
    }
    *to = *text == "yes";
    return {};
  }

  // What nobody asked for is a mistake.
  Status check_all_taken() const {
    if (values_.empty()) return {};
    const std::string_view key = values_.begin()->first;
    return fail(ErrorCode::kInvalidArgument, "{}: unknown key '{}'{}", technique_, key,
                did_you_mean(key, known_));
  }

 private:
  std::string_view technique_;
  std::string_view plain_;
  std::map<std::string_view, std::string_view> values_;
  std::vector<std::string_view> known_;
};

std::string_view yes_no(bool value) { return value ? "yes" : "no"; }

Status no_plain_word(const Words& words, std::string_view technique) {
  if (words.plain().empty()) return {};
  return fail(ErrorCode::kInvalidArgument, "{}: '{}', expected key=value", technique,
              words.plain());
}

// `also` is named beside the formats where none is.
Result<WeightFormat> writable_format(std::string_view name, std::string_view also = "") {
  const std::optional<WeightFormat> format = weight_format_from_name(name);
  if (format && cpu::codec(*format).encode_row != nullptr) return *format;
  std::string known;
  for (const WeightFormatInfo& info : weight_formats()) {
    if (cpu::codec(info.format).encode_row == nullptr) continue;
    known += (known.empty() ? "" : ", ") + std::string(info.name);
  }
  return fail(ErrorCode::kInvalidArgument, "quantise: cannot write '{}', expected one of {}{}",
              name, known, also);
}

class PruneTechnique final : public Technique {
 public:
  PruneOptions options;

  static Result<std::unique_ptr<const Technique>> make(Words& words) {
    auto made = std::make_unique<PruneTechnique>();
    PruneOptions& o = made->options;
    AC_TRY_STATUS(no_plain_word(words, "prune"));
    AC_TRY_STATUS(words.number("ff_keep", 0.01, 1, &o.ff_keep));
    AC_TRY_STATUS(words.number("kv_keep", 0.01, 1, &o.kv_keep));
    AC_TRY_STATUS(words.number("time_keep", 0.01, 1, &o.time_keep));
    AC_TRY_STATUS(words.integer("drop_layers", 0, 511, &o.drop_layers));
    AC_TRY_STATUS(words.integer("unit", 1, 4096, &o.unit));
    AC_TRY_STATUS(words.number("floor", 0, 1, &o.floor));
    AC_TRY_STATUS(words.number("damping", 0, 1, &o.damping));
    AC_TRY_STATUS(words.yes_or_no("global", &o.global));
    AC_TRY_STATUS(words.yes_or_no("compensate", &o.compensate));
    if (const auto selection = words.take("selection")) {
      if (*selection == selection_name(Selection::kGreedy)) {
        o.selection = Selection::kGreedy;
      } else if (*selection == selection_name(Selection::kStrength)) {
        o.selection = Selection::kStrength;
      } else {
        return fail(ErrorCode::kInvalidArgument,
                    "prune: selection is '{}', expected greedy or strength", *selection);
      }
    }
    return std::unique_ptr<const Technique>(std::move(made));
  }
  std::string_view name() const override { return "prune"; }
  std::string text() const override {
    const PruneOptions& o = options;
    return fmt::format(
        "prune ff_keep={} kv_keep={} time_keep={} drop_layers={} unit={} floor={} damping={} "
        "selection={} global={} compensate={}",
        o.ff_keep, o.kv_keep, o.time_keep, o.drop_layers, o.unit, o.floor, o.damping,
        selection_name(o.selection), yes_no(o.global), yes_no(o.compensate));
  }
  bool needs_calibration() const override { return true; }
  Result<StageResult> apply(const Stage& stage) const override { return prune(stage, options); }
};

class RepairTechnique final : public Technique {
 public:
  RepairOptions options;

  static Result<std::unique_ptr<const Technique>> make(Words& words) {
    auto made = std::make_unique<RepairTechnique>();
    if (words.plain() != "least_squares") AC_TRY_STATUS(no_plain_word(words, "repair"));
    AC_TRY_STATUS(words.number("damping", 0, 1, &made->options.damping));
    return std::unique_ptr<const Technique>(std::move(made));
  }
  std::string_view name() const override { return "repair"; }
  std::string text() const override {
    return fmt::format("repair least_squares damping={}", options.damping);
  }
  bool needs_calibration() const override { return true; }
  Result<StageResult> apply(const Stage& stage) const override { return repair(stage, options); }
};

class RecoverTechnique final : public Technique {
 public:
  RecoverOptions options;

  static Result<std::unique_ptr<const Technique>> make(Words& words) {
    auto made = std::make_unique<RecoverTechnique>();
    RecoverOptions& o = made->options;
    if (words.plain() == recover_mode_name(RecoverMode::kLora)) {
      o.mode = RecoverMode::kLora;
    } else if (words.plain() != recover_mode_name(RecoverMode::kFull)) {
      return fail(ErrorCode::kInvalidArgument, "recover: '{}', expected full or lora",
                  words.plain());
    }
    if (const auto optimizer = words.take("optimizer")) {
      if (o.mode == RecoverMode::kLora) {
        return fail(ErrorCode::kInvalidArgument, "recover: optimizer goes with full, not with lora");
      }
      if (*optimizer != "adamw" && *optimizer != "muon") {
        return fail(ErrorCode::kInvalidArgument, "recover: optimizer is '{}', expected adamw or muon",
                    *optimizer);
      }
      o.muon = *optimizer == "muon";
    }
    constexpr int64_t kMostTokens = int64_t{1} << 40;
    AC_TRY_STATUS(words.integer("tokens", 1, kMostTokens, &o.tokens));
    AC_TRY_STATUS(words.integer("tokens_per_step", 1, 1 << 24, &o.tokens_per_step));
    AC_TRY_STATUS(words.number("learning_rate", 1e-8, 1, &o.learning_rate));
    AC_TRY_STATUS(words.number("text_share", 0, 1, &o.text_share));
    AC_TRY_STATUS(words.integer("look_every", 1, 1 << 20, &o.look_every));
    AC_TRY_STATUS(words.integer("patience", 1, 1 << 20, &o.patience));
    AC_TRY_STATUS(words.integer("rank", 1, 4096, &o.rank));
    return std::unique_ptr<const Technique>(std::move(made));
  }
  std::string_view name() const override { return "recover"; }
  std::string text() const override {
    const RecoverOptions& o = options;
    std::string text = fmt::format(
        "recover {} tokens={} tokens_per_step={} learning_rate={} text_share={} look_every={} "
        "patience={}",
        recover_mode_name(o.mode), o.tokens, o.tokens_per_step, o.learning_rate, o.text_share,
        o.look_every, o.patience);
    text += o.mode == RecoverMode::kLora ? fmt::format(" rank={}", o.rank)
                                         : fmt::format(" optimizer={}", o.muon ? "muon" : "adamw");
    return text;
  }
  // It learns from the same text; what is enough for moments is little for it.
  bool needs_calibration() const override { return true; }
  bool learns() const override { return true; }
  Result<StageResult> apply(const Stage& stage) const override { return recover(stage, options); }
};

class LowRankTechnique final : public Technique {
 public:
  LowRankOptions options;

  static Result<std::unique_ptr<const Technique>> make(Words& words) {
    auto made = std::make_unique<LowRankTechnique>();
    LowRankOptions& o = made->options;
    AC_TRY_STATUS(no_plain_word(words, "low_rank"));
    AC_TRY_STATUS(words.number("keep", 0.01, 0.99, &o.keep));
    AC_TRY_STATUS(words.integer("unit", 1, 4096, &o.unit));
    AC_TRY_STATUS(words.yes_or_no("q", &o.q));
    AC_TRY_STATUS(words.yes_or_no("o", &o.o));
    AC_TRY_STATUS(words.yes_or_no("joint_qkv", &o.joint_qkv));
    AC_TRY_STATUS(words.yes_or_no("weighted", &o.weighted));
    return std::unique_ptr<const Technique>(std::move(made));
  }
  std::string_view name() const override { return "low_rank"; }
  std::string text() const override {
    const LowRankOptions& o = options;
    return fmt::format("low_rank keep={} q={} o={} joint_qkv={} unit={} weighted={}", o.keep,
                       yes_no(o.q), yes_no(o.o), yes_no(o.joint_qkv), o.unit, yes_no(o.weighted));
  }
  bool needs_calibration() const override { return true; }
  Result<StageResult> apply(const Stage& stage) const override { return low_rank(stage, options); }
};

// The keys that both kinds of quantise have.
Status read_common(Words& words, QuantiseOptions& o) {
  AC_TRY_STATUS(words.number("damping", 0, 1, &o.damping));
  AC_TRY_STATUS(words.yes_or_no("reorder", &o.reorder));
  if (const auto output = words.take("output")) {
    AC_TRY(o.output, writable_format(*output));
  }
  return {};
}

class QuantiseTechnique final : public Technique {
 public:
  QuantiseOptions options;

  static Result<std::unique_ptr<const Technique>> make(Words& words) {
    auto made = std::make_unique<QuantiseTechnique>();
    QuantiseOptions& o = made->options;
    AC_TRY(o.format, writable_format(words.plain(), " or nested"));
    AC_TRY_STATUS(read_common(words, o));
    if (const auto rounding = words.take("rounding")) {
      bool known = false;
      for (const Rounding one : {Rounding::kNearest, Rounding::kSearch, Rounding::kCompensated}) {
        if (*rounding != rounding_name(one)) continue;
        o.rounding = one;
        known = true;
      }
      if (!known) {
        return fail(ErrorCode::kInvalidArgument,
                    "quantise: rounding is '{}', expected nearest, search or compensated",
                    *rounding);
      }
    }
    // Formats whose blocks are not searched are rounded to nearest.
    if (o.format != WeightFormat::kQ8_0 && o.format != WeightFormat::kQ4_0 &&
        o.format != WeightFormat::kQ4_K) {
      o.rounding = Rounding::kNearest;
    }
    return std::unique_ptr<const Technique>(std::move(made));
  }
  std::string_view name() const override { return "quantise"; }
  std::string text() const override { return quantise_text(options); }
  bool needs_calibration() const override { return options.rounding != Rounding::kNearest; }
  Result<StageResult> apply(const Stage& stage) const override { return quantise(stage, options); }
};

class NestedTechnique final : public Technique {
 public:
  NestedOptions options;

  static Result<std::unique_ptr<const Technique>> make(Words& words) {
    auto made = std::make_unique<NestedTechnique>();
    NestedOptions& o = made->options;
    AC_TRY_STATUS(read_common(words, o.base));
    AC_TRY_STATUS(words.integer("order_tokens", 1, 1 << 20, &o.order_tokens));
    if (const auto levels = words.take("levels")) {
      AC_TRY(made->levels_, read_levels(*levels));
    }
    return std::unique_ptr<const Technique>(std::move(made));
  }
  std::string_view name() const override { return "quantise"; }
  std::string text() const override { return nested_text(options); }
  std::vector<int32_t> levels() const override { return levels_; }
  bool needs_calibration() const override { return true; }
  Result<StageResult> apply(const Stage& stage) const override { return nest(stage, options); }

 private:
  // "0,50,100", ascending.
  static Result<std::vector<int32_t>> read_levels(std::string_view text) {
    std::vector<int32_t> levels;
    for (std::string_view rest = text;;) {
      const std::string_view one = rest.substr(0, rest.find(','));
      int32_t level = -1;
      const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), level);
      if (error != std::errc() || end != one.data() + one.size() || level < 0 ||
          level > kFullLevel || (!levels.empty() && level <= levels.back())) {
        return fail(ErrorCode::kInvalidArgument,
                    "quantise: levels is '{}', expected ascending numbers from 0 to {} with commas "
                    "between them",
                    text.substr(0, 64), kFullLevel);
      }
      levels.push_back(level);
      if (one.size() == rest.size()) return levels;
      rest.remove_prefix(one.size() + 1);
    }
  }

  std::vector<int32_t> levels_ = {0, 50, kFullLevel};
};

Result<std::unique_ptr<const Technique>> make_quantise(Words& words) {
  return words.plain() == "nested" ? NestedTechnique::make(words) : QuantiseTechnique::make(words);
}

struct Row {
  std::string_view name;
  int place;  // in a chain; techniques of one place may change places and be repeated
  Result<std::unique_ptr<const Technique>> (*make)(Words& words);
};
constexpr int kAnywhere = -1;
constexpr std::array kRows = {
    Row{"prune", 0, PruneTechnique::make},
    Row{"repair", kAnywhere, RepairTechnique::make},
    Row{"recover", kAnywhere, RecoverTechnique::make},
    Row{"low_rank", 1, LowRankTechnique::make},
    Row{"quantise", 2, make_quantise},
};

const Row* find_row(std::string_view name) {
  const auto it =
      std::find_if(kRows.begin(), kRows.end(), [&](const Row& row) { return row.name == name; });
  return it == kRows.end() ? nullptr : &*it;
}

}  // namespace

Result<std::unique_ptr<const Technique>> make_technique(std::string_view name,
                                                        std::string_view words) {
  const Row* row = find_row(name);
  if (row == nullptr) {
    std::vector<std::string_view> names;
    std::string known;
    for (const Row& one : kRows) {
      names.push_back(one.name);
      known += (known.empty() ? "" : ", ") + std::string(one.name);
    }
    return fail(ErrorCode::kInvalidArgument, "unknown technique '{}', expected one of {}{}", name,
                known, did_you_mean(name, names));
  }
  AC_TRY(Words parsed, Words::parse(row->name, words));
  AC_TRY(std::unique_ptr<const Technique> made, row->make(parsed));
  AC_TRY_STATUS(parsed.check_all_taken());
  return made;
}

Status check_chain(const std::vector<std::unique_ptr<const Technique>>& chain) {
  int reached = -1;
  std::string_view last;
  for (const auto& technique : chain) {
    const Row* row = find_row(technique->name());
    AC_CHECK(row != nullptr);
    if (row->place == kAnywhere) {
      if (last == "quantise") {
        return fail(ErrorCode::kInvalidArgument, "{} after quantise, expected before it",
                    technique->name());
      }
      continue;
    }
    if (row->place <= reached) {
      return fail(ErrorCode::kInvalidArgument, "{} after {}, expected before it, and once",
                  technique->name(), last);
    }
    reached = row->place;
    last = technique->name();
  }
  return {};
}

}  // namespace ac
