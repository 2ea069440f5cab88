#include "runtime/cli/page_facts.h"

#include <fmt/format.h>

#include <algorithm>

namespace ac::cli {
namespace {

PageVariant variant_of(const ZooVariant& made) {
  PageVariant variant;
  variant.method = fmt::format("{}", fmt::join(made.techniques, ", "));
  variant.bytes = made.weight_bytes;
  if (made.parameters > 0) {
    variant.bits = 8 * static_cast<double>(made.weight_bytes) / static_cast<double>(made.parameters);
  }
  if (made.quality) variant.divergence = made.quality->kl_mean;
  for (const TaskSuccess& task : made.success) {
    variant.tasks.n += static_cast<int64_t>(task.n_total);
    variant.tasks.right += static_cast<int64_t>(task.n_right);
  }
  variant.ms_per_token = made.ms_per_token;
  return variant;
}

std::vector<PageVariant> variants_of(const Models& models) {
  std::vector<PageVariant> variants;
  if (models.variants == nullptr) return variants;
  double dearest = 0;
  for (const LocalVariant& each : models.variants->variants()) {
    PageVariant variant;
    if (models.zoo != nullptr) {
      for (const ZooVariant& made : models.zoo->manifest().variants) {
        if (made.id == each.cost.id) variant = variant_of(made);
      }
    }
    variant.id = each.cost.id;
    if (variant.bytes == 0) variant.bytes = each.memory_bytes;
    variant.relative_compute = each.cost.cost;
    dearest = std::max(dearest, each.cost.cost);
    variants.push_back(std::move(variant));
  }
  for (PageVariant& variant : variants) {
    variant.relative_compute = dearest > 0 ? variant.relative_compute / dearest : 1;
  }
  std::stable_sort(variants.begin(), variants.end(), [](const auto& a, const auto& b) {
    return a.relative_compute < b.relative_compute;
  });
  return variants;
}

// "gpu.lab:8000, gpu2.lab" of "https://gpu.lab:8000/v1, https://gpu2.lab/v1".
std::string hosts_of(std::string_view urls) {
  std::string hosts;
  while (!urls.empty()) {
    std::string_view url = urls.substr(0, urls.find(','));
    urls.remove_prefix(std::min(url.size() + 1, urls.size()));
    const size_t scheme = url.find("://");
    if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
    hosts += (hosts.empty() ? "" : ", ") + std::string(url.substr(0, url.find('/')));
  }
  return hosts;
}

}  // namespace

PageFacts page_facts(const Settings& settings, const Models& models) {
  PageFacts facts;
  facts.version = AC_VERSION;
  facts.variants = variants_of(models);
  facts.remote_host = hosts_of(settings.text("remote.url"));
  facts.remote_model = settings.text("remote.model");
  facts.offline_fixed = settings.yes("privacy.offline");
  facts.paper = settings.text("route.gate") == "paper";
  facts.learns = settings.yes("route.learn") && !facts.paper && models.gates != nullptr &&
                 models.gates->ngram.has_value();
  facts.needs_key = !settings.text("server.keys_file").empty();
  facts.threshold = settings.number("route.confidence_threshold");
  facts.target_success = settings.number("route.target_success");
  facts.target_confidence = settings.number("route.target_confidence");
  facts.gates = models.gates;
  return facts;
}

}  // namespace ac::cli
