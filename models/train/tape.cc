#include "models/train/tape.h"

#include <algorithm>
#include <cstring>

#include "cpu/formats/codecs.h"
#include "models/train/tape_state.h"
#include "runtime/core/check.h"

namespace ac {

using tape::Op;
using tape::OpKind;

namespace {

int32_t id_of(WeightId id) { return static_cast<int32_t>(id); }

}  // namespace

// --- recording -------------------------------------------------------------------------------------

tape::Variable& TapeBackend::State::variable(Value value) {
  return program.variables[static_cast<size_t>(current(value))];
}

int32_t TapeBackend::State::current(Value value) const {
  AC_CHECK(value.id >= 0 && static_cast<size_t>(value.id) < current_of.size());
  return current_of[static_cast<size_t>(value.id)];
}

Value TapeBackend::State::make(size_t n_rows, size_t n_cols) {
  program.variables.push_back({.n_rows = n_rows, .n_cols = n_cols, .readable = n_scopes == 0});
  current_of.push_back(static_cast<int32_t>(program.variables.size() - 1));
  return {static_cast<int32_t>(current_of.size() - 1), static_cast<int32_t>(n_rows),
          static_cast<int32_t>(n_cols)};
}

Op& TapeBackend::State::record(Op op) {
  AC_CHECK(!program.has_loss);
  if (op.output >= 0) {
    program.variables[static_cast<size_t>(op.output)].made_by =
        static_cast<int32_t>(program.ops.size());
  }
  program.ops.push_back(op);
  return program.ops.back();
}

void TapeBackend::State::change(Value value, Op op) {
  tape::Variable& old = variable(value);
  op.inputs[0] = current(value);
  const tape::Variable next{.n_rows = old.n_rows, .n_cols = old.n_cols, .readable = old.readable};
  old.readable = false;
  program.variables.push_back(next);
  op.output = static_cast<int32_t>(program.variables.size() - 1);
  current_of[static_cast<size_t>(value.id)] = op.output;
  record(op);
}

Result<WeightId> TapeBackend::State::load(const TensorView& view) {
  if (cpu::codec(view.format).decode_row == nullptr) {
    return fail(ErrorCode::kUnsupported, "format {} cannot be read by the trainer",
                weight_format_info(view.format).name);
  }
  tape::Weight weight;
  weight.n_out = static_cast<size_t>(view.n_rows());
  weight.n_in = static_cast<size_t>(view.n_cols());
  weight.gradient = view.format == WeightFormat::kF32 ? parameters.gradient_of(view.data) : nullptr;
  if (weight.gradient != nullptr) {
    weight.values = reinterpret_cast<const float*>(view.data);
  } else {
    AC_TRY(weight.own, Buffer::allocate(weight.n_out * weight.n_in * sizeof(float)));
    const size_t row_bytes = cpu::row_bytes(view.format, weight.n_in);
    float* values = weight.own.as<float>().data();
    for (size_t row = 0; row < weight.n_out; ++row) {
      cpu::codec(view.format)
          .decode_row(view.data + row * row_bytes, values + row * weight.n_in, weight.n_in);
    }
    weight.values = values;
  }
  weights.push_back(std::move(weight));
  return static_cast<WeightId>(weights.size() - 1);
}

TapeBackend::TapeBackend(const cpu::Isa& isa, cpu::ThreadTeam& team, Parameters& parameters,
                         const TapeOptions& options)
    : state_(std::make_unique<State>(isa, team, parameters, options)) {
  AC_CHECK(options.chunk_rows > 0 && options.chunk_rows % 64 == 0);
}

TapeBackend::~TapeBackend() = default;

Result<WeightId> TapeBackend::load_matrix(const TensorView& view) { return state_->load(view); }
Result<WeightId> TapeBackend::load_vector(const TensorView& view) { return state_->load(view); }

Result<RopeId> TapeBackend::load_rope(const RopeTable& table) {
  if (table.inverse_frequencies.empty()) {
    return fail(ErrorCode::kInvalidArgument, "a rope table without frequencies");
  }
  state_->ropes.push_back(
      {.inverse_frequencies = {table.inverse_frequencies.begin(), table.inverse_frequencies.end()},
       .pairing = table.pairing,
       .magnitude = table.magnitude,
       .table = {},
       .turned_back = {}});
  return static_cast<RopeId>(state_->ropes.size() - 1);
}

Status TapeBackend::create_kv(const KvShape& shape) {
  state_->kv = shape;
  return {};
}

// Nothing outlives a step, so there is nothing to copy.
void TapeBackend::copy_kv(int32_t, int32_t, int32_t) {}

void TapeBackend::begin_step(const Batch& batch) {
  State& s = *state_;
  s.batch = batch;
  s.program = {};
  s.program.n_tokens = batch.size();
  s.current_of.clear();
  s.kv_of_layer.assign(s.kv.layers.size(), {-1, -1});
  s.n_scopes = 0;
  s.loss = {};
  s.visit = nullptr;
  s.documents.clear();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (i == 0 || batch.slots[i] != batch.slots[i - 1]) s.documents.push_back({.first = i});
    // Whole documents: there is no cache that could hold what came before.
    AC_CHECK(static_cast<size_t>(batch.positions[i]) == s.documents.back().n);
    ++s.documents.back().n;
  }
}

void TapeBackend::begin_scope() { ++state_->n_scopes; }
void TapeBackend::end_scope() { --state_->n_scopes; }

Value TapeBackend::embed(WeightId table) {
  State& s = *state_;
  const Value out = s.make(s.batch.size(), s.weights[static_cast<size_t>(table)].n_in);
  s.record({.kind = OpKind::kEmbed, .output = s.current(out), .weight = id_of(table)});
  return out;
}

