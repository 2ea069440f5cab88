#include "runtime/server/metrics.h"

namespace ac {
namespace {

// A remote names its models as it likes; so many are told apart.
constexpr size_t kMostSeries = 256;

std::string label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

std::string head(std::string_view name, std::string_view type, std::string_view help) {
  return fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

}  // namespace

void Metrics::Times::add(double seconds) {
  for (size_t i = 0; i < kBounds.size(); ++i) {
    if (seconds > kBounds[i]) continue;
    ++below[i];
    break;
  }
  ++n;
  sum += seconds;
}

void Metrics::count_answer(const Receipt& receipt) {
  const std::lock_guard guard(mutex_);
  const std::string place = receipt.place == Place::kLocal ? "local" : "remote";
  std::array<std::string, 3> key = {place, receipt.model,
                                    std::string(route_reason_name(receipt.reason))};
  if (answers_.size() >= kMostSeries && !answers_.contains(key)) key[1] = "other";
  ++answers_[key];
  OfPlace& of = places_[place];
  of.prompt_tokens += receipt.prompt_tokens;
  of.completion_tokens += receipt.completion_tokens;
  of.n_degraded += receipt.degraded ? 1 : 0;
  of.answers.add(receipt.seconds);
  if (receipt.first_token_seconds > 0) of.first_tokens.add(receipt.first_token_seconds);
  usd_ += receipt.cost_usd;
  // The first token belongs to the reading.
  if (receipt.place == Place::kLocal && receipt.completion_tokens > 1) {
    Writing& writing = writing_[receipt.model];
    writing.tokens += receipt.completion_tokens - 1;
    writing.seconds += receipt.seconds - receipt.first_token_seconds;
  }
}

void Metrics::count_refusal(int status) {
  const std::lock_guard guard(mutex_);
  ++refusals_[status];
}

std::map<std::string, double> Metrics::tokens_per_second() const {
  const std::lock_guard guard(mutex_);
  std::map<std::string, double> speeds;
  for (const auto& [variant, writing] : writing_) {
    if (writing.seconds > 0) speeds[variant] = static_cast<double>(writing.tokens) / writing.seconds;
  }
  return speeds;
}

std::string Metrics::text(size_t n_waiting) const {
  const std::lock_guard guard(mutex_);
  std::string out = head("agentcompress_answers_total", "counter", "Answers given.");
  for (const auto& [key, n] : answers_) {
    out += fmt::format("agentcompress_answers_total{{place=\"{}\",model=\"{}\",reason=\"{}\"}} {}\n",
                       key[0], label(key[1]), key[2], n);
  }
  out += head("agentcompress_tokens_total", "counter", "Tokens read and written.");
  for (const auto& [place, of] : places_) {
    out += fmt::format(
        "agentcompress_tokens_total{{place=\"{0}\",kind=\"prompt\"}} {1}\n"
        "agentcompress_tokens_total{{place=\"{0}\",kind=\"completion\"}} {2}\n",
        place, of.prompt_tokens, of.completion_tokens);
  }
  out += head("agentcompress_degraded_total", "counter",
              "Answers that wanted the full model and could not have it.");
  for (const auto& [place, of] : places_) {
    out += fmt::format("agentcompress_degraded_total{{place=\"{}\"}} {}\n", place, of.n_degraded);
  }
  const auto histogram = [&](std::string_view name, std::string_view help, Times OfPlace::*times) {
    out += head(name, "histogram", help);
    for (const auto& [place, of] : places_) {
      const Times& those = of.*times;
      int64_t n = 0;
      for (size_t i = 0; i < kBounds.size(); ++i) {
        n += those.below[i];
        out += fmt::format("{}_bucket{{place=\"{}\",le=\"{:g}\"}} {}\n", name, place, kBounds[i], n);
      }
      out += fmt::format("{0}_bucket{{place=\"{1}\",le=\"+Inf\"}} {2}\n{0}_sum{{place=\"{1}\"}} "
                         "{3:.6f}\n{0}_count{{place=\"{1}\"}} {2}\n",
                         name, place, those.n, those.sum);
    }
  };
  histogram("agentcompress_answer_seconds", "From the question to the end of its answer.",
            &OfPlace::answers);
  histogram("agentcompress_first_token_seconds", "From the question to the first of its answer.",
            &OfPlace::first_tokens);
  out += head("agentcompress_cost_usd_total", "counter", "What the remote has taken.");
  out += fmt::format("agentcompress_cost_usd_total {:.6f}\n", usd_);
  out += head("agentcompress_refusals_total", "counter", "Requests that got an error, by status.");
  for (const auto& [status, n] : refusals_) {
    out += fmt::format("agentcompress_refusals_total{{status=\"{}\"}} {}\n", status, n);
  }
  out += head("agentcompress_waiting", "gauge", "Requests in the queue.");
  out += fmt::format("agentcompress_waiting {}\n", n_waiting);
  return out;
}

}  // namespace ac
