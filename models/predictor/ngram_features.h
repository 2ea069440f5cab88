// What the n-gram gate sees of a request: hashed word n-grams of the whole prompt, those of its
// beginning and its end once more, and a few facts, as one sparse vector.
//
//   x = [ n-grams of the prompt | of the first 15 pieces | of the last 15 ]  hashed, signed
//       [ length, lines, digits, marks, scripts, a question, turns, tools, format ]  one-hot
//
// An n-gram is one word piece (pieces.h) or two in a row. The three blocks have their own hash and
// share 4,032 buckets; a second bit of the hash is the sign, so that what collides cancels on
// average (feature hashing, Weinberger et al. 2009, arXiv:0902.2206). A count c weighs 1 + ln c;
// each block is scaled to a length of its own. Facts have 64 buckets to themselves.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ac {

inline constexpr int kNgramBuckets = 4096;
inline constexpr int kFactBuckets = 64;  // the last of them

// What a request says beside its prompt.
struct RequestFacts {
  int32_t n_turns = 1;      // messages of the user
  bool has_tools = false;   // functions that the answer may call
  bool wants_json = false;  // a schema or a JSON object was asked for
};

// Of a longer prompt the first and the last bytes are read.
inline constexpr size_t kGateHeadBytes = 6144;
inline constexpr size_t kGateTailBytes = 2048;

// The bucket of an n-gram (its hash as in NgramFeatures::hashes) within the block of the whole
// prompt.
size_t whole_prompt_bucket(uint64_t hash);
// The n-grams of a prompt in the order of their hashes, for people to read.
std::vector<std::string> prompt_ngrams(std::string_view prompt);

struct NgramFeatures {
  struct Entry {
    uint16_t bucket = 0;
    float value = 0;
  };
  std::vector<Entry> entries;  // each bucket at most once
  int32_t n_pieces = 0;
  // Hashes of the n-grams of the whole prompt, in its order, for novelty.
  std::vector<uint64_t> hashes;
};

// Keeps its buffers from one prompt to the next, so that reading allocates nothing. Not
// thread-safe.
class NgramReader {
 public:
  NgramReader();
  // Valid until the next call. Any bytes are allowed.
  const NgramFeatures& read(std::string_view prompt, const RequestFacts& facts = {});

 private:
  // What is counted on the way.
  struct Counts {
    int32_t n_digits = 0, n_marks = 0, n_foreign = 0, n_lines = 0;
    bool asks = false;  // the last piece is a question mark
  };
  void read_pieces(std::string_view text);
  void add_block(std::span<const uint64_t> pieces, uint64_t salt, float length);
  void add_facts(const RequestFacts& facts);
  void add(size_t bucket, float value);

  NgramFeatures features_;
  Counts seen_;
  std::vector<uint64_t> pieces_;   // hashes
  std::vector<int32_t> counts_;    // [kNgramBuckets], signed; zero between blocks
  std::vector<uint16_t> touched_;  // buckets of the block
  std::vector<float> weights_;     // of touched_
  std::vector<float> values_;      // [kNgramBuckets], zero between prompts
  std::vector<uint16_t> filled_;   // buckets of the prompt
};

}  // namespace ac
