// What a model costs, counted by running the one forward pass on a backend that only counts.
#include <utility>

#include "models/arch/model.h"

namespace ac {
namespace {

class CountingBackend final : public Backend {
 public:
  ModelCost cost;

  std::string_view name() const override { return "counting"; }

  Result<WeightId> load_matrix(const TensorView& view) override { return add_weight(view); }
  Status load_residual(WeightId base, const TensorView& view) override {
    weights_[static_cast<size_t>(base)].residual_bytes = view.size_bytes;
    return {};
  }
  void read_residual(WeightId base, bool reads) override {
    Weight& w = weights_[static_cast<size_t>(base)];
    if (w.reads_residual != reads)
      cost.weight_bytes += reads ? w.residual_bytes : -w.residual_bytes;
    w.reads_residual = reads;
  }
  Result<WeightId> load_vector(const TensorView& view) override { return add_weight(view); }
  Result<RopeId> load_rope(const RopeTable&) override { return RopeId{0}; }
  Status create_kv(const KvShape&) override { return {}; }
  uint64_t kv_bytes(const KvShape&) const override { return 0; }
  void copy_kv(int32_t, int32_t, int32_t) override {}

  void begin_step(const Batch& batch) override { n_tokens_ = static_cast<int32_t>(batch.size()); }
  void begin_scope() override {}
  void end_scope() override {}

  Value embed(WeightId table) override {
    const Weight& w = weight(table);
    cost.bytes_per_token += bytes_read(w) / static_cast<uint64_t>(w.n_out);
    return make(n_tokens_, w.n_in);
  }
  Value rms_norm(Value x, WeightId norm, float, int32_t) override {
    read_once(norm);
    return make(x.n_rows, x.n_cols);
  }
  Value matmul(Value x, WeightId id, WeightId bias) override {
    const Weight& w = weight(id);
    const uint64_t macs = static_cast<uint64_t>(x.n_rows) * static_cast<uint64_t>(w.n_out) *
                          static_cast<uint64_t>(w.n_in);
    cost.macs_per_token += macs;
    const int n_planes = w.reads_residual ? 2 : 1;
    cost.bit_ops_per_token += static_cast<double>(macs) * n_planes * w.bits_per_weight / 16;
    read_once(id);
    read_once(bias);
    return make(x.n_rows, w.n_out);
  }
  void rope(Value, int32_t, RopeId) override {}
  void store_kv(int32_t, Value, Value) override {}
  Value attend(Value q, const AttendOptions&) override {
    // One position: a product of q with k, one of a score with v.
    const uint64_t macs = 2 * static_cast<uint64_t>(q.n_rows) * static_cast<uint64_t>(q.n_cols);
    cost.macs_per_token += macs;
    cost.bit_ops_per_token += static_cast<double>(macs);
    return make(q.n_rows, q.n_cols);
  }
  Value gated(Value gate, Value, Activation) override { return make(gate.n_rows, gate.n_cols); }
  void add(Value, Value) override {}
  void scale(Value, float) override {}
  void softcap(Value, float) override {}
  Value select_rows(Value x, std::span<const int32_t> rows) override {
    return make(static_cast<int32_t>(rows.size()), x.n_cols);
  }
  Status end_step() override { return {}; }
  std::span<const float> read(Value) override { return {}; }

 private:
  struct Weight {
    int32_t n_out = 0;
    int32_t n_in = 0;
    uint64_t size_bytes = 0;
    double bits_per_weight = 0;
    bool read = false;
    uint64_t residual_bytes = 0;
    bool reads_residual = false;
  };

  Result<WeightId> add_weight(const TensorView& view) {
    weights_.push_back({.n_out = static_cast<int32_t>(view.n_rows()),
                        .n_in = static_cast<int32_t>(view.n_cols()),
                        .size_bytes = view.size_bytes,
                        .bits_per_weight = weight_format_info(view.format).bits_per_weight});
    cost.weight_bytes += view.size_bytes;
    cost.parameters += static_cast<uint64_t>(view.n_rows()) * static_cast<uint64_t>(view.n_cols());
    return static_cast<WeightId>(weights_.size() - 1);
  }
  static uint64_t bytes_read(const Weight& w) {
    return w.size_bytes + (w.reads_residual ? w.residual_bytes : 0);
  }
  const Weight& weight(WeightId id) const { return weights_[static_cast<size_t>(id)]; }
  // Weights that several layers share come from memory once.
  void read_once(WeightId id) {
    if (id == WeightId::kNone) return;
    Weight& w = weights_[static_cast<size_t>(id)];
    if (std::exchange(w.read, true)) return;
    cost.bytes_per_token += bytes_read(w);
  }
  Value make(int32_t n_rows, int32_t n_cols) { return {n_values_++, n_rows, n_cols}; }

  std::vector<Weight> weights_;
  int32_t n_tokens_ = 0;
  int32_t n_values_ = 0;
};

}  // namespace

Result<ModelCost> model_cost(const Checkpoint& checkpoint) {
  CountingBackend backend;
  AC_TRY(const Model model, load_model(checkpoint, backend));
  const int32_t zero[] = {0};
  backend.begin_step({.tokens = zero, .positions = zero, .slots = zero});
  forward(backend, model, zero);
  return backend.cost;
}

}  // namespace ac
