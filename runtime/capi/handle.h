// What an `agentcompress*` points at, and how it is opened. C++ inside, no C.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/gates.h"
#include "runtime/capi/agentcompress.h"
#include "runtime/core/cancel.h"
#include "runtime/core/result.h"
#include "runtime/route/router.h"

// Everything but `running` is as it was opened; the router is thread-safe.
struct agentcompress {
  std::unique_ptr<ac::Router> router;
  std::shared_ptr<const ac::Gates> gates;  // that the router decides by; nullptr: none
  ac::GenerateOptions generate;            // what a question does not say
  std::vector<std::string> names;          // that may be asked for
  std::string embeds;                      // the best local variant; empty: there is none
  std::string remote_model;

  std::mutex mutex;
  std::vector<ac::CancelFlag*> running;  // of the answers that are being made, under `mutex`
};

namespace ac {

struct OpenOptions {
  std::string config_file{};             // empty: none is named
  std::vector<std::string> overrides{};  // "section.key=value"
  std::string model{};  // zoo, GGUF file or Hugging Face folder; empty: of the settings
};
// Errors: kInvalidArgument (an override or a setting that cannot be, nothing to answer with), those
// of opening the files.
Result<std::unique_ptr<agentcompress>> open_handle(const OpenOptions& options);

// Is raised by agentcompress_cancel while it lives.
class Cancellable {
 public:
  explicit Cancellable(agentcompress& handle);
  ~Cancellable();
  Cancellable(const Cancellable&) = delete;
  Cancellable& operator=(const Cancellable&) = delete;
  const CancelFlag* flag() const { return &flag_; }

 private:
  agentcompress& handle_;
  CancelFlag flag_;
};

}  // namespace ac
