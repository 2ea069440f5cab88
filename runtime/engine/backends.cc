#include "runtime/engine/backends.h"

#include <array>

#include "cpu/backend_cpu.h"

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

constexpr std::array<Row, 1> kBackends = {{{"cpu", make_cpu}}};

}  // namespace

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Row& row : kBackends) names.emplace_back(row.name);
  return names;
}

Result<std::unique_ptr<Backend>> make_backend(std::string_view name,
                                              const BackendOptions& options) {
  std::string known = "auto";
  for (const Row& row : kBackends) {
    if (name == row.name || name == "auto") return row.make(options);
    known += fmt::format(", {}", row.name);
  }
  return fail(ErrorCode::kNotFound, "no backend '{}', expected {}", name, known);
}

}  // namespace ac
