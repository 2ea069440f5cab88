#include "tests/support/run_model.h"

#include <algorithm>
#include <numeric>

namespace ac::test {

Result<std::vector<float>> run_logits(const Checkpoint& checkpoint, Backend& backend,
                                      std::span<const int32_t> tokens, const RunOptions& options) {
  AC_TRY(const Model model, load_model(checkpoint, backend, {.n_context = options.n_context}));
  const int32_t n_context = options.n_context > 0 ? options.n_context : model.config.n_context;
  AC_TRY_STATUS(backend.create_kv(model.config.kv_shape(1, n_context, options.kv_format)));
  const size_t chunk = options.chunk > 0 ? static_cast<size_t>(options.chunk) : tokens.size();
  std::vector<float> logits;
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    const size_t n = std::min(chunk, tokens.size() - begin);
    std::vector<int32_t> positions(n);
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(begin));
    const std::vector<int32_t> slots(n, 0);
    std::vector<int32_t> rows(n);
    std::iota(rows.begin(), rows.end(), 0);
    backend.begin_step(
        {.tokens = tokens.subspan(begin, n), .positions = positions, .slots = slots});
    const Value out = forward(backend, model, rows);
    AC_TRY_STATUS(backend.end_step());
    const std::span<const float> values = backend.read(out);
    logits.insert(logits.end(), values.begin(), values.end());
  }
  return logits;
}

}  // namespace ac::test
