// The list of backends.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/backend.h"

namespace ac {

struct BackendOptions {
  int n_threads = 0;   // 0: one per core
  std::string device = {};  // a part of its name; empty: the best
  // Where it is remembered which devices were tried and what came of it; empty: nowhere.
  std::string choices_file = {};
  // Called with weights that the backend has copied and will not read again; may be empty.
  std::function<void(std::span<const std::byte>)> drop_pages = {};
};

// "auto" is the best that this machine has.
// Errors: kNotFound naming the backends there are, and those of the backend.
Result<std::unique_ptr<Backend>> make_backend(std::string_view name, const BackendOptions& options);

// Best first, without "auto".
std::vector<std::string> backend_names();

}  // namespace ac
