// zoo export: a variant for other programs.
#include <array>
#include <nlohmann/json.hpp>

#include "models/compress/export.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    Option{"--gguf", "FILE", "where to write a GGUF file that llama.cpp loads (VARIANT.gguf)"},
    Option{"--json", "", "as JSON"},
};

Result<int> run(const Invocation& invocation) {
  const std::string& id = invocation.arguments()[1];
  AC_TRY(const auto zoo, Zoo::open(invocation.arguments()[0]));
  const std::string path = invocation.value("--gguf").value_or(id + ".gguf");
  const Waiting waiting("writing");
  AC_TRY(const ExportReport report, zoo_export(*zoo, id, path));
  if (invocation.has("--json")) {
    output().write_line(json_line(OrderedJson{{"variant", id},
                                              {"path", path},
                                              {"bytes", report.bytes},
                                              {"architecture", report.architecture},
                                              {"notes", report.notes}}));
    return 0;
  }
  print("{}: {} bytes, architecture {}\n", path, report.bytes, report.architecture);
  for (const std::string& note : report.notes) print("note: {}\n", note);
  return 0;
}

}  // namespace

constinit const Verb kZooExport = {
    .name = "zoo export",
    .arguments = "FILE VARIANT",
    .min_arguments = 2,
    .max_arguments = 2,
    .summary = "write one variant for llama.cpp",
    .options = kOptions,
    .run = run,
};

}  // namespace ac::cli
