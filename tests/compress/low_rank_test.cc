#include "models/compress/low_rank.h"

#include <gtest/gtest.h>

#include "models/compress/measure.h"
#include "models/compress/repair.h"
#include "models/compress/tensor_values.h"
#include "tests/compress/algebra.h"
#include "tests/compress/stories.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

using test::correlated_moments;
using test::random_matrix;

double pair_loss(const Matrix& w, const LowRankPair& pair, const Matrix& h, cpu::ThreadTeam& team) {
  auto e = product(pair.out, pair.in, Transposed::kNo, team);
  for (int64_t i = 0; i < w.n_rows() * w.n_cols(); ++i) e->data()[i] -= w.data()[i];
  return *quadratic_loss(*e, h, team);
}

// Whitening: with H = L L^T the best pair comes from the singular values of W L; what is lost are
// the squares of those left out. Its spectrum by another way: eigenvalues of (W L)^T (W L).
TEST(LowRank, LosesWhatWhiteningLoses) {
  cpu::ThreadTeam team({.n_threads = 2});
  const Matrix w = random_matrix(40, 56, 1);
  const Matrix h = correlated_moments(56, 2);
  const auto factor = factorise(h, 0);
  ASSERT_TRUE(factor);
  auto upper = Matrix::create(56, 56);
  for (int64_t i = 0; i < 56; ++i) {
    for (int64_t j = i; j < 56; ++j) (*upper)(i, j) = factor->factor(i, j);
  }
  // W U^T, since H = U^T U.
  const auto whitened = product(w, *upper, Transposed::kYes, team);
  const auto turned = transpose_of(*whitened);
  auto gram = product(*turned, *turned, Transposed::kYes, team);
  const auto eigen = eigen_symmetric(std::move(*gram));
  ASSERT_TRUE(eigen);
  const auto spectrum = output_spectrum(w, h, team);
  ASSERT_TRUE(spectrum);
  const double energy = *quadratic_loss(w, h, team);
  for (const int64_t rank : {1, 7, 20, 39, 40}) {
    double whitening = 0;  // 56 values ascend; the 40 largest are not 0
    for (int64_t i = 0; i < 56 - rank; ++i) whitening += eigen->values[static_cast<size_t>(i)];
    const auto pair = factor_along(*spectrum, w, rank, team);
    ASSERT_TRUE(pair);
    EXPECT_NEAR(pair_loss(w, *pair, h, team), whitening, 1e-6 * energy) << rank;
  }
}

TEST(LowRank, BeatsThePlainSingularValueDecomposition) {
  cpu::ThreadTeam team({.n_threads = 2});
  const Matrix w = random_matrix(48, 64, 3);
  const Matrix h = correlated_moments(64, 4);
  auto one = Matrix::create(64, 64);
  for (int64_t i = 0; i < 64; ++i) (*one)(i, i) = 1;
  const auto ours = output_spectrum(w, h, team);
  const auto plain = output_spectrum(w, *one, team);
  ASSERT_TRUE(ours && plain);
  const auto our_pair = factor_along(*ours, w, 16, team);
  const auto plain_pair = factor_along(*plain, w, 16, team);
  EXPECT_LT(pair_loss(w, *our_pair, h, team), 0.8 * pair_loss(w, *plain_pair, h, team));
}

TEST(LowRank, RanksThatAreWorthwhile) {
  EXPECT_EQ(largest_rank(2048, 2048, 32), 896);  // below 0.9 * 1024
  EXPECT_EQ(largest_rank(256, 2048, 32), 192);   // below 204.8
  EXPECT_EQ(largest_rank(64, 64, 32), 0);        // below 28.8
  EXPECT_EQ(largest_rank(64, 64, 4), 28);
  for (const int64_t m : {64, 100, 256}) {
    for (const int64_t n : {64, 320}) {
      const int64_t rank = largest_rank(m, n, 4);
      EXPECT_LT(static_cast<double>(rank * (m + n)), kWorthwhile * static_cast<double>(m * n));
    }
  }
}

