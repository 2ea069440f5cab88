// What TapeBackend holds. Internal to models/train.
#pragma once

#include <vector>

#include "models/train/tape_attention.h"
#include "models/train/tape_program.h"

namespace ac {

struct TapeBackend::State {
  State(const cpu::Isa& isa_in, cpu::ThreadTeam& team_in, Parameters& parameters_in,
        const TapeOptions& options_in)
      : isa(isa_in),
        team(team_in),
        parameters(parameters_in),
        options(options_in),
        gemm(isa_in, options_in.gemm) {}

  // --- recording
  tape::Variable& variable(Value value);
  // A new value with its first variable.
  Value make(size_t n_rows, size_t n_cols);
  int32_t current(Value value) const;
  // Records an op that makes `value`'s next variable.
  void change(Value value, tape::Op op);
  tape::Op& record(tape::Op op);
  Result<WeightId> load(const TensorView& view);

  // --- running, in tape_run.cc
  Status run();
  Status prepare_memory();
  Status prepare_weights();
  void prepare_ropes();

  const cpu::Isa& isa;
  cpu::ThreadTeam& team;
  Parameters& parameters;
  TapeOptions options;
  cpu::Gemm gemm;
  std::vector<tape::Weight> weights;
  std::vector<tape::Rope> ropes;
  KvShape kv;
  bool weights_changed = true;
  Pass pass = Pass::kForwardAndBack;

  Batch batch;
  std::vector<tape::Document> documents;
  tape::Program program;
  std::vector<int32_t> current_of;  // of each value, its variable
  std::vector<std::pair<int32_t, int32_t>> kv_of_layer;
  int32_t n_scopes = 0;
  LossOptions loss;
  RowVisitor visit;

  Buffer memory;  // of the step
  Buffer worker_memory;
  size_t worker_bytes = 0;  // of one worker
  StepLoss step_loss;
};

}  // namespace ac
