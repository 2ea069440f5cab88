#include "runtime/capi/handle.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "models/store/zoo_layout.h"
#include "runtime/assemble/assemble.h"
#include "runtime/core/file.h"

namespace ac {
namespace {

constexpr const char* kSource = "library";  // in the ledger

// "engine.threads=2" -> ("engine.threads", "2"). Errors: kInvalidArgument.
Result<std::pair<std::string, std::string>> read_override(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const std::string where = fmt::format("override '{}'", text.substr(0, 100));
  const size_t dot = name.find('.');
  if (equals == std::string_view::npos || dot == std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument, "{}: expected section.key=value", where);
  }
  const SettingRow* row = find_setting(name);
  if (row == nullptr) {
    return unknown_setting(setting_rows(), name.substr(0, dot), name.substr(dot + 1), where);
  }
  const std::string_view value = text.substr(equals + 1);
  AC_TRY_STATUS(check_setting(*row, value, where));
  return std::pair(std::string(name), std::string(value));
}

// By what a file says of itself; one that cannot be read is left to whoever opens it.
bool is_zoo(const std::string& path) {
  if (path.ends_with(".zoo")) return true;
  const auto file = MappedFile::open(path);
  if (!file) return false;
  const std::span<const std::byte> bytes = (*file)->bytes();
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())
      .starts_with(kManifestMember);
}

}  // namespace

Result<std::unique_ptr<agentcompress>> open_handle(const OpenOptions& options) {
  SettingSources sources = SettingSources::of_process();
  sources.config_file = options.config_file;
  for (const std::string& text : options.overrides) {
    AC_TRY(auto setting, read_override(text));
    sources.flags.push_back(std::move(setting));
  }
  std::optional<std::string> model_file;
  if (!options.model.empty() && is_zoo(options.model)) {
    sources.flags.emplace_back("route.zoo", options.model);
  } else if (!options.model.empty()) {
    model_file = options.model;
  }
  AC_TRY(const Settings settings, Settings::load(sources));
  use_log_settings(settings);

  AC_TRY(Models models, open_models(settings, model_file));
  AC_TRY(RemoteOptions remote, remote_options(settings));
  const bool has_remote = !remote.url.empty();
  if (models.variants == nullptr && !has_remote) {
    return fail(ErrorCode::kInvalidArgument,
                "no model: give a zoo, a GGUF file or a Hugging Face folder, or set zoo in [route] "
                "or url in [remote]{}",
                settings.text("remote.url").empty() ? "" : " (which offline = yes rules out)");
  }
  auto handle = std::make_unique<agentcompress>();
  handle->names.emplace_back("auto");
  if (models.variants != nullptr) handle->names.emplace_back("local");
  if (has_remote) handle->names.emplace_back("remote");
  if (models.variants != nullptr) {
    double dearest = -1;
    for (const LocalVariant& variant : models.variants->variants()) {
      handle->names.push_back(variant.cost.id);
      if (variant.cost.cost <= dearest) continue;
      dearest = variant.cost.cost;
      handle->embeds = variant.cost.id;
    }
  }
  handle->gates = models.gates;
  handle->generate = generation_from(settings);
  handle->remote_model = remote.model;
  AC_TRY(handle->router,
         make_router(std::move(models), std::move(remote), settings, {.source = kSource}));
  return handle;
}

Cancellable::Cancellable(agentcompress& handle) : handle_(handle) {
  const std::lock_guard lock(handle_.mutex);
  handle_.running.push_back(&flag_);
}

Cancellable::~Cancellable() {
  const std::lock_guard lock(handle_.mutex);
  std::erase(handle_.running, &flag_);
}

}  // namespace ac