Value TapeBackend::rms_norm(Value x, WeightId weight, float epsilon, int32_t group) {
  State& s = *state_;
  const int32_t in = s.current(x);
  const Value out = s.make(s.variable(x).n_rows, s.variable(x).n_cols);
  s.record({.kind = OpKind::kRmsNorm,
            .inputs = {in, -1, -1},
            .output = s.current(out),
            .weight = id_of(weight),
            .number = epsilon,
            .group = group > 0 ? group : x.n_cols});
  return out;
}

Value TapeBackend::matmul(Value x, WeightId w, WeightId bias) {
  State& s = *state_;
  tape::Weight& weight = s.weights[static_cast<size_t>(w)];
  AC_CHECK(weight.n_in == s.variable(x).n_cols);
  weight.in_products = true;
  const int32_t in = s.current(x);
  const Value out = s.make(s.variable(x).n_rows, weight.n_out);
  s.record({.kind = OpKind::kMatmul,
            .inputs = {in, -1, -1},
            .output = s.current(out),
            .weight = id_of(w),
            .bias = id_of(bias)});
  return out;
}

void TapeBackend::rope(Value x, int32_t d_head, RopeId rope) {
  AC_CHECK(state_->variable(x).n_rows == state_->batch.size());
  state_->change(
      x, {.kind = OpKind::kRope, .group = d_head, .rope = static_cast<int32_t>(rope)});
}

void TapeBackend::store_kv(int32_t layer, Value k, Value v) {
  state_->kv_of_layer[static_cast<size_t>(layer)] = {state_->current(k), state_->current(v)};
}

Value TapeBackend::attend(Value q, const AttendOptions& options) {
  State& s = *state_;
  const auto [k, v] = s.kv_of_layer[static_cast<size_t>(options.layer)];
  AC_CHECK(k >= 0 && v >= 0 && s.variable(q).n_rows == s.batch.size());
  const int32_t in = s.current(q);
  const Value out = s.make(s.variable(q).n_rows, s.variable(q).n_cols);
  s.record({.kind = OpKind::kAttend,
            .inputs = {in, k, v},
            .output = s.current(out),
            .attend = options});
  return out;
}

Value TapeBackend::gated(Value gate, Value up, Activation activation) {
  State& s = *state_;
  const Op op{.kind = OpKind::kGated,
              .inputs = {s.current(gate), s.current(up), -1},
              .activation = activation};
  const Value out = s.make(s.variable(gate).n_rows, s.variable(gate).n_cols);
  s.record(op).output = s.current(out);
  s.variable(out).made_by = static_cast<int32_t>(s.program.ops.size() - 1);
  return out;
}

void TapeBackend::add(Value x, Value y) {
  AC_CHECK(x.id != y.id);
  state_->change(x, {.kind = OpKind::kAdd, .inputs = {-1, state_->current(y), -1}});
}

void TapeBackend::scale(Value x, float factor) {
  state_->change(x, {.kind = OpKind::kScale, .number = factor});
}

void TapeBackend::softcap(Value x, float cap) {
  state_->change(x, {.kind = OpKind::kSoftcap, .number = cap});
}

Value TapeBackend::select_rows(Value x, std::span<const int32_t> rows) {
  State& s = *state_;
  const int32_t in = s.current(x);
  const Value out = s.make(rows.size(), s.variable(x).n_cols);
  s.record({.kind = OpKind::kSelectRows,
            .inputs = {in, -1, -1},
            .output = s.current(out),
            .rows = rows});
  return out;
}

void TapeBackend::loss(Value logits, const LossOptions& options) {
  State& s = *state_;
  const size_t n = s.variable(logits).n_rows;
  AC_CHECK(options.targets.size() == options.weights.size());
  AC_CHECK(options.targets.empty() || options.targets.size() == n);
  AC_CHECK(options.teacher == nullptr || options.teacher_weights.size() == n);
  s.loss = options;
  s.record({.kind = OpKind::kLoss, .inputs = {s.current(logits), -1, -1}});
  s.program.has_loss = true;
}

void TapeBackend::visit_rows(Value x, RowVisitor visit) {
  State& s = *state_;
  s.visit = std::move(visit);
  s.record({.kind = OpKind::kVisit, .inputs = {s.current(x), -1, -1}});
  s.program.has_loss = true;  // nothing is read afterwards
}

void TapeBackend::set_pass(Pass pass) { state_->pass = pass; }
void TapeBackend::weights_changed() { state_->weights_changed = true; }

Status TapeBackend::end_step() {
  State& s = *state_;
  AC_CHECK(s.n_scopes == 0);
  s.step_loss = {};
  if (s.program.ops.empty()) return {};
  s.program.goes_back = s.program.has_loss && s.visit == nullptr && s.pass == Pass::kForwardAndBack;
  tape::make_plan(s.program, s.weights, s.gemm, static_cast<size_t>(s.options.chunk_rows));
  return s.run();
}

std::span<const float> TapeBackend::read(Value value) {
  State& s = *state_;
  AC_CHECK(!s.program.has_loss);
  const tape::Variable& read = s.variable(value);
  const auto& owner = s.program.variables[static_cast<size_t>(read.value_owner)];
  AC_CHECK(owner.value_is_whole);
  return {reinterpret_cast<const float*>(s.memory.data() + owner.value_offset),
          read.n_rows * read.n_cols};
}

StepLoss TapeBackend::step_loss() const { return state_->step_loss; }

}  // namespace ac