TEST(LowRank, RanksAreSharedByWhatTheyCost) {
  // One spectrum falls fast, the other not at all.
  RankChoice steep{.n_out = 256, .n_in = 256, .energies = {}};
  RankChoice flat = steep;
  for (int i = 0; i < 256; ++i) {
    steep.energies.push_back(std::pow(0.9, i));
    flat.energies.push_back(1);
  }
  const std::vector<int64_t> ranks = share_ranks({steep, flat}, 0.7, 32);
  EXPECT_GT(ranks[0], 0);
  EXPECT_LE(ranks[0], 64);
  EXPECT_EQ(ranks[1], 0);  // stays dense
  const auto macs = [](int64_t rank) { return rank == 0 ? 256 * 256 : rank * 512; };
  EXPECT_LE(static_cast<double>(macs(ranks[0]) + macs(ranks[1])), 0.7 * 2 * 256 * 256);
  const std::vector<int64_t> all = share_ranks({steep, flat}, 0.45, 32);
  EXPECT_EQ(all[0], 32);
  EXPECT_EQ(all[1], 64);  // what its one step saved too much came back to it
  EXPECT_LE(static_cast<double>(macs(all[0]) + macs(all[1])), 0.45 * 2 * 256 * 256);
}

class LowRankStories : public test::StoriesTest {
 protected:
  static double kl(const Checkpoint& variant) {
    const auto quality = measure_quality(*bench().base(), variant, held_out());
    EXPECT_TRUE(quality) << quality.error().message;
    return quality->kl_mean;
  }
};

TEST_F(LowRankStories, AgainstPlainAndRepaired) {
  const LowRankOptions options{.keep = 0.5, .unit = 4};
  auto made = low_rank(bench().stage(bench().base()), options);
  ASSERT_TRUE(made) << made.error().message;
  auto blind = low_rank(bench().blind_stage(), options);
  ASSERT_TRUE(blind) << blind.error().message;
  const double ours = kl(made->checkpoint), plain = kl(blind->checkpoint);
  const auto from = std::make_shared<const Checkpoint>(std::move(made->checkpoint));
  const auto fixed = repair(bench().stage(from), {});
  ASSERT_TRUE(fixed) << fixed.error().message;
  const double repaired = kl(fixed->checkpoint);
  RecordProperty("low_rank_plain", std::to_string(plain));
  RecordProperty("low_rank_eigen", std::to_string(ours));
  RecordProperty("low_rank_repaired", std::to_string(repaired));
  EXPECT_LT(ours, plain);
  EXPECT_LT(repaired, ours);
}

// q, k and v with one inner factor: its product is computed once.
TEST_F(LowRankStories, SharedInnerFactor) {
  const auto made = low_rank(bench().stage(bench().base()),
                             {.keep = 0.7, .o = false, .joint_qkv = true, .unit = 4});
  ASSERT_TRUE(made) << made.error().message;
  const Checkpoint& checkpoint = made->checkpoint;
  const auto dense = model_cost(*bench().base());
  const auto cost = model_cost(checkpoint);
  ASSERT_TRUE(dense && cost) << cost.error().message;
  uint64_t saved = 0;
  for (int32_t layer = 0; layer < 5; ++layer) {
    const auto in = checkpoint.tensor(layer_tensor(layer, "attn_qkv.lowrank_in"));
    if (!in) continue;
    const auto rank = static_cast<uint64_t>(in->n_rows());
    saved += 128 * 64 - rank * (128 + 64);  // q 64, k 32, v 32 rows of 64
  }
  EXPECT_GT(saved, 0u);
  EXPECT_EQ(cost->macs_per_token, dense->macs_per_token - saved);
  EXPECT_LT(kl(checkpoint), 0.5);
}

TEST(LowRank, EveryFamilyAtAlmostFullRank) {
  for (const std::string_view family : test::random_model_families()) {
    for (const bool joint : {false, true}) {
      SCOPED_TRACE(family);
      const auto base = std::make_shared<const Checkpoint>(test::random_model({.family = family}));
      const auto config = read_model_config(*base);
      TokenWindows windows;
      windows.add(test::random_tokens(90, config->n_vocab, 1));
      test::Workbench bench(base, windows);
      const auto made =
          low_rank(bench.stage(base), {.keep = 0.95, .o = !joint, .joint_qkv = joint, .unit = 1});
      ASSERT_TRUE(made) << made.error().message;
      const std::vector<int32_t> tokens = test::random_tokens(20, config->n_vocab, 2);
      auto backend = cpu::create_cpu_backend();
      auto other = cpu::create_cpu_backend();
      const auto expected = test::run_logits(*base, **backend, tokens);
      const auto actual = test::run_logits(made->checkpoint, **other, tokens);
      ASSERT_TRUE(expected && actual) << actual.error().message;
      // Random weights have flat spectra: what is cut off here is a few per cent of some outputs.
      EXPECT_LT(test::nmse(std::span<const float>(*actual), std::span<const float>(*expected)),
                0.5);
    }
  }
}

}  // namespace
}  // namespace ac
