// zoo ls|info|verify|extract: what is in a zoo.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "models/arch/model.h"
#include "models/compress/pack.h"
#include "models/store/zoo.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/cli/zoo_plot.h"
#include "runtime/cli/zoo_text.h"
#include "runtime/core/file.h"
#include "runtime/core/interval.h"
#include "runtime/core/json.h"

namespace ac::cli {
namespace {

constexpr std::array kListOptions = {Option{"--json", "", "as JSON"}};
constexpr std::array kInfoOptions = {
    Option{"--plot", "FILE", "write an SVG: divergence from the base against compute"},
    Option{"--json", "", "as JSON"},
};
constexpr std::array kExtractOptions = {
    Option{"--out", "FILE", "where to write the GGUF file (VARIANT.gguf)"},
    Option{"--json", "", "as JSON"},
};

double mega(uint64_t count) { return static_cast<double>(count) / 1e6; }

// Keys and values of one conversation as long as the model allows, as f16.
uint64_t cache_bytes(const ModelConfig& config, int32_t n_context) {
  uint64_t per_token = 0;
  for (const KvShape::Layer& layer : config.kv_shape(1, n_context, KvFormat::kF16).layers) {
    constexpr uint64_t kBytesOfKeyAndValue = 4;
    per_token += kBytesOfKeyAndValue * static_cast<uint64_t>(layer.n_kv_heads) *
                 static_cast<uint64_t>(layer.d_head);
  }
  return per_token * static_cast<uint64_t>(n_context);
}

Result<int> ls(const Invocation& invocation) {
  AC_TRY(const auto zoo, Zoo::open(invocation.arguments()[0]));
  const ZooManifest& manifest = zoo->manifest();
  if (invocation.has("--json")) {
    std::string text = manifest_to_json(manifest);
    if (text.ends_with('\n')) text.pop_back();
    output().write_line(text);
    return 0;
  }
  print("{:<20}{:>12}{:>12}{:>14}  {}\n", "variant", "weights MB", "MB/token", "MMACs/token",
        "made by");
  for (const ZooVariant& variant : manifest.variants) {
    print("{:<20}{:>12.2f}{:>12.2f}{:>14.2f}  {}\n", variant.id, mega(variant.weight_bytes),
          mega(variant.bytes_per_token), mega(variant.macs_per_token),
          variant.techniques.empty() ? "the base itself"
                                     : fmt::to_string(fmt::join(variant.techniques, ", ")));
  }
  return 0;
}

const ZooVariant* find_variant(const ZooManifest& manifest, std::string_view id) {
  const auto it = std::find_if(manifest.variants.begin(), manifest.variants.end(),
                               [&](const ZooVariant& variant) { return variant.id == id; });
  return it == manifest.variants.end() ? nullptr : &*it;
}

struct VariantFacts {
  const ZooVariant* variant = nullptr;
  ModelConfig config;
  int32_t n_context = 0;
  uint64_t memory_bytes = 0;  // weights and the cache of one conversation
  double bit_ops_per_token = 0;
};

// Shapes come from the variant itself; opening it also checks its hash.
Result<VariantFacts> read_facts(const Zoo& zoo, std::string_view id) {
  AC_TRY(const Checkpoint checkpoint, zoo.open_variant(id));
  VariantFacts facts;
  facts.variant = find_variant(zoo.manifest(), id);
  AC_CHECK(facts.variant != nullptr);
  AC_TRY(facts.config, read_model_config(checkpoint));
  AC_TRY(const ModelCost cost, model_cost(checkpoint));
  facts.bit_ops_per_token = cost.bit_ops_per_token;
  facts.n_context = facts.config.n_context;
  facts.memory_bytes = facts.variant->weight_bytes + cache_bytes(facts.config, facts.n_context);
  return facts;
}

OrderedJson quality_json(const ZooVariant& variant) {
  if (!variant.quality) return {};
  const VariantQuality& q = *variant.quality;
  return OrderedJson{{"n_tokens", q.n_tokens},
                     {"base_ppl", q.base_perplexity},
                     {"kl_median", q.kl_median},
                     {"kl_99", q.kl_99},
                     {"same_top1", q.same_top1}};
}

SuccessCount count_of(const TaskSuccess& one) {
  return {.n = static_cast<int64_t>(one.n_total), .right = static_cast<int64_t>(one.n_right)};
}

OrderedJson success_json(const ZooVariant& variant) {
  if (variant.success.empty()) return {};
  OrderedJson tasks = OrderedJson::array();
  for (const TaskSuccess& one : variant.success) {
    const SuccessCount count = count_of(one);
    const Interval interval = count.interval();
    tasks.push_back(OrderedJson{{"task", one.task},
                                {"n_right", one.n_right},
                                {"n_total", one.n_total},
                                {"low", interval.low},
                                {"high", interval.high}});
  }
  return tasks;
}

// "-" where nothing was measured.
std::string measured(double value, bool known, int digits) {
  return known ? fmt::format("{:.{}f}", value, digits) : "-";
}

// What each variant costs and how good it still is, one line each.
void print_table(std::span<const VariantFacts> facts) {
  print("{:<20}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\n", "variant", "MMACs/token", "Mbit-ops",
        "MB/token", "ms/token", "KL", "perplexity");
  for (const VariantFacts& one : facts) {
    const ZooVariant& variant = *one.variant;
    const VariantQuality quality = variant.quality.value_or(VariantQuality());
    print("{:<20}{:>12.2f}{:>12.2f}{:>12.2f}{:>12}{:>12}{:>12}\n", variant.id,
          mega(variant.macs_per_token), one.bit_ops_per_token / 1e6, mega(variant.bytes_per_token),
          measured(variant.ms_per_token, variant.ms_per_token > 0, 3),
          measured(quality.kl_mean, variant.quality.has_value(), 5),
          measured(quality.perplexity, variant.quality.has_value(), 3));
  }
}

// Tasks done right, of each kind in per cent with the 95 % interval, where they were measured.
void print_success(std::span<const VariantFacts> facts) {
  const auto has_any = [](const VariantFacts& one) { return !one.variant->success.empty(); };
  const auto first = std::find_if(facts.begin(), facts.end(), has_any);
  if (first == facts.end()) return;
  print("\n{:<20}", "tasks right, %");
  for (const TaskSuccess& one : first->variant->success) print("{:>22}", one.task);
  print("\n");
  for (const VariantFacts& one : facts) {
    if (!has_any(one)) continue;
    print("{:<20}", one.variant->id);
    for (const TaskSuccess& task : one.variant->success) {
      const SuccessCount count = count_of(task);
      const Interval interval = count.interval();
      print("{:>22}", fmt::format("{:.1f} [{:.1f}, {:.1f}]", 100 * count.rate(),
                                  100 * interval.low, 100 * interval.high));
    }
    print("\n");
  }
}

Status write_plot(std::span<const VariantFacts> facts, const std::string& path) {
  std::vector<PlotPoint> points;
  for (const VariantFacts& one : facts) {
    if (!one.variant->quality) continue;
    points.push_back({one.variant->id, one.bit_ops_per_token, one.variant->quality->kl_mean});
  }
  if (points.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: no variant was measured; `zoo build` measures what it makes", path);
  }
  return write_file(path, quality_plot(points));
}

OrderedJson to_json(const VariantFacts& facts) {
  OrderedJson layers = OrderedJson::array();
  for (const LayerConfig& layer : facts.config.layers) {
    layers.push_back(OrderedJson{
        {"n_heads", layer.n_heads}, {"n_kv_heads", layer.n_kv_heads}, {"d_ff", layer.d_ff}});
  }
  const ZooVariant& variant = *facts.variant;
  const auto known = [](double value) { return value > 0 ? OrderedJson(value) : OrderedJson(); };
  return OrderedJson{
      {"id", variant.id},
      {"name", variant.id},
      {"level", variant.level ? OrderedJson(*variant.level) : OrderedJson()},
      {"techniques", variant.techniques},
      {"parameters", variant.parameters},
      {"macs_per_token", variant.macs_per_token},
      {"bit_ops_per_token", facts.bit_ops_per_token},
      {"weight_bytes", variant.weight_bytes},
      {"bytes_per_token", variant.bytes_per_token},
      {"ms_per_token", known(variant.ms_per_token)},
      {"kl", variant.quality ? OrderedJson(variant.quality->kl_mean) : OrderedJson()},
      {"ppl", known(variant.quality ? variant.quality->perplexity : 0)},
      {"quality", quality_json(variant)},
      {"success", success_json(variant)},
      {"memory_bytes", facts.memory_bytes},
      {"n_context", facts.n_context},
      {"d_model", facts.config.d_model},
      {"d_head", facts.config.d_head},
      {"n_vocab", facts.config.n_vocab},
      {"layers", layers},
      {"formats", variant.formats},
      {"notes", variant.notes}};
}

void print_facts(const VariantFacts& facts) {
  const ZooVariant& variant = *facts.variant;
  const ModelConfig& config = facts.config;
  print("\n{}\n", variant.id);
  print("  made by       {}\n", variant.techniques.empty()
                                    ? "the base itself"
                                    : fmt::to_string(fmt::join(variant.techniques, ", ")));
  if (variant.level) {
    print("  level         {} of {}, in {}\n", *variant.level, kFullLevel, variant.member);
  }
  print("  shape         {} layers, d_model {}, d_head {}, {} tokens\n", config.layers.size(),
        config.d_model, config.d_head, config.n_vocab);
  // Layers that are alike in a row share a line.
  for (size_t i = 0; i < config.layers.size();) {
    const LayerConfig& layer = config.layers[i];
    size_t end = i + 1;
    while (end < config.layers.size() && config.layers[end].n_heads == layer.n_heads &&
           config.layers[end].n_kv_heads == layer.n_kv_heads &&
           config.layers[end].d_ff == layer.d_ff) {
      ++end;
    }
    print("  layers {:>2}-{:<2}  {} heads, {} kv heads, d_ff {}\n", i, end - 1, layer.n_heads,
          layer.n_kv_heads, layer.d_ff);
    i = end;
  }
  print("  weights       {:.2f} M in {:.2f} MB\n", mega(variant.parameters),
        mega(variant.weight_bytes));
  print("  per token     {:.2f} M multiply-adds, {:.2f} MB read\n", mega(variant.macs_per_token),
        mega(variant.bytes_per_token));
  print("  memory        {:.2f} MB with {} tokens of context\n", mega(facts.memory_bytes),
        facts.n_context);
  for (const auto& [format, count] : variant.formats) print("  {:<13} {} tensors\n", format, count);
  for (const std::string& note : grouped_notes(variant.notes)) print("  note          {}\n", note);
}

Result<int> info(const Invocation& invocation) {
  AC_TRY(const auto zoo, Zoo::open(invocation.arguments()[0]));
  const ZooManifest& manifest = zoo->manifest();
  std::vector<std::string> ids(invocation.arguments().begin() + 1, invocation.arguments().end());
  if (ids.empty()) {
    for (const ZooVariant& variant : manifest.variants) ids.push_back(variant.id);
  }
  std::vector<VariantFacts> facts;
  for (const std::string& id : ids) {
    auto read = read_facts(*zoo, id);
    if (!read) return read.error();
    facts.push_back(*std::move(read));
  }
  if (const auto plot = invocation.value("--plot")) {
    AC_TRY_STATUS(write_plot(facts, *plot));
  }
  if (invocation.has("--json")) {
    OrderedJson object{{"path", zoo->path()},
                       {"base", manifest.base},
                       {"architecture", manifest.architecture},
                       {"n_context", manifest.n_context},
                       {"recipe", manifest.recipe},
                       {"predictor", has_predictor(manifest)},
                       {"variants", OrderedJson::array()}};
    for (const VariantFacts& one : facts) object["variants"].push_back(to_json(one));
    output().write_line(json_line(object));
    return 0;
  }
  print("{}: {} variants of {} ({}), {} predictor\n", zoo->path(), manifest.variants.size(),
        manifest.base, manifest.architecture, has_predictor(manifest) ? "with a" : "no");
  for (const std::string& line : manifest.recipe) print("  {}\n", line);
  print_table(facts);
  print_success(facts);
  for (const VariantFacts& one : facts) print_facts(one);
  return 0;
}

Result<int> verify(const Invocation& invocation) {
  const std::string& path = invocation.arguments()[0];
  const auto check = [&]() -> Result<size_t> {
    const Waiting waiting("reading everything");
    AC_TRY(const auto zoo, Zoo::open(path));
    AC_TRY_STATUS(zoo->verify());
    return zoo->manifest().members.size();
  };
  const Result<size_t> n_members = check();
  if (invocation.has("--json")) {
    OrderedJson object{{"path", path}, {"ok", n_members.has_value()}};
    if (!n_members) object["error"] = n_members.error().message;
    output().write_line(json_line(object));
  } else if (n_members) {
    print("{}: ok, {} members\n", path, *n_members);
  }
  if (!n_members) return n_members.error();
  return 0;
}

Result<int> extract(const Invocation& invocation) {
  const std::string& id = invocation.arguments()[1];
  AC_TRY(const auto zoo, Zoo::open(invocation.arguments()[0]));
  const std::string path = invocation.value("--out").value_or(id + ".gguf");
  const Waiting waiting("writing");
  AC_TRY(const ExtractReport report, zoo_extract(*zoo, id, path));
  if (invocation.has("--json")) {
    output().write_line(json_line(OrderedJson{
        {"variant", id}, {"path", path}, {"bytes", report.bytes}, {"notes", report.notes}}));
  } else {
    print("{}: {} bytes\n", path, report.bytes);
    for (const std::string& note : report.notes) print("  {}\n", note);
  }
  return 0;
}

}  // namespace

constinit const Verb kZooLs = {
    .name = "zoo ls",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "list the variants of a zoo, cheapest first",
    .options = kListOptions,
    .run = ls,
};

constinit const Verb kZooInfo = {
    .name = "zoo info",
    .arguments = "FILE [VARIANT...]",
    .min_arguments = 1,
    .max_arguments = -1,
    .summary = "costs, quality, shapes and memory of the variants",
    .options = kInfoOptions,
    .run = info,
};

constinit const Verb kZooVerify = {
    .name = "zoo verify",
    .arguments = "FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "read and hash everything in a zoo",
    .options = kListOptions,
    .run = verify,
};

constinit const Verb kZooExtract = {
    .name = "zoo extract",
    .arguments = "FILE VARIANT",
    .min_arguments = 2,
    .max_arguments = 2,
    .summary = "write one variant as a GGUF file",
    .options = kExtractOptions,
    .run = extract,
};

}  // namespace ac::cli
