#include "models/compress/calibration.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "cpu/backend_cpu.h"
#include "models/compress/tensor_values.h"
#include "tests/compress/algebra.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

TokenWindows random_windows(int32_t n_vocab) {
  TokenWindows windows;
  windows.add(test::random_tokens(40, n_vocab, 1));
  windows.add(test::random_tokens(23, n_vocab, 2));
  return windows;
}

TEST(CalibrationText, DocumentsOfPlainTextAndJsonLines) {
  const auto plain = split_documents("\n\none\nstill one\n \t\ntwo\n\n\n\nthree", "a.txt");
  ASSERT_TRUE(plain);
  ASSERT_EQ(plain->size(), 3u);
  EXPECT_EQ((*plain)[0].text, "one\nstill one");
  EXPECT_EQ((*plain)[2].text, "three");
  const auto lines =
      split_documents("{\"text\": \"one\\n\\nstill one\"}\n\n{\"text\":\" two \"}\n", "a.jsonl");
  ASSERT_TRUE(lines) << lines.error().message;
  ASSERT_EQ(lines->size(), 2u);
  EXPECT_EQ((*lines)[0].text, "one\n\nstill one");
  EXPECT_EQ((*lines)[1].hash, (*plain)[1].hash);  // space around it does not count
  EXPECT_TRUE(split_documents("", "a.txt")->empty());
  EXPECT_TRUE(split_documents(" \n\n ", "a.txt")->empty());
  for (const char* bad : {"{\"text\": 1}", "{\"txt\": \"\"}", "[]", "{", "\"text\"", "nonsense"}) {
    const auto refused = split_documents(std::string("{\"text\":\"a\"}\n") + bad, "a.jsonl");
    ASSERT_FALSE(refused) << bad;
    EXPECT_NE(refused.error().message.find("a.jsonl:2"), std::string::npos)
        << refused.error().message;
  }
}

std::vector<TextDocument> numbered(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += fmt::format("document {}\n\n", i);
  return *split_documents(text, "a.txt");
}

