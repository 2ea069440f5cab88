#include "models/predictor/ngram_features.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include "models/predictor/pieces.h"

namespace ac {
namespace {

using predictor::Piece;
using predictor::PieceKind;
using predictor::PieceReader;

constexpr size_t kHashedBuckets = kNgramBuckets - kFactBuckets;
constexpr size_t kEdgePieces = 15;
constexpr float kWholeLength = 1.0f, kEdgeLength = 0.5f, kFactValue = 0.25f;

// Hashed: never change.
constexpr uint64_t kWholeSalt = 0x9e3779b97f4a7c15u;
constexpr uint64_t kFirstSalt = 0xc2b2ae3d27d4eb4fu;
constexpr uint64_t kLastSalt = 0x165667b19e3779f9u;

// Finaliser of MurmurHash3.
uint64_t mixed(uint64_t hash) {
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdu;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53u;
  return hash ^ (hash >> 33);
}

// Facts, each a run of buckets behind those of n-grams. Never reorder.
struct FactRun {
  int first, size;
};
constexpr FactRun kLengthRun = {0, 28};  // half octaves of pieces
constexpr FactRun kLinesRun = {28, 10};  // octaves
constexpr FactRun kDigitsRun = {38, 6};  // share of pieces
constexpr FactRun kMarksRun = {44, 6};
constexpr FactRun kForeignRun = {50, 4};
constexpr FactRun kTurnsRun = {54, 4};
constexpr FactRun kFlagsRun = {58, 3};  // asks, has_tools, wants_json
static_assert(kFlagsRun.first + kFlagsRun.size <= kFactBuckets);

int octave(int32_t n) { return static_cast<int>(std::bit_width(static_cast<uint32_t>(n))); }

int half_octaves(int32_t n) {
  return static_cast<int>(2.0f * std::log2(static_cast<float>(n) + 1.0f));
}

int step_of_share(int32_t part, int32_t whole, std::span<const float> steps) {
  const float share = static_cast<float>(part) / static_cast<float>(std::max(1, whole));
  int step = 0;
  for (const float least : steps) step += share > least ? 1 : 0;
  return step;
}

// What is read of a prompt.
std::array<std::string_view, 2> read_parts_of(std::string_view prompt) {
  if (prompt.size() <= kGateHeadBytes + kGateTailBytes) return {prompt, ""};
  return {prompt.substr(0, kGateHeadBytes), prompt.substr(prompt.size() - kGateTailBytes)};
}

}  // namespace

size_t whole_prompt_bucket(uint64_t hash) {
  return static_cast<size_t>(((hash & 0x7fffffffu) * kHashedBuckets) >> 31);
}

std::vector<std::string> prompt_ngrams(std::string_view prompt) {
  std::vector<std::string> ngrams;
  std::string before;
  for (const std::string_view part : read_parts_of(prompt)) {
    PieceReader reader(part);
    for (Piece piece; reader.next(piece);) {
      const std::string text(piece.text());
      ngrams.push_back(text);
      if (!before.empty()) ngrams.push_back(before + " " + text);
      before = text;
    }
  }
  return ngrams;
}

NgramReader::NgramReader() : counts_(kNgramBuckets, 0), values_(kNgramBuckets, 0.0f) {}

void NgramReader::add(size_t bucket, float value) {
  // Where values cancel to nothing the bucket is listed twice, and its second entry is a zero.
  if (values_[bucket] == 0.0f) filled_.push_back(static_cast<uint16_t>(bucket));
  values_[bucket] += value;
}

void NgramReader::read_pieces(std::string_view text) {
  PieceReader reader(text);
  for (Piece piece; reader.next(piece);) {
    pieces_.push_back(predictor::piece_hash(piece));
    seen_.n_digits += piece.kind == PieceKind::kDigits ? 1 : 0;
    seen_.n_marks += piece.kind == PieceKind::kMark ? 1 : 0;
    seen_.n_foreign += static_cast<unsigned char>(piece.bytes[0]) >= 0x80 ? 1 : 0;
    seen_.asks = piece.kind == PieceKind::kMark && piece.text() == "?";
  }
  seen_.n_lines += static_cast<int32_t>(reader.n_lines());
}

void NgramReader::add_block(std::span<const uint64_t> pieces, uint64_t salt, float length) {
  touched_.clear();
  const auto count = [&](uint64_t hash) {
    if (salt == kWholeSalt) features_.hashes.push_back(hash);
    const size_t bucket = whole_prompt_bucket(hash);
    if (counts_[bucket] == 0) touched_.push_back(static_cast<uint16_t>(bucket));
    counts_[bucket] += (hash >> 31 & 1) != 0 ? 1 : -1;
  };
  for (size_t i = 0; i < pieces.size(); ++i) {
    count(mixed(pieces[i] ^ salt));
    if (i > 0) count(mixed(pieces[i] + std::rotl(mixed(pieces[i - 1]), 17) + salt));
  }
  // A bucket whose counts cancelled on the way may be listed twice; the second time it is empty.
  float squares = 0;
  weights_.clear();
  for (const uint16_t bucket : touched_) {
    const int32_t n = std::exchange(counts_[bucket], 0);
    const float size = n == 0 ? 0.0f : 1.0f + std::log(static_cast<float>(std::abs(n)));
    weights_.push_back(n < 0 ? -size : size);
    squares += size * size;
  }
  if (squares == 0) return;
  const float scale = length / std::sqrt(squares);
  for (size_t i = 0; i < touched_.size(); ++i) {
    if (weights_[i] != 0.0f) add(touched_[i], scale * weights_[i]);
  }
}

void NgramReader::add_facts(const RequestFacts& facts) {
  const auto say = [&](FactRun run, int which) {
    add(kHashedBuckets + static_cast<size_t>(run.first + std::clamp(which, 0, run.size - 1)),
        kFactValue);
  };
  constexpr float kShares[] = {0.0f, 0.02f, 0.05f, 0.1f, 0.2f};
  constexpr float kForeignShares[] = {0.0f, 0.05f, 0.5f};
  const int32_t n = features_.n_pieces;
  say(kLengthRun, half_octaves(n));
  say(kLinesRun, octave(seen_.n_lines));
  say(kDigitsRun, step_of_share(seen_.n_digits, n, kShares));
  say(kMarksRun, step_of_share(seen_.n_marks, n, kShares));
  say(kForeignRun, step_of_share(seen_.n_foreign, n, kForeignShares));
  say(kTurnsRun, octave(std::max(1, facts.n_turns)) - 1);
  const bool flags[] = {seen_.asks, facts.has_tools, facts.wants_json};
  for (int i = 0; i < kFlagsRun.size; ++i) {
    if (flags[i]) say({kFlagsRun.first + i, 1}, 0);
  }
}

const NgramFeatures& NgramReader::read(std::string_view prompt, const RequestFacts& facts) {
  for (const uint16_t bucket : filled_) values_[bucket] = 0.0f;
  filled_.clear();
  pieces_.clear();
  features_.entries.clear();
  features_.hashes.clear();
  seen_ = {};
  for (const std::string_view part : read_parts_of(prompt)) read_pieces(part);
  features_.n_pieces = static_cast<int32_t>(pieces_.size());
  const std::span<const uint64_t> all(pieces_);
  const size_t n_edge = std::min(kEdgePieces, all.size());
  add_block(all, kWholeSalt, kWholeLength);
  add_block(all.first(n_edge), kFirstSalt, kEdgeLength);
  add_block(all.last(n_edge), kLastSalt, kEdgeLength);
  add_facts(facts);
  for (const uint16_t bucket : filled_) {
    if (values_[bucket] == 0.0f) continue;
    features_.entries.push_back({bucket, values_[bucket]});
    values_[bucket] = 0.0f;  // a bucket that is listed twice counts once
  }
  return features_;
}

}  // namespace ac
