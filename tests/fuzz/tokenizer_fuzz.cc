// A vocabulary written in a small line format, and a text to encode with it:
//   m MODEL | p PRE | t TYPE SCORE TOKEN | g MERGE | i NAME ID | b FLAG | ! and the rest is the
//   text.
// What is encoded must decode to the same bytes where every byte has a token.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/tokenizer.h"

namespace {

// The first word of `line`, taken off it.
std::string_view word(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view first = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return first;
}

int number(std::string_view text) { return std::atoi(std::string(text).c_str()); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  ac::Checkpoint checkpoint;
  checkpoint.origin = "fuzz";
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  std::vector<float> scores;
  while (!input.empty() && input[0] != '!') {
    std::string_view line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
    const std::string_view kind = word(line);
    if (kind == "m") checkpoint.set_string("tokenizer.ggml.model", std::string(line));
    if (kind == "p") checkpoint.set_string("tokenizer.ggml.pre", std::string(line));
    if (kind == "g") merges.emplace_back(line);
    if (kind == "b") checkpoint.set_bool("tokenizer.ggml.add_space_prefix", line == "1");
    if (kind == "i") {
      const std::string name(word(line));
      checkpoint.set_uint("tokenizer.ggml." + name + "_token_id",
                          static_cast<uint32_t>(number(line)));
    }
    if (kind == "t") {
      types.push_back(number(word(line)));
      scores.push_back(static_cast<float>(number(word(line))));
      tokens.emplace_back(line);
    }
  }
  if (!input.empty()) input.remove_prefix(1);
  checkpoint.set_strings("tokenizer.ggml.tokens", tokens);
  checkpoint.set_integers("tokenizer.ggml.token_type", types);
  checkpoint.set_floats("tokenizer.ggml.scores", scores);
  checkpoint.set_strings("tokenizer.ggml.merges", merges);
  const auto made = ac::Tokenizer::from_checkpoint(checkpoint);
  if (!made) return 0;
  const ac::Tokenizer& tokenizer = **made;
  const auto ids = tokenizer.encode(input);
  bool all_bytes = true;
  for (int b = 0; b < 256 && all_bytes; ++b) {
    const auto one = tokenizer.encode(std::string(1, static_cast<char>(b)));
    all_bytes = tokenizer.decode(one, true) == std::string(1, static_cast<char>(b));
  }
  if (all_bytes && !tokenizer.drops_first_space() && input.find("\xe2\x96\x81") == input.npos &&
      tokenizer.decode(ids, true) != input) {
    std::abort();
  }
  for (const int32_t id : ids) {
    if (id < 0 || id >= tokenizer.n_vocab()) std::abort();
    if (types[static_cast<size_t>(id)] == 3) std::abort();  // a control token out of plain text
  }
  const size_t half = input.size() / 2;
  const auto marked =
      tokenizer.encode_marked({std::string(input), {{0, half}, {half + 1, input.size()}}});
  ac::Detokenizer detokenizer(tokenizer);
  for (const int32_t id : marked) detokenizer.push(id);
  detokenizer.finish();
  return 0;
}
