#include "models/compress/pack.h"

#include <algorithm>
#include <map>
#include <memory>

#include "cpu/formats/codecs.h"
#include "cpu/formats/packed.h"
#include "models/arch/model.h"
#include "models/compress/nested.h"
#include "models/compress/requantize.h"
#include "models/compress/zoo_parts.h"
#include "models/predictor/gates.h"
#include "models/store/gguf.h"

namespace ac {
namespace {

// The format that holds the most bytes of matrices.
WeightFormat main_format(const Checkpoint& checkpoint) {
  std::map<WeightFormat, uint64_t> bytes;
  for (const auto& [name, view] : checkpoint.tensors) {
    if (view.n_axes == 2) bytes[cpu::unpacked_format(view.format)] += view.size_bytes;
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? WeightFormat::kF32 : most->first;
}

Result<WeightFormat> target_format(std::string_view name) {
  const std::optional<WeightFormat> format = weight_format_from_name(name);
  if (format && cpu::codec(*format).encode_row != nullptr) return *format;
  std::string known;
  for (const WeightFormatInfo& info : weight_formats()) {
    if (cpu::codec(info.format).encode_row == nullptr) continue;
    known += (known.empty() ? "" : ", ") + std::string(info.name);
  }
  return fail(format ? ErrorCode::kUnsupported : ErrorCode::kInvalidArgument,
              "cannot make weights of format '{}', expected one of {}", name, known);
}

// A variant in the making: its row of the manifest and its weights.
struct Made {
  ZooVariant variant;
  Checkpoint weights;  // without the tokenizer
};

class VariantMaker {
 public:
  // `base` must outlive what is made.
  static Result<VariantMaker> create(const Checkpoint& base, int n_threads) {
    AC_TRY_STATUS(check_one_precision(base));
    AC_TRY(ModelConfig config, read_model_config(base));
    return VariantMaker(base, std::move(config), n_threads);
  }

  // nullopt: the base itself.
  Result<Made> make(std::optional<WeightFormat> target, const PackProgress& progress) {
    const std::string id(weight_format_info(target ? *target : main_format(base_)).name);
    RequantizeOptions options;
    options.may_pack = [this](std::string_view name, const TensorView& view) {
      return may_pack(config_, name, view);
    };
    if (progress) {
      uint64_t total = 0;
      for (const auto& [name, view] : base_.tensors) total += view.size_bytes;
      options.progress = [&progress, total, id](uint64_t done, std::string_view name) {
        progress(done, total, fmt::format("{}: {}", id, name));
      };
    }
    AC_TRY(Requantized rounded, requantize(base_, target, *team_, options));
    if (target && !rounded.changed) {
      return fail(ErrorCode::kInvalidArgument, "variant '{}' would be no smaller than the base",
                  id);
    }
    remove_tokenizer(rounded.checkpoint);
    Made made;
    AC_TRY(made.variant, describe_variant(id, rounded.checkpoint));
    if (target) made.variant.techniques = {"quantize " + id};
    made.variant.notes = std::move(rounded.notes);
    made.weights = std::move(rounded.checkpoint);
    return made;
  }

  const ModelConfig& config() const { return config_; }

 private:
  VariantMaker(const Checkpoint& base, ModelConfig config, int n_threads)
      : base_(base),
        config_(std::move(config)),
        team_(std::make_unique<cpu::ThreadTeam>(cpu::ThreadTeam::Options{.n_threads = n_threads})) {
  }

  const Checkpoint& base_;
  ModelConfig config_;
  std::unique_ptr<cpu::ThreadTeam> team_;
};

// Formats asked for, without repeats and without what is there already.
Result<std::vector<WeightFormat>> wanted_formats(const std::vector<std::string>& names,
                                                 std::string_view base_id) {
  std::vector<WeightFormat> formats;
  for (const std::string& name : names) {
    if (name == base_id) continue;  // the base is a variant in any case
    AC_TRY(const WeightFormat format, target_format(name));
    if (std::find(formats.begin(), formats.end(), format) == formats.end())
      formats.push_back(format);
  }
  return formats;
}

Result<Checkpoint> checked_predictor(const std::string& path) {
  AC_TRY(Checkpoint predictor, open_gguf(path));
  if (auto read = Gates::from_checkpoint(predictor); !read) {
    return with_context(read.error(), fmt::format("{}: is not a predictor", path));
  }
  return predictor;
}

// The variant that all others were made from, as GGUF has it. Errors: kCorruptFile.
Result<Checkpoint> base_of(const Zoo& zoo) {
  for (const ZooVariant& variant : zoo.manifest().variants) {
    if (!variant.techniques.empty()) continue;
    AC_TRY(Checkpoint packed, zoo.open_variant(variant.id));
    AC_TRY(Checkpoint base, unpacked(packed));
    base.keep_alive(std::make_shared<Checkpoint>(std::move(packed)));
    return base;
  }
  return fail(ErrorCode::kNotFound, "{}: no variant is the base itself", zoo.path());
}

}  // namespace

Result<PackReport> pack_zoo(const PackOptions& options) {
  AC_TRY(const Checkpoint base, open_checkpoint(options.base_path));
  AC_TRY(VariantMaker maker, VariantMaker::create(base, options.n_threads));
  AC_TRY(const std::vector<WeightFormat> formats,
         wanted_formats(options.variants, weight_format_info(main_format(base)).name));

  std::vector<Made> made;
  AC_TRY(Made itself, maker.make(std::nullopt, options.progress));
  made.push_back(std::move(itself));
  for (const WeightFormat format : formats) {
    AC_TRY(Made variant, maker.make(format, options.progress));
    made.push_back(std::move(variant));
  }

  ZooDraft draft;
  draft.manifest.base = base_name(options.base_path);
  draft.manifest.architecture = maker.config().architecture;
  draft.manifest.n_context = maker.config().n_context;
  const Checkpoint tokenizer = tokenizer_of(base);
  if (!tokenizer.metadata.empty()) {
    draft.members.push_back({.name = "tokenizer.gguf", .checkpoint = &tokenizer, .bytes = {}});
  }
  for (const Made& one : made) {
    draft.manifest.variants.push_back(one.variant);
    draft.members.push_back({.name = one.variant.member, .checkpoint = &one.weights, .bytes = {}});
  }
  return write_and_report(options.zoo_path, draft);
}

Result<PackReport> zoo_add(const ZooAddOptions& options) {
  AC_TRY(const std::shared_ptr<const Zoo> zoo, Zoo::open(options.zoo_path));
  ZooDraft draft;
  draft.manifest = zoo->manifest();
  for (const ZooMember& member : zoo->manifest().members) {
    if (member.name == "predictor.gguf" && !options.predictor_path.empty()) continue;
    AC_TRY(const std::span<const std::byte> bytes, zoo->member(member.name));
    draft.members.push_back({.name = member.name, .checkpoint = nullptr, .bytes = bytes});
  }

  Checkpoint base;
  std::vector<Made> made;
  if (!options.variants.empty()) {
    AC_TRY(base, base_of(*zoo));
    AC_TRY(VariantMaker maker, VariantMaker::create(base, options.n_threads));
    AC_TRY(const std::vector<WeightFormat> formats, wanted_formats(options.variants, ""));
    for (const WeightFormat format : formats) {
      const std::string_view id = weight_format_info(format).name;
      for (const ZooVariant& variant : zoo->manifest().variants) {
        if (variant.id == id) {
          return fail(ErrorCode::kInvalidArgument, "{}: has a variant '{}' already",
                      options.zoo_path, id);
        }
      }
      AC_TRY(Made variant, maker.make(format, options.progress));
      made.push_back(std::move(variant));
    }
    for (const Made& one : made) {
      draft.manifest.variants.push_back(one.variant);
      draft.members.push_back(
          {.name = one.variant.member, .checkpoint = &one.weights, .bytes = {}});
    }
  }

  Checkpoint predictor;
  if (!options.predictor_path.empty()) {
    AC_TRY(predictor, checked_predictor(options.predictor_path));
    draft.members.push_back({.name = "predictor.gguf", .checkpoint = &predictor, .bytes = {}});
  }
  return write_and_report(options.zoo_path, draft);
}

Result<PackReport> zoo_remove(const std::string& zoo_path, std::string_view variant) {
  AC_TRY(const std::shared_ptr<const Zoo> zoo, Zoo::open(zoo_path));
  AC_TRY_STATUS(zoo->open_variant(variant));  // says which there are
  ZooDraft draft;
  draft.manifest = zoo->manifest();
  std::vector<ZooVariant>& variants = draft.manifest.variants;
  if (variants.size() == 1) {
    return fail(ErrorCode::kInvalidArgument, "{}: '{}' is its only variant", zoo_path, variant);
  }
  std::erase_if(variants, [&](const ZooVariant& each) { return each.id == variant; });
  for (const ZooMember& member : zoo->manifest().members) {
    const auto is_of = [&](const ZooVariant& each) { return each.member == member.name; };
    const bool was_of_some = std::ranges::any_of(zoo->manifest().variants, is_of);
    if (was_of_some && std::ranges::none_of(variants, is_of)) continue;
    AC_TRY(const std::span<const std::byte> bytes, zoo->member(member.name));
    draft.members.push_back({.name = member.name, .checkpoint = nullptr, .bytes = bytes});
  }
  return write_and_report(zoo_path, draft);
}

Result<ExtractReport> zoo_extract(const Zoo& zoo, std::string_view variant,
                                  const std::string& path) {
  AC_TRY(const Checkpoint packed, zoo.open_variant(variant));
  AC_TRY(const Checkpoint plain, unpacked(packed));
  cpu::ThreadTeam team({});
  AC_TRY(const Flat flat, flattened(plain, team));
  AC_TRY(const std::unique_ptr<FileWriter> out, create_file(path));
  if (Status status = write_gguf(flat.checkpoint, *out); !status) {
    return with_context(status.error(), path);
  }
  AC_TRY_STATUS(out->commit());
  ExtractReport report{.bytes = out->offset_bytes(), .notes = {}};
  if (flat.n_rounded > 0) report.notes.push_back(rounded_note(flat));
  return report;
}

}  // namespace ac
