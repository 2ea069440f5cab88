// Load times and speed of the tokenizers on one core, in processor time, so that other work on the
// machine counts little.
// usage: tokenizer_speed SHARED_DATA [repeats]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "models/text/tokenizer.h"
#include "tests/text/real_vocabularies.h"

namespace ac {
namespace {

double now_s() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
double best_of(int repeats, Work work) {
  double best = 1e9;
  for (int i = 0; i < repeats; ++i) {
    const double start = now_s();
    work();
    best = std::min(best, now_s() - start);
  }
  return best;
}

std::string repeated(std::string_view unit, size_t n_bytes) {
  std::string text;
  while (text.size() < n_bytes) text.append(unit);
  return text;
}

int run(const std::string& shared, int repeats) {
  std::string books;
  std::vector<std::string> lines;
  for (const auto& file : std::filesystem::directory_iterator(shared + "/text/openstax")) {
    const auto text = read_file(file.path().string(), 64u << 20);
    if (!text) return 1;
    books += *text;
  }
  for (size_t at = 0; at < books.size();) {
    const size_t end = std::min(books.find('\n', at), books.size());
    lines.push_back(books.substr(at, end - at));
    at = end + 1;
  }
  const struct {
    const char* name;
    std::string text;
  } hard[] = {{"a", repeated("a", 8u << 20)},
              {"space", repeated(" ", 8u << 20)},
              {"U+0301", repeated("\xcc\x81", 8u << 20)},
              {"digits", repeated("0123456789", 8u << 20)}};
  std::printf("%-14s %8s %9s %9s |", "MB/s", "load ms", "books", "by line");
  for (const auto& h : hard) std::printf(" %8s", h.name);
  std::printf("\n");
  for (const RealVocabulary& real : real_vocabularies(shared)) {
    const auto checkpoint = open_vocabulary(real);
    if (!checkpoint) {
      std::fprintf(stderr, "%s\n", checkpoint.error().message.c_str());
      return 1;
    }
    const double load_s = best_of(repeats, [&] {
      if (!Tokenizer::from_checkpoint(*checkpoint)) std::abort();
    });
    const auto made = Tokenizer::from_checkpoint(*checkpoint);
    const Tokenizer& tokenizer = **made;
    size_t n_tokens = 0;
    const auto mb_per_s = [&](const std::string& text, int times) {
      const double s = best_of(times, [&] { n_tokens = tokenizer.encode(text).size(); });
      return static_cast<double>(text.size()) * 1e-6 / s;
    };
    const double books_rate = mb_per_s(books, repeats);
    const double line_s = best_of(repeats, [&] {
      for (const std::string& line : lines) n_tokens += tokenizer.encode(line).size();
    });
    std::printf("%-14s %8.1f %9.1f %9.1f |", real.name.c_str(), load_s * 1e3, books_rate,
                static_cast<double>(books.size()) * 1e-6 / line_s);
    for (const auto& h : hard) std::printf(" %8.1f", mb_per_s(h.text, 1));
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace ac

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: tokenizer_speed SHARED_DATA [repeats]\n");
    return 2;
  }
  return ac::run(argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 3);
}
