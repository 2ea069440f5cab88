// zoo pack|add|remove: from a base checkpoint to a zoo, further variants or a predictor into it, and variants
// out of it.
#include <array>
#include <nlohmann/json.hpp>

#include "models/compress/pack.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/cli/zoo_text.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"

namespace ac::cli {
namespace {

constexpr Option kVariantsOption = {"--variants", "FORMATS",
                                    "weight formats separated by commas, such as q8_0,q4_0"};
constexpr Option kThreadsOption = {"--threads", "N", "worker threads; 0: one per core (0)"};
constexpr Option kJsonOption = {"--json", "", "as JSON"};
constexpr std::array kPackOptions = {
    Option{"--base", "FILE", "what to make variants of: a GGUF file or Hugging Face folder"},
    kVariantsOption,
    kThreadsOption,
    kJsonOption,
};
constexpr std::array kAddOptions = {
    Option{"--predictor", "FILE", "the predictor that judges prompts for this zoo"},
    kVariantsOption,
    kThreadsOption,
    kJsonOption,
};
constexpr std::array kRemoveOptions = {kJsonOption};

Result<std::vector<std::string>> variants_from(const Invocation& invocation) {
  std::vector<std::string> names;
  const auto text = invocation.value("--variants");
  if (!text) return names;
  std::string_view rest = *text;
  while (true) {
    const std::string_view name = rest.substr(0, rest.find(','));
    if (name.empty()) {
      return usage_error(
          invocation.verb(),
          fmt::format("--variants is '{}', expected names separated by commas", *text));
    }
    names.emplace_back(name);
    if (name.size() == rest.size()) return names;
    rest.remove_prefix(name.size() + 1);
  }
}

// A bar that begins with the first report, when the total is known.
class PackBar {
 public:
  PackProgress callback() {
    return [this](uint64_t done, uint64_t total, std::string_view note) {
      if (!progress_) progress_.emplace("packing", total);
      progress_->update(done, note);
    };
  }
  void end() { progress_.reset(); }

 private:
  std::optional<Progress> progress_;
};

void print_report(const Invocation& invocation, const std::string& path, const PackReport& report) {
  if (invocation.has("--json")) {
    OrderedJson variants = OrderedJson::array();
    for (const ZooVariant& variant : report.manifest.variants) {
      variants.push_back(OrderedJson{{"id", variant.id},
                                     {"weight_bytes", variant.weight_bytes},
                                     {"bytes_per_token", variant.bytes_per_token},
                                     {"macs_per_token", variant.macs_per_token},
                                     {"notes", variant.notes}});
    }
    output().write_line(json_line(
        OrderedJson{{"path", path}, {"bytes", report.zoo_bytes}, {"variants", variants}}));
    return;
  }
  for (const ZooVariant& variant : report.manifest.variants) {
    print("{:<20} {:>10.2f} MB of weights, {:.2f} MB read per token\n", variant.id,
          static_cast<double>(variant.weight_bytes) / 1e6,
          static_cast<double>(variant.bytes_per_token) / 1e6);
    for (const std::string& note : grouped_notes(variant.notes)) print("  note: {}\n", note);
  }
  print("{}: {:.2f} MB, {} predictor\n", path, static_cast<double>(report.zoo_bytes) / 1e6,
        has_predictor(report.manifest) ? "with a" : "no");
}

Result<int> pack(const Invocation& invocation) {
  const auto base = invocation.value("--base");
  if (!base) return usage_error(invocation.verb(), "expected --base FILE");
  PackBar bar;
  PackOptions options;
  options.base_path = *base;
  options.zoo_path = invocation.arguments()[0];
  AC_TRY(options.variants, variants_from(invocation));
  AC_TRY(const int64_t n_threads, invocation.integer("--threads", 0, 0, 1024));
  options.n_threads = static_cast<int>(n_threads);
  options.progress = bar.callback();
  AC_TRY(const PackReport report, pack_zoo(options));
  bar.end();
  print_report(invocation, options.zoo_path, report);
  return 0;
}

Result<int> add(const Invocation& invocation) {
  PackBar bar;
  ZooAddOptions options;
  options.zoo_path = invocation.arguments()[0];
  options.predictor_path = invocation.value("--predictor").value_or("");
  AC_TRY(options.variants, variants_from(invocation));
  if (options.predictor_path.empty() && options.variants.empty()) {
    return usage_error(invocation.verb(), "expected --predictor FILE or --variants FORMATS");
  }
  AC_TRY(const int64_t n_threads, invocation.integer("--threads", 0, 0, 1024));
  options.n_threads = static_cast<int>(n_threads);
  options.progress = bar.callback();
  AC_TRY(const PackReport report, zoo_add(options));
  bar.end();
  print_report(invocation, options.zoo_path, report);
  return 0;
}

Result<int> remove(const Invocation& invocation) {
  const std::string& path = invocation.arguments()[0];
  AC_TRY(const PackReport report, zoo_remove(path, invocation.arguments()[1]));
  print_report(invocation, path, report);
  return 0;
}

}  // namespace

constinit const Verb kZooPack = {
    .name = "zoo pack",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "make a zoo from a base model and variants of it",
    .options = kPackOptions,
    .run = pack,
};

constinit const Verb kZooAdd = {
    .name = "zoo add",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "put a predictor or further variants into a zoo",
    .options = kAddOptions,
    .run = add,
};

constinit const Verb kZooRemove = {
    .name = "zoo remove",
    .arguments = "FILE VARIANT",
    .min_arguments = 2,
    .max_arguments = 2,
    .summary = "take a variant out of a zoo",
    .options = kRemoveOptions,
    .run = remove,
};

}  // namespace ac::cli
