// From text to the hashed pieces that the paper's network reads.
//
// Hash: that of pieces.h; its halves are xored, then those halves again; 0 is left to "no piece at
// all" and moves to 1.
#include "models/predictor/pieces.h"
#include "models/predictor/predictor.h"

namespace ac {
namespace {

using predictor::Piece;
using predictor::PieceReader;

uint16_t bucket_of(const Piece& piece) {
  uint64_t hash = predictor::piece_hash(piece);
  hash ^= hash >> 32;
  hash ^= hash >> 16;
  const auto bucket = static_cast<uint16_t>(hash & 0xFFFF);
  return bucket == 0 ? uint16_t{1} : bucket;
}

}  // namespace

PromptFeatures prompt_features(std::string_view prompt) {
  PromptFeatures features;
  PieceReader reader(prompt.substr(0, kPromptOpeningBytes));
  for (Piece piece; features.n_tokens < kPredictorTokens && reader.next(piece);) {
    features.buckets[static_cast<size_t>(features.n_tokens++)] = bucket_of(piece);
  }
  return features;
}

std::vector<std::string> prompt_pieces(std::string_view prompt) {
  std::vector<std::string> pieces;
  PieceReader reader(prompt.substr(0, kPromptOpeningBytes));
  for (Piece piece; pieces.size() < kPredictorTokens && reader.next(piece);) {
    pieces.emplace_back(piece.text());
  }
  return pieces;
}

}  // namespace ac
