// What a server says of its own load in Prometheus' text format.
#pragma once

#include <optional>
#include <string_view>

namespace ac {

// Requests that run and wait: vllm:num_requests_running and vllm:num_requests_waiting, added up over
// engines. nullopt: neither is there, or one is no number of requests.
std::optional<double> load_of_metrics(std::string_view text);

}  // namespace ac