TEST(CalibrationText, HeldOutTextIsApart) {
  std::vector<TextDocument> documents = numbered(0, 100);
  documents.push_back(documents[9]);  // held out, and repeated
  const SplitText split = split_held_out(documents);
  EXPECT_EQ(split.held_out.size(), 10u);
  EXPECT_EQ(split.calibration.size(), 90u);
  EXPECT_TRUE(check_apart(split.calibration, split.held_out));
  const Status overlap = check_apart(numbered(0, 50), numbered(49, 60));
  ASSERT_FALSE(overlap);
  EXPECT_EQ(overlap.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(overlap.error().message.find("document 49"), std::string::npos);
  EXPECT_NE(hash_of(numbered(0, 5)), hash_of(numbered(0, 6)));
}

TEST(CalibrationText, PackedIntoWindows) {
  const Checkpoint model = test::random_model({.family = "llama", .tokenizer = true});
  const auto tokenizer = Tokenizer::from_checkpoint(model);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const std::vector<TextDocument> documents = numbered(0, 20);
  const TokenWindows packed = *pack_documents(documents, **tokenizer, "", 32, 100000);
  size_t begin = 0;
  for (size_t i = 0; i < packed.n_windows(); ++i) {
    const auto window = packed.window(i);
    EXPECT_EQ(begin + window.size(), packed.ends[i]);
    begin = packed.ends[i];
    if (i + 1 < packed.n_windows()) {
      EXPECT_EQ(window.size(), 32u);
    }
    if ((*tokenizer)->adds_bos()) {
      EXPECT_EQ(window[0], *(*tokenizer)->bos());
    }
  }
  const TokenWindows some = *pack_documents(documents, **tokenizer, "", 32, 70);
  EXPECT_LE(some.tokens.size(), 70u + 3);  // and bos of a window
  EXPECT_GE(some.tokens.size(), 68u);
}

TEST(CalibrationText, PromptsWithAnswersHaveWindowsOfTheirOwn) {
  const auto documents = split_documents(
      "{\"prompt\": \"What?\", \"answer\": \" That. \"}\n{\"text\": \"plain\"}\n", "a.jsonl");
  ASSERT_TRUE(documents) << documents.error().message;
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ((*documents)[0].prompt, "What?");
  EXPECT_EQ((*documents)[0].text, "That.");
  const Checkpoint model = test::random_model({.family = "llama", .tokenizer = true});
  const auto tokenizer = Tokenizer::from_checkpoint(model);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto refused = pack_documents(*documents, **tokenizer, "", 64, 1000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  const auto packed =
      pack_documents(*documents, **tokenizer,
                     "{% for m in messages %}{{ m.content }}{% endfor %}", 64, 1000);
  ASSERT_TRUE(packed) << packed.error().message;
  ASSERT_EQ(packed->n_windows(), 2u);
  // The prompt counts nothing, the answer and the text do.
  const size_t n_prompt = (*tokenizer)->encode("What?").size();
  ASSERT_GT(packed->window(0).size(), n_prompt);
  for (size_t j = 0; j < packed->window(0).size(); ++j) {
    EXPECT_EQ(packed->weight(0, j), j < n_prompt ? 0.0f : 1.0f) << j;
  }
  for (size_t j = 0; j < packed->window(1).size(); ++j) EXPECT_EQ(packed->weight(1, j), 1.0f);
  for (const char* bad : {"{\"prompt\": 1, \"answer\": \"a\"}", "{\"prompt\": \"a\"}"}) {
    EXPECT_FALSE(split_documents(bad, "a.jsonl")) << bad;
  }
}

// What the layers of a model do, one after the other, is what the model does.
TEST(LayerRunner, LayersGiveTheModel) {
  for (const std::string_view family : test::random_model_families()) {
    for (const bool uneven : {false, true}) {
      SCOPED_TRACE(family);
      const Checkpoint model =
          test::random_model({.family = family, .per_layer = uneven, .low_rank = uneven});
      const auto config = read_model_config(model);
      ASSERT_TRUE(config);
      const TokenWindows windows = random_windows(config->n_vocab);
      auto memory = embed_windows(model, *config, windows);
      ASSERT_TRUE(memory);
      const auto width = static_cast<size_t>(config->d_model);
      const std::span<float> x = memory->as<float>().first(windows.tokens.size() * width);
      size_t n_seen = 0;
      for (int32_t layer = 0; layer < static_cast<int32_t>(config->layers.size()); ++layer) {
        const auto runner = LayerRunner::create(model, layer, windows, x, 2);
        ASSERT_TRUE(runner) << runner.error().message;
        const std::vector<float> before(x.begin(), x.end());
        const BlockTap count = [&](const BlockInputs& inputs) -> Status {
          n_seen += inputs.n_tokens;
          EXPECT_EQ(inputs.normed.size(), inputs.n_tokens * width);
          return {};
        };
        if ((*runner)->has_attention()) {
          ASSERT_TRUE((*runner)->attention(LayerRunner::Stream::kKeep, count));
          EXPECT_EQ(std::memcmp(before.data(), x.data(), x.size_bytes()), 0);
          ASSERT_TRUE((*runner)->attention(LayerRunner::Stream::kAdvance, nullptr));
        }
        if ((*runner)->has_feed_forward()) {
          ASSERT_TRUE((*runner)->feed_forward(LayerRunner::Stream::kAdvance, count));
        }
      }
      EXPECT_GT(n_seen, 0u);
      // The rest of the forward pass: output norm and output, in double.
      cpu::ThreadTeam team({.n_threads = 1});
      auto norm = read_weights(model, "output_norm.weight", team);
      const bool untied = has_tensor(model, "output.weight");
      auto output = read_weights(model, untied ? "output.weight" : "token_embd.weight", team);
      ASSERT_TRUE(norm && output);
      size_t first = 0;
      for (size_t w = 0; w < windows.n_windows(); ++w) {
        auto backend = cpu::create_cpu_backend();
        const auto expected = test::run_logits(model, **backend, windows.window(w));
        ASSERT_TRUE(expected);
        std::vector<double> actual;
        for (size_t t = 0; t < windows.window(w).size(); ++t) {
          const float* row = x.data() + (first + t) * width;
          double square = 0;
          for (size_t j = 0; j < width; ++j) square += double{row[j]} * double{row[j]};
          const double scale =
              1 / std::sqrt(square / static_cast<double>(width) + double{config->norm_epsilon});
          for (int32_t v = 0; v < config->n_vocab; ++v) {
            double sum = 0;
            for (size_t j = 0; j < width; ++j) {
              sum += double{row[j]} * scale * double{norm->values()[j]} *
                     double{output->values()[static_cast<size_t>(v) * width + j]};
            }
            if (config->logit_softcap > 0) {
              const double cap = double{config->logit_softcap};
              sum = cap * std::tanh(sum / cap);
            }
            actual.push_back(sum);
          }
        }
        EXPECT_LT(test::nmse(std::span<const double>(actual), std::span<const float>(*expected)),
                  1e-9);
        first += windows.window(w).size();
      }
    }
  }
}

TEST(Calibrate, MomentsOfTheFirstLayersInput) {
  const Checkpoint model = test::random_model({.family = "llama"});
  const auto config = read_model_config(model);
  const TokenWindows windows = random_windows(config->n_vocab);
  std::vector<LayerMoments> found;
  int32_t last = 0;
  ASSERT_TRUE(calibrate(model, windows,
                        {.n_threads = 2,
                         .keep =
                             [&](int32_t layer, LayerMoments one) {
                               EXPECT_EQ(layer, static_cast<int32_t>(found.size()));
                               found.push_back(std::move(one));
                               return Status();
                             },
                         .progress = [&](int32_t done, int32_t) { last = done; }}));
  ASSERT_EQ(found.size(), config->layers.size());
  EXPECT_EQ(last, static_cast<int32_t>(config->layers.size()));
  EXPECT_EQ(found[0].n_tokens, windows.tokens.size());
  EXPECT_GT(found[0].influence, 0);
  for (const LayerMoments& one : found) {
    EXPECT_EQ(one.down.h.n_rows(), config->layers[0].d_ff);
    EXPECT_EQ(one.output.h.n_rows(), config->layers[0].n_heads * config->d_head);
  }
  // By hand: embedding, norm, outer products.
  cpu::ThreadTeam team({.n_threads = 1});
  auto norm = read_weights(model, "blk.0.attn_norm.weight", team);
  auto table = read_weights(model, "token_embd.weight", team);
  const auto n = static_cast<size_t>(config->d_model);
  auto expected = Matrix::create(config->d_model, config->d_model);
  std::vector<double> mean(n, 0);
  for (const int32_t token : windows.tokens) {
    const float* row = table->values().data() + static_cast<size_t>(token) * n;
    double square = 0;
    for (size_t j = 0; j < n; ++j) square += double{row[j]} * double{row[j]};
    const double scale =
        1 / std::sqrt(square / static_cast<double>(n) + double{config->norm_epsilon});
    std::vector<double> x;
    for (size_t j = 0; j < n; ++j) x.push_back(double{row[j]} * scale * double{norm->values()[j]});
    for (size_t i = 0; i < n; ++i) {
      mean[i] += x[i] / static_cast<double>(windows.tokens.size());
      for (size_t j = 0; j < n; ++j) {
        (*expected)(static_cast<int64_t>(i), static_cast<int64_t>(j)) +=
            x[i] * x[j] / static_cast<double>(windows.tokens.size());
      }
    }
  }
  // Products of single precision: 63 terms of about 1.
  EXPECT_LT(test::largest_difference(found[0].attention.h, *expected), 1e-5);
  for (size_t j = 0; j < n; ++j) EXPECT_NEAR(found[0].attention.mean[j], mean[j], 1e-6);

  // Kept in a file and read back.
  const auto file = moments_to_checkpoint(found[0]);
  ASSERT_TRUE(file);
  const auto back = moments_from_checkpoint(*file);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_LT(test::largest_difference(back->down.h, found[0].down.h), 1e-5);
  EXPECT_EQ(back->n_tokens, found[0].n_tokens);

  // What is there already is not measured again, and nothing is run after the last gap.
  std::set<int32_t> kept;
  int32_t reached = 0;
  ASSERT_TRUE(calibrate(model, windows,
                        {.n_threads = 1,
                         .has = [](int32_t layer) { return layer != 0; },
                         .keep =
                             [&](int32_t layer, LayerMoments) {
                               kept.insert(layer);
                               return Status();
                             },
                         .progress = [&](int32_t done, int32_t) { reached = done; }}));
  EXPECT_EQ(kept, std::set<int32_t>{0});
  EXPECT_EQ(reached, 1);
}

TEST(Calibrate, SaysHowMuchTextIsMissing) {
  const Checkpoint model = test::random_model({.family = "llama"});
  const auto config = read_model_config(model);
  const auto needed = static_cast<size_t>(widest_input(*config)) * kTokensPerFeature;
  EXPECT_TRUE(check_enough_tokens(*config, needed));
  const Status status = check_enough_tokens(*config, needed - 7);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("; 7 are missing"), std::string::npos)
      << status.error().message;
}

}  // namespace
}  // namespace ac
