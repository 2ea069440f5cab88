// The predictor: about ten thousand parameters that read the opening of a prompt and say, for each
// tier of variants, how likely it is to succeed.
//
// The network of the paper (arXiv 2601.05191): two transformer layers, 64 hidden units, over the
// first 15 tokens. 64 is the width of the feed-forward layer: with a model width of 64 two layers
// alone would hold ten times the parameters. The equations are in network.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/checkpoint.h"
#include "runtime/core/result.h"

namespace ac {

inline constexpr int kPredictorTokens = 15;
inline constexpr int kPredictorMinTiers = 2;
inline constexpr int kPredictorMaxTiers = 8;

// What the network sees of a prompt: at most 15 hashed word pieces. No table of words.
//
// A piece is up to seven letters of a word in lower case (longer words continue in further pieces),
// up to seven digits, one punctuation mark or one ideograph; white space only separates. The hash
// of a piece is 16 bits, two row numbers of the embedding table (features.cc states it byte for
// byte).
struct PromptFeatures {
  std::array<uint16_t, kPredictorTokens> buckets{};  // low byte: first row, high byte: second row
  int32_t n_tokens = 0;                              // 0 for an empty or blank prompt
};

// Reads the opening of the prompt only (at most kPromptOpeningBytes), whatever its length. Any
// bytes are allowed; those that are not UTF-8 are pieces of their own. Allocates nothing.
inline constexpr size_t kPromptOpeningBytes = 4096;
PromptFeatures prompt_features(std::string_view prompt);
// The text of the same pieces, in the same order, as hashed; for people to read.
std::vector<std::string> prompt_pieces(std::string_view prompt);

// One head per tier, cheapest first; the last is the full model.
struct Prediction {
  std::vector<float> success;  // probability that the tier's answer is right, [n_tiers]
};

// Where the weights came from; shown by `predictor info`. No dates: the same labels and seed give
// the same file.
struct PredictorFacts {
  std::string labels;               // file name of the labels
  std::vector<std::string> models;  // whose scores each tier learned from, [n_tiers]
  uint32_t n_rows = 0;              // prompts trained on
  uint32_t seed = 0;
  uint32_t n_epochs = 0;  // after which the kept weights stood
  // Share of the full model's success to keep (0: nothing was chosen), and the thresholds that kept
  // it on the validation prompts for the cheapest tier: of its success, and of its gain, that is
  // its success minus the full model's. 1 where no threshold keeps it.
  float target_retention = 0;
  float target_threshold = 0;
  float target_gain = 0;
};

class Predictor {
 public:
  // What a predictor is made of. `parameters` are laid out by predictor_layout (network.h); `scale`
  // and `shift` [n_tiers] calibrate: success = sigmoid(scale * logit + shift).
  struct Parts {
    std::vector<std::string> tiers;
    std::vector<float> parameters;
    std::vector<float> scale;
    std::vector<float> shift;
    PredictorFacts facts;
  };
  // Errors: kInvalidArgument (2..8 tiers with different names, a wrong count, a value that is not
  // finite, a scale that is not positive).
  static Result<Predictor> create(Parts parts);

  // Errors: kCorruptFile naming the key or tensor that is wrong; kUnsupported for a newer version.
  static Result<Predictor> from_checkpoint(const Checkpoint& checkpoint);
  Checkpoint to_checkpoint() const;

  // Allocates nothing beyond the result. Thread-safe.
  Prediction predict(const PromptFeatures& features) const;

  std::span<const std::string> tiers() const { return parts_.tiers; }
  const PredictorFacts& facts() const { return parts_.facts; }
  const Parts& parts() const { return parts_; }
  // Trainable parameters of the network; the two calibration numbers per tier are not among them.
  int32_t n_parameters() const { return static_cast<int32_t>(parts_.parameters.size()); }

 private:
  explicit Predictor(Parts parts) : parts_(std::move(parts)) {}
  Parts parts_;
};

}  // namespace ac
