#include "models/compress/lora.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "runtime/core/rng.h"

namespace ac {
namespace {

bool is_adapted(const Parameters::Entry& entry, int64_t rank) {
  return entry.is_matrix() && entry.shape[0] > rank && entry.shape[1] > rank &&
         entry.name != "token_embd.weight" && entry.name != "output.weight";
}

// c [m, n] = beta * c + a b, with a stored [k, m] when `a_turned`, b stored [n, k] when `b_turned`.
void product(bool a_turned, bool b_turned, int32_t m, int32_t n, int32_t k, const float* a,
             const float* b, float beta, float* c) {
  cblas_sgemm(CblasRowMajor, a_turned ? CblasTrans : CblasNoTrans,
              b_turned ? CblasTrans : CblasNoTrans, m, n, k, 1.0f, a, a_turned ? m : k, b,
              b_turned ? k : n, beta, c, n);
}

}  // namespace

Result<std::unique_ptr<Lora>> Lora::create(const Parameters& parameters, int64_t rank,
                                           const LmTrainerOptions& options) {
  AC_TRY(const cpu::Isa* isa, cpu::choose_isa());
  std::unique_ptr<Lora> lora(new Lora(*isa, options));
  lora->rank_ = static_cast<int32_t>(rank);
  size_t n = 0;
  for (size_t i = 0; i < parameters.entries().size(); ++i) {
    const Parameters::Entry& entry = parameters.entries()[i];
    if (!is_adapted(entry, rank)) continue;
    Adapter adapter{.entry = i,
                    .b = n,
                    .a = n + static_cast<size_t>(entry.shape[0] * rank),
                    .first = lora->first_.size(),
                    .n_out = static_cast<int32_t>(entry.shape[0]),
                    .n_in = static_cast<int32_t>(entry.shape[1])};
    n = adapter.a + static_cast<size_t>(entry.shape[1] * rank);
    lora->adapters_.push_back(adapter);
    const std::span<const float> values = parameters.values().subspan(entry.offset, entry.size);
    lora->first_.insert(lora->first_.end(), values.begin(), values.end());
  }
  lora->values_.assign(n, 0.0f);
  lora->gradients_.assign(n, 0.0f);
  Rng rng(0xada);
  for (const Adapter& adapter : lora->adapters_) {
    const double deviation = 1 / std::sqrt(static_cast<double>(adapter.n_in));
    const std::span<float> a =
        std::span(lora->values_).subspan(adapter.a, static_cast<size_t>(adapter.n_in * rank));
    for (float& value : a) value = static_cast<float>(deviation * rng.normal());
  }
  lora->optimizer_ = std::make_unique<AdamW>(
      options.adamw, std::vector<DecayRange>{{.begin = 0, .end = n, .decays = true}});
  return lora;
}

void Lora::step(Parameters& parameters, float learning_rate, float factor) {
  const auto for_each = [&](const auto& body) {
    team_.for_each_chunk(static_cast<int32_t>(adapters_.size()), [&](int32_t i, int32_t) {
      const Adapter& adapter = adapters_[static_cast<size_t>(i)];
      body(adapter, parameters.entries()[adapter.entry]);
    });
  };
  for_each([&](const Adapter& adapter, const Parameters::Entry& entry) {
    const float* dw = parameters.gradients().data() + entry.offset;
    product(false, true, adapter.n_out, rank_, adapter.n_in, dw, values_.data() + adapter.a, 0,
            gradients_.data() + adapter.b);
    product(true, false, rank_, adapter.n_in, adapter.n_out, values_.data() + adapter.b, dw, 0,
            gradients_.data() + adapter.a);
  });
  std::ranges::fill(parameters.gradients(), 0.0f);
  optimizer_->step(isa_, team_, values_, gradients_, learning_rate, factor);
  for_each([&](const Adapter& adapter, const Parameters::Entry& entry) {
    float* w = parameters.values().data() + entry.offset;
    std::copy_n(first_.data() + adapter.first, entry.size, w);
    product(false, false, adapter.n_out, adapter.n_in, rank_, values_.data() + adapter.b,
            values_.data() + adapter.a, 1, w);
  });
}

}  // namespace ac
