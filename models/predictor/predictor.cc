// Inference, and the predictor's file: a GGUF of F32 tensors named as in parameter_blocks() and the
// keys agentcompress.predictor.*.
#include "models/predictor/predictor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/predictor/facts.h"
#include "models/predictor/network.h"

namespace ac {
namespace {

using predictor::ParameterBlock;

constexpr uint32_t kVersion = 1;

// One place for the names of the keys.
constexpr const char* kKeyVersion = "agentcompress.predictor.version";
constexpr const char* kKeyTiers = "agentcompress.predictor.tiers";
constexpr const char* kKeyScale = "agentcompress.predictor.calibration.scale";
constexpr const char* kKeyShift = "agentcompress.predictor.calibration.shift";
constexpr const char* kFactsPrefix = "agentcompress.predictor.training.";

Error corrupt(const Checkpoint& checkpoint, Error error) {
  return Error{ErrorCode::kCorruptFile,
               fmt::format("{}: predictor: {}", checkpoint.origin, error.message)};
}

bool is_sane(float value) {
  return std::isfinite(value) && std::abs(value) <= predictor::kMaxParameter;
}

Status read_block(const Checkpoint& checkpoint, const ParameterBlock& block, float* out) {
  AC_TRY(const TensorView view, checkpoint.tensor(block.name));
  const bool is_vector = block.n_rows == 1;
  const bool shape_fits = is_vector ? view.n_axes == 1 && view.shape[0] == block.n_cols
                                    : view.n_axes == 2 && view.shape[0] == block.n_rows &&
                                          view.shape[1] == block.n_cols;
  if (view.format != WeightFormat::kF32 || !shape_fits) {
    return fail(ErrorCode::kCorruptFile, "tensor {}: {} axes [{}, {}], expected F32 [{}, {}]",
                block.name, view.n_axes, view.shape[0], view.shape[1],
                is_vector ? block.n_cols : block.n_rows, is_vector ? 1 : block.n_cols);
  }
  const size_t n_bytes = static_cast<size_t>(block.size()) * sizeof(float);
  if (view.empty() || view.size_bytes != n_bytes) {
    return fail(ErrorCode::kCorruptFile, "tensor {}: {} bytes, expected {}", block.name,
                view.size_bytes, n_bytes);
  }
  std::memcpy(out, view.data, n_bytes);
  for (int i = 0; i < block.size(); ++i) {
    if (!is_sane(out[i])) {
      return fail(ErrorCode::kCorruptFile, "tensor {}: value {} is {}, expected -{} to {}",
                  block.name, i, out[i], predictor::kMaxParameter, predictor::kMaxParameter);
    }
  }
  return {};
}

Result<Predictor::Parts> read_parts(const Checkpoint& checkpoint) {
  Predictor::Parts parts;
  AC_TRY(parts.tiers, predictor::read_names(checkpoint, kKeyTiers));
  AC_TRY_STATUS(predictor::check_tier_names(parts.tiers));
  const auto n_tiers = static_cast<int>(parts.tiers.size());

  parts.parameters.resize(static_cast<size_t>(predictor::offsets_for(n_tiers).total));
  const std::vector<ParameterBlock> blocks = predictor::parameter_blocks(n_tiers);
  // Those of the other gates are beside them.
  const auto n_own = std::count_if(
      checkpoint.tensors.begin(), checkpoint.tensors.end(), [](const auto& tensor) {
        return !tensor.first.starts_with(predictor::kGateTensorPrefix) &&
               !tensor.first.starts_with(predictor::kDraftTensorPrefix);
      });
  if (static_cast<size_t>(n_own) != blocks.size()) {
    return fail(ErrorCode::kCorruptFile, "{} tensors, expected {}", n_own, blocks.size());
  }
  for (const ParameterBlock& block : blocks) {
    AC_TRY_STATUS(read_block(checkpoint, block, parts.parameters.data() + block.offset));
  }
  AC_TRY(parts.scale, checkpoint.get_floats(kKeyScale));
  AC_TRY(parts.shift, checkpoint.get_floats(kKeyShift));

  AC_TRY(parts.facts, predictor::read_facts(checkpoint, kFactsPrefix));
  return parts;
}

}  // namespace

std::vector<ParameterBlock> predictor::parameter_blocks(int n_tiers) {
  using Kind = ParameterBlock::Kind;
  const Offsets at = offsets_for(n_tiers);
  std::vector<ParameterBlock> blocks = {
      {"embedding", at.embedding, kRows, kDModel, Kind::kTable},
      {"position", at.position, kPredictorTokens, kDModel, Kind::kTable},
  };
  for (int l = 0; l < kLayers; ++l) {
    const LayerOffsets& layer = at.layers[l];
    const std::string name = fmt::format("layer.{}.", l);
    blocks.push_back({name + "attn_norm", layer.attn_norm, 1, kDModel, Kind::kGain});
    blocks.push_back({name + "w_q", layer.w_q, kDModel, kDModel, Kind::kMatrix});
    blocks.push_back({name + "w_k", layer.w_k, kDModel, kDModel, Kind::kMatrix});
    blocks.push_back({name + "w_v", layer.w_v, kDModel, kDModel, Kind::kMatrix});
    blocks.push_back({name + "w_o", layer.w_o, kDModel, kDModel, Kind::kMatrix});
    blocks.push_back({name + "b_o", layer.b_o, 1, kDModel, Kind::kBias});
    blocks.push_back({name + "ffn_norm", layer.ffn_norm, 1, kDModel, Kind::kGain});
    blocks.push_back({name + "w_up", layer.w_up, kDModel, kDFf, Kind::kMatrix});
    blocks.push_back({name + "b_up", layer.b_up, 1, kDFf, Kind::kBias});
    blocks.push_back({name + "w_down", layer.w_down, kDFf, kDModel, Kind::kMatrix});
    blocks.push_back({name + "b_down", layer.b_down, 1, kDModel, Kind::kBias});
  }
  blocks.push_back({"out_norm", at.out_norm, 1, kDModel, Kind::kGain});
  blocks.push_back({"w_head", at.w_head, kDModel, n_tiers, Kind::kMatrix});
  blocks.push_back({"b_head", at.b_head, 1, n_tiers, Kind::kBias});
  return blocks;
}

Result<Predictor> Predictor::create(Parts parts) {
  AC_TRY_STATUS(predictor::check_tier_names(parts.tiers));
  const size_t n_tiers = parts.tiers.size();
  const auto n_parameters =
      static_cast<size_t>(predictor::offsets_for(static_cast<int>(n_tiers)).total);
  if (parts.parameters.size() != n_parameters) {
    return fail(ErrorCode::kInvalidArgument, "{} parameters, expected {} for {} tiers",
                parts.parameters.size(), n_parameters, n_tiers);
  }
  if (parts.scale.size() != n_tiers || parts.shift.size() != n_tiers) {
    return fail(ErrorCode::kInvalidArgument, "calibration of {} and {} values for {} tiers",
                parts.scale.size(), parts.shift.size(), n_tiers);
  }
  if (!parts.facts.models.empty() && parts.facts.models.size() != n_tiers) {
    return fail(ErrorCode::kInvalidArgument, "{} training models for {} tiers",
                parts.facts.models.size(), n_tiers);
  }
  if (!std::all_of(parts.parameters.begin(), parts.parameters.end(), is_sane)) {
    return fail(ErrorCode::kInvalidArgument, "a parameter is not within -{0} to {0}",
                predictor::kMaxParameter);
  }
  for (size_t i = 0; i < n_tiers; ++i) {
    if (!is_sane(parts.scale[i]) || parts.scale[i] <= 0 || !is_sane(parts.shift[i])) {
      return fail(ErrorCode::kInvalidArgument,
                  "calibration of tier {}: scale {} and shift {}, expected 0 < scale <= {} and a "
                  "finite shift",
                  parts.tiers[i], parts.scale[i], parts.shift[i], predictor::kMaxParameter);
    }
  }
  return Predictor(std::move(parts));
}

Result<Predictor> Predictor::from_checkpoint(const Checkpoint& checkpoint) {
  const auto version = checkpoint.get_uint(kKeyVersion, 0, UINT32_MAX);
  if (!version) return corrupt(checkpoint, version.error());
  if (*version != kVersion) {
    return fail(ErrorCode::kUnsupported, "{}: predictor of version {}, this build reads {}",
                checkpoint.origin, *version, kVersion);
  }
  auto parts = read_parts(checkpoint);
  if (!parts) return corrupt(checkpoint, parts.error());
  auto made = create(std::move(*parts));
  if (!made) return corrupt(checkpoint, made.error());
  return made;
}

Checkpoint Predictor::to_checkpoint() const {
  Checkpoint checkpoint;
  checkpoint.origin = "predictor";
  checkpoint.set_string("general.architecture", "agentcompress-predictor");
  checkpoint.set_uint(kKeyVersion, kVersion);
  checkpoint.set_strings(kKeyTiers, parts_.tiers);
  checkpoint.set_floats(kKeyScale, parts_.scale);
  checkpoint.set_floats(kKeyShift, parts_.shift);
  predictor::write_facts(parts_.facts, kFactsPrefix, checkpoint);

  // One copy of the vector, kept alive by the checkpoint; every tensor is a window into it.
  const auto values = std::make_shared<const std::vector<float>>(parts_.parameters);
  for (const ParameterBlock& block :
       predictor::parameter_blocks(static_cast<int>(parts_.tiers.size()))) {
    TensorView view;
    view.data = reinterpret_cast<const std::byte*>(values->data() + block.offset);
    view.size_bytes = static_cast<uint64_t>(block.size()) * sizeof(float);
    view.format = WeightFormat::kF32;
    view.n_axes = block.n_rows == 1 ? 1 : 2;
    view.shape[0] = block.n_rows == 1 ? block.n_cols : block.n_rows;
    view.shape[1] = block.n_rows == 1 ? 1 : block.n_cols;
    checkpoint.set_tensor(block.name, view);
  }
  checkpoint.keep_alive(values);
  return checkpoint;
}

Prediction Predictor::predict(const PromptFeatures& features) const {
  const size_t n_tiers = parts_.tiers.size();
  predictor::Tape<float> tape;
  predictor::forward(parts_.parameters.data(), static_cast<int>(n_tiers), features, tape);
  Prediction prediction;
  prediction.success.resize(n_tiers);
  for (size_t i = 0; i < n_tiers; ++i) {
    prediction.success[i] = predictor::sigmoid(parts_.scale[i] * tape.logits[i] + parts_.shift[i]);
  }
  return prediction;
}

}  // namespace ac
