#include "shaders/backend_vulkan.h"

#include <cmath>
#include <cstring>

#include "shaders/backend_class.h"

namespace ac::vulkan {

Result<std::unique_ptr<Backend>> create_vulkan_backend(const VulkanOptions& options) {
  return VulkanBackend::create(options);
}

Result<std::unique_ptr<Backend>> VulkanBackend::create(const VulkanOptions& options) {
  AC_TRY(std::unique_ptr<Device> device, Device::open(options));
  std::unique_ptr<VulkanBackend> backend(new VulkanBackend(std::move(device), options));
  AC_TRY_STATUS(backend->open());
  return std::unique_ptr<Backend>(std::move(backend));
}

Status VulkanBackend::open() {
  AC_TRY(commands_, Commands::create(*device_));
  AC_TRY(pipelines_, Pipelines::create(*device_));
  weight_memory_ = std::make_unique<WeightMemory>(*device_, *commands_);
  weights_.emplace(*weight_memory_, device_->facts());
  recorder_ = std::make_unique<Recorder>(*device_, *commands_, *pipelines_,
                                         options_.macs_per_submission);
  const DeviceFacts& facts = device_->facts();
  has_subgroup_sums_ = options_.uses_subgroups && facts.has_subgroup_sums;
  uses_dots_ = facts.has_integer_dot && options_.uses_integer_dot.value_or(facts.is_dot_fast);
  // Where the device is the CPU a workgroup is one vector; elsewhere half as many are too few to hide
  // the way to memory.
  const bool is_cpu = facts.type == VK_PHYSICAL_DEVICE_TYPE_CPU;
  lanes_ = !has_subgroup_sums_ ? (is_cpu ? 8 : 64)
                               : std::min(128u, is_cpu ? facts.subgroup_size
                                                       : std::max(32u, facts.subgroup_size));
  return {};
}

// --- loading ---------------------------------------------------------------------------------------

Result<RopeId> VulkanBackend::load_rope(const RopeTable& table) {
  if (table.inverse_frequencies.empty()) {
    return fail(ErrorCode::kInvalidArgument, "a rope table without frequencies");
  }
  ropes_.push_back({{table.inverse_frequencies.begin(), table.inverse_frequencies.end()},
                    table.pairing,
                    table.magnitude});
  return static_cast<RopeId>(ropes_.size() - 1);
}

namespace {

uint64_t cache_half(const KvShape& shape, const KvShape::Layer& layer, uint64_t alignment) {
  const uint64_t numbers = static_cast<uint64_t>(shape.n_slots) * static_cast<uint64_t>(shape.n_context) *
                           static_cast<uint64_t>(layer.n_kv_heads * layer.d_head);
  const uint64_t bytes = numbers * (shape.format == KvFormat::kF32 ? 4 : 2);
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

uint64_t VulkanBackend::kv_bytes(const KvShape& shape) const {
  uint64_t bytes = 0;
  for (const KvShape::Layer& layer : shape.layers) {
    bytes += 2 * cache_half(shape, layer, device_->facts().offset_alignment);
  }
  return bytes;
}

Status VulkanBackend::create_kv(const KvShape& shape) {
  if (shape.format == KvFormat::kQ8_0) {
    return fail(ErrorCode::kUnsupported, "a cache in q8_0 on Vulkan, expected f16 or f32");
  }
  recorder_->forget();
  kv_ = DeviceBuffer();  // the old one's memory counts as available
  layers_.clear();
  kv_shape_ = shape;
  uint64_t begin = 0;
  for (const KvShape::Layer& layer : shape.layers) {
    if (layer.d_head % 2 != 0 || layer.d_head > 256) {
      return fail(ErrorCode::kUnsupported, "heads of {} on Vulkan, expected an even number up to 256",
                  layer.d_head);
    }
    const uint64_t half = cache_half(shape, layer, device_->facts().offset_alignment);
    if (2 * half > device_->facts().storage_range) {
      return fail(ErrorCode::kUnsupported, "a cache of {} bytes for a layer; {} reads {} at a time",
                  2 * half, device_->facts().name, device_->facts().storage_range);
    }
    layers_.push_back({begin, half, static_cast<uint32_t>(layer.n_kv_heads * layer.d_head), layer});
    begin += 2 * half;
  }
  AC_TRY(kv_, DeviceBuffer::create(*device_, begin, MemoryKind::kDevice));
  return {};
}

void VulkanBackend::copy_kv(int32_t from_slot, int32_t to_slot, int32_t n_positions) {
  AC_CHECK(from_slot >= 0 && from_slot < kv_shape_.n_slots && to_slot >= 0 &&
           to_slot < kv_shape_.n_slots);
  AC_CHECK(n_positions >= 0 && n_positions <= kv_shape_.n_context);
  if (from_slot == to_slot || n_positions == 0 || is_lost_) return;
  const Status copied = commands_->run_once([&](VkCommandBuffer buffer) {
    for (const CacheLayer& layer : layers_) {
      const uint64_t row = uint64_t{layer.width} * (kv_shape_.format == KvFormat::kF32 ? 4 : 2);
      const uint64_t slot = row * static_cast<uint64_t>(kv_shape_.n_context);
      for (const uint64_t half : {uint64_t{0}, layer.half}) {
        const VkBufferCopy copy = {layer.begin + half + static_cast<uint64_t>(from_slot) * slot,
                                   layer.begin + half + static_cast<uint64_t>(to_slot) * slot,
                                   row * static_cast<uint64_t>(n_positions)};
        if (copy.size == 0) continue;
        device_->vk().CmdCopyBuffer(buffer, kv_.handle(), kv_.handle(), 1, &copy);
      }
    }
  });
  is_lost_ = is_lost_ || !copied;  // the next step says so
}

// --- recording -------------------------------------------------------------------------------------

uint64_t VulkanBackend::allocate(uint64_t size_bytes) {
  const uint64_t alignment = device_->facts().offset_alignment;
  const uint64_t begin = arena_used_;
  arena_used_ += (std::max<uint64_t>(size_bytes, 4) + alignment - 1) / alignment * alignment;
  arena_peak_ = std::max(arena_peak_, arena_used_);
  return begin;
}

Value VulkanBackend::make(uint64_t n_rows, uint64_t n_cols) {
  Slot made{.n_rows = n_rows, .n_cols = n_cols};
  if (made.bytes() > device_->facts().storage_range) {
    failed(fail(ErrorCode::kOutOfMemory, "{} bytes of activations; {} reads {} at a time", made.bytes(),
                device_->facts().name, device_->facts().storage_range));
  }
  made.begin = allocate(made.bytes());
  values_.push_back(std::move(made));
  return {.id = static_cast<int32_t>(values_.size() - 1),
          .n_rows = static_cast<int32_t>(n_rows),
          .n_cols = static_cast<int32_t>(n_cols)};
}

void VulkanBackend::begin_step(const Batch& batch) {
  AC_CHECK(batch.positions.size() == batch.size() && batch.slots.size() == batch.size());
  batch_ = batch;
  program_.dispatches.clear();
  program_.read_backs.clear();
  values_.clear();
  scopes_.clear();
  ropes_of_step_.clear();
  words_.clear();
  arena_used_ = arena_peak_ = 0;
  status_ = {};
  const auto put = [&](std::span<const int32_t> numbers) {
    const uint32_t at = state_words(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) words_[at + i] = static_cast<uint32_t>(numbers[i]);
    return at;
  };
  tokens_at_ = put(batch.tokens);
  positions_at_ = put(batch.positions);
  slots_at_ = put(batch.slots);
}

void VulkanBackend::end_scope() {
  AC_CHECK(!scopes_.empty());
  arena_used_ = scopes_.back().arena_used;
  values_.resize(scopes_.back().n_values);
  scopes_.pop_back();
  for (Slot& each : values_) {
    if (each.bytes_depth > scopes_.size()) each.in_bytes = {};
  }
}

uint32_t VulkanBackend::state_words(size_t n) {
  const size_t at = words_.size();
  words_.resize(at + n);
  return static_cast<uint32_t>(at);
}

void VulkanBackend::pay(Slot& slot) {
  for (const Dispatch& dispatch : slot.owed) program_.dispatches.push_back(dispatch);
  slot.owed.clear();
}

Span VulkanBackend::read_span(Value value) {
  Slot& read = slot(value);
  pay(read);
  read.is_read = true;
  read.product_begin = read.product_end = 0;
  return span_of(read);
}

Span VulkanBackend::change_span(Value value) {
  Slot& changed = slot(value);
  pay(changed);
  // What is owed is made from what was there.
  for (Slot& each : values_) {
    const bool reads = std::ranges::any_of(each.owed, [&](const Dispatch& dispatch) {
      return std::ranges::any_of(dispatch.bindings,
                                 [&](const Span& span) { return span.overlaps(span_of(changed)); });
    });
    if (reads && &each != &changed) pay(each);
  }
  changed.product_begin = changed.product_end = 0;
  changed.in_bytes = {};
  return span_of(changed);
}

void VulkanBackend::record(std::string_view shader, std::initializer_list<uint32_t> constants,
                           Dispatch dispatch) {
  if (!status_) return;
  const auto pipeline = pipelines_->get(shader, {constants.begin(), constants.size()});
  if (!pipeline) return failed(pipeline.error());
  dispatch.pipeline = *pipeline;
  program_.dispatches.push_back(dispatch);
}

std::array<uint32_t, 3> VulkanBackend::groups_for(uint64_t n) const {
  const uint64_t most = device_->facts().max_groups;
  if (n <= most) return {static_cast<uint32_t>(n), 1, 1};
  return {static_cast<uint32_t>(most), groups_of(n, most), 1};
}

// --- running ---------------------------------------------------------------------------------------

Status VulkanBackend::end_step() {
  AC_CHECK(scopes_.empty());
  if (is_lost_) return fail(ErrorCode::kIo, "{}: the device was lost", device_->facts().name);
  AC_TRY_STATUS(status_);
  uint64_t result_bytes = 0;
  for (Slot& each : values_) {
    if (each.is_read || each.bytes() == 0) continue;
    pay(each);
    each.at_host = result_bytes;
    program_.read_backs.push_back({span_of(each), result_bytes});
    result_bytes += each.bytes();
  }
  const auto grow = [&](DeviceBuffer& buffer, uint64_t size, MemoryKind kind) -> Status {
    if (size <= buffer.size()) return {};
    recorder_->forget();
    buffer = DeviceBuffer();
    AC_TRY(buffer, DeviceBuffer::create(*device_, size + size / 4, kind));
    return {};
  };
  AC_TRY_STATUS(grow(activations_, arena_peak_, MemoryKind::kDevice));
  AC_TRY_STATUS(grow(state_, words_.size() * sizeof(uint32_t), MemoryKind::kHost));
  AC_TRY_STATUS(grow(results_, result_bytes, MemoryKind::kHost));
  const auto resolve = [&](Span& span) {
    if (span.buffer == kActivations) span.buffer = activations_.handle();
    if (span.buffer == kState.buffer) span = {state_.handle(), 0, state_.size()};
  };
  for (Dispatch& dispatch : program_.dispatches) {
    for (Span& span : dispatch.bindings) resolve(span);
  }
  for (ReadBack& back : program_.read_backs) resolve(back.from);
  std::memcpy(state_.mapped(), words_.data(), words_.size() * sizeof(uint32_t));
  const Status status =
      recorder_->run(program_, results_.all(), options_.poison_memory ? activations_.all() : Region{});
  if (!status && status.error().code == ErrorCode::kIo) is_lost_ = true;
  return status;
}

std::span<const float> VulkanBackend::read(Value value) {
  const Slot& wanted = slot(value);
  const size_t n = wanted.n_rows * wanted.n_cols;
  if (wanted.at_host) {
    return {reinterpret_cast<const float*>(results_.mapped() + *wanted.at_host), n};
  }
  read_memory_.resize(n);
  const Status copied = commands_->download(activations_, wanted.begin,
                                            std::as_writable_bytes(std::span(read_memory_)));
  if (!copied) {
    is_lost_ = true;
    std::ranges::fill(read_memory_, std::nanf(""));
  }
  return read_memory_;
}

}  // namespace ac::vulkan
