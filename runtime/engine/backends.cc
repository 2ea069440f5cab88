#include "runtime/engine/backends.h"

#include <array>

#include "cpu/backend_cpu.h"
#include "runtime/engine/backend_choice.h"

namespace ac {
namespace {

struct Row {
  std::string_view name;
  Result<std::unique_ptr<Backend>> (*make)(const BackendOptions& options);
};

Result<std::unique_ptr<Backend>> make_cpu(const BackendOptions& options) {
  cpu::CpuBackendOptions cpu_options;
  cpu_options.n_threads = options.n_threads;
  cpu_options.drop_pages = options.drop_pages;
  return cpu::create_cpu_backend(cpu_options);
}

Result<std::unique_ptr<Backend>> make_vulkan(const BackendOptions& options) {
  AC_TRY(BackendChoice choice, choose_vulkan(options, true));
  return std::move(choice.backend);
}

Result<std::unique_ptr<Backend>> make_best(const BackendOptions& options) {
  AC_TRY(BackendChoice choice, choose_vulkan(options, false));
  return std::move(choice.backend);
}

constexpr std::array<Row, 3> kBackends = {
    {{"auto", make_best}, {"cpu", make_cpu}, {"vulkan", make_vulkan}}};

}  // namespace

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Row& row : kBackends) {
    if (row.name != "auto") names.emplace_back(row.name);
  }
  return names;
}

Result<std::unique_ptr<Backend>> make_backend(std::string_view name,
                                              const BackendOptions& options) {
  std::string known;
  for (const Row& row : kBackends) {
    if (name == row.name) return row.make(options);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  return fail(ErrorCode::kNotFound, "no backend '{}', expected {}", name, known);
}

}  // namespace ac
