// The class behind create_vulkan_backend, for the files that implement it and for nobody else:
//
//   backend_vulkan.cc      loading, steps and scopes, results
//   backend_verbs.cc       what passes over memory once
//   backend_products.cc    matrix products
//   backend_attention.cc   rope, the cache, attention
//
// A verb adds dispatches to a Program. What a step has of its own (tokens, positions, rows, angles) goes
// into a buffer of words, `state`, so that steps of the same shapes are the same program.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "runtime/core/backend.h"
#include "shaders/program.h"
#include "shaders/weights.h"

namespace ac::vulkan {

inline uint32_t groups_of(uint64_t n, uint64_t each) {
  return static_cast<uint32_t>((n + each - 1) / each);
}
inline uint32_t bits_of(float x) {
  uint32_t bits = 0;
  static_assert(sizeof bits == sizeof x);
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

class VulkanBackend final : public Backend {
 public:
  static Result<std::unique_ptr<Backend>> create(const VulkanOptions& options);

  std::string_view name() const override { return "vulkan"; }
  std::string_view device() const override { return device_->facts().name; }
  std::optional<uint64_t> memory_free() const override { return device_->memory_free(); }
  Result<WeightId> load_matrix(const TensorView& view) override { return weights_->load_matrix(view); }
  uint64_t matrix_copy_bytes(const TensorView& view) const override {
    return WeightStore::bytes_of(view);
  }
  Status load_residual(WeightId base, const TensorView& view) override {
    return weights_->load_residual(base, view);
  }
  void read_residual(WeightId base, bool reads) override { weights_->read_residual(base, reads); }
  Result<WeightId> load_vector(const TensorView& view) override { return weights_->load_vector(view); }
  Result<RopeId> load_rope(const RopeTable& table) override;
  Status create_kv(const KvShape& shape) override;
  uint64_t kv_bytes(const KvShape& shape) const override;
  void copy_kv(int32_t from_slot, int32_t to_slot, int32_t n_positions) override;

  void begin_step(const Batch& batch) override;
  void begin_scope() override { scopes_.push_back({arena_used_, values_.size()}); }
  void end_scope() override;
  Value embed(WeightId table) override;
  Value rms_norm(Value x, WeightId weight, float epsilon, int32_t group) override;
  Value matmul(Value x, WeightId w, WeightId bias) override;
  void rope(Value x, int32_t d_head, RopeId rope) override;
  void store_kv(int32_t layer, Value k, Value v) override;
  Value attend(Value q, const AttendOptions& options) override;
  Value gated(Value gate, Value up, Activation activation) override;
  void add(Value x, Value y) override;
  void scale(Value x, float factor) override;
  void softcap(Value x, float cap) override;
  Value select_rows(Value x, std::span<const int32_t> rows) override;
  Status end_step() override;
  std::span<const float> read(Value value) override;

 private:
  struct Slot {
    uint64_t begin = 0;  // bytes of the activations
    uint64_t n_rows = 0, n_cols = 0;
    bool is_read = false;  // by a verb of this step
    // The dispatches of a product that nobody has read yet.
    size_t product_begin = 0, product_end = 0;
    // They went into another value instead (add); done again where somebody reads this one.
    std::vector<Dispatch> owed = {};
    Span in_bytes = {};      // what quantise.comp made of it; empty: nothing yet
    size_t bytes_depth = 0;  // scopes that were open then
    std::optional<uint64_t> at_host = {};  // in results_, after the step
    uint64_t bytes() const { return n_rows * n_cols * sizeof(float); }
  };
  struct Scope {
    uint64_t arena_used;
    size_t n_values;
  };
  struct Rope {
    std::vector<float> inverse_frequencies;
    RopePairing pairing;
    float magnitude;
  };
  struct RopeOfStep {
    RopeId id;
    uint32_t at;  // in state
  };
  struct CacheLayer {
    uint64_t begin = 0;  // bytes of kv_
    uint64_t half = 0;   // bytes of its keys, and of its values
    uint32_t width = 0;  // n_kv_heads * d_head
    KvShape::Layer shape;
  };
  enum class Op : uint32_t { kGatedSilu, kGatedGelu, kAdd, kScale, kSoftcap, kSelectRows };

  explicit VulkanBackend(std::unique_ptr<Device> device, const VulkanOptions& options)
      : options_(options), device_(std::move(device)) {}
  Status open();

  const Slot& slot(Value value) const {
    AC_CHECK(value.id >= 0 && static_cast<size_t>(value.id) < values_.size());
    return values_[static_cast<size_t>(value.id)];
  }
  Slot& slot(Value value) { return const_cast<Slot&>(std::as_const(*this).slot(value)); }
  Value make(uint64_t n_rows, uint64_t n_cols);
  uint64_t allocate(uint64_t size_bytes);
  // Of the activations; the buffer is known at the end of the step.
  Span span_of(const Slot& slot) const { return {kActivations, slot.begin, slot.begin + slot.bytes()}; }
  // For a verb that reads it.
  Span read_span(Value value);
  // For one that changes it in place.
  Span change_span(Value value);
  void pay(Slot& slot);
  static Span span_of(const Region& region) {
    return {region.buffer, region.offset, region.offset + region.size};
  }
  // Words for this step's own numbers. -> where they are
  uint32_t state_words(size_t n);
  void record(std::string_view shader, std::initializer_list<uint32_t> constants, Dispatch dispatch);
  // As many workgroups as wanted, in two directions where one has not so many.
  std::array<uint32_t, 3> groups_for(uint64_t n) const;
  void elementwise(Op op, Span out, Span a, Span b, uint64_t n, float number, uint32_t n_cols = 0,
                   uint32_t rows_at = 0, bool reads_state = false);
  void record_product(const Matrix& matrix, Span x, Span y, uint64_t n_tokens, const Region& bias,
                      size_t bias_size, bool adds, bool in_bytes);
  Span in_bytes(Value x);
  uint32_t angles_of_step(RopeId id);
  std::string_view with_sums(std::string_view subgroup, std::string_view shared) const {
    return has_subgroup_sums_ ? subgroup : shared;
  }
  void failed(Error error) {
    if (status_) status_ = std::move(error);
  }

  // Stand for buffers that have their size only when the step is whole.
  static inline const VkBuffer kActivations = reinterpret_cast<VkBuffer>(uintptr_t{1});
  static inline const Span kState = {reinterpret_cast<VkBuffer>(uintptr_t{2}), 0, 1};

  VulkanOptions options_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Commands> commands_;
  std::unique_ptr<Pipelines> pipelines_;
  std::unique_ptr<WeightMemory> weight_memory_;
  std::unique_ptr<Recorder> recorder_;
  std::optional<WeightStore> weights_;
  bool has_subgroup_sums_ = false;
  bool uses_dots_ = false;
  uint32_t lanes_ = 32;  // invocations of workgroups that sum

  std::vector<Rope> ropes_;
  DeviceBuffer activations_, state_, results_, kv_;
  KvShape kv_shape_;
  std::vector<CacheLayer> layers_;

  Batch batch_;
  Program program_;
  std::vector<Slot> values_;
  std::vector<Scope> scopes_;
  std::vector<RopeOfStep> ropes_of_step_;
  std::vector<uint32_t> words_;  // of state
  uint32_t tokens_at_ = 0, positions_at_ = 0, slots_at_ = 0;
  uint64_t arena_used_ = 0, arena_peak_ = 0;
  std::vector<float> read_memory_;
  Status status_;
  bool is_lost_ = false;
};

}  // namespace ac::vulkan
