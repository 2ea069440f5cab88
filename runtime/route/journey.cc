#include "runtime/route/journey.h"

namespace ac {

std::string_view finish_name(FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "stop";
}

double success_of(const Decision& decision, std::string_view variant) {
  for (const Candidate& candidate : decision.candidates) {
    if (candidate.id == variant) return candidate.success;
  }
  return 0;
}

Receipt receipt_of(const Journey& journey) {
  Receipt receipt;
  receipt.place = journey.route.place;
  receipt.model = journey.route.variant;
  receipt.reason = journey.route.reason;
  if (journey.decision.prediction.has_value()) receipt.confidence = journey.route.confidence;
  receipt.degraded = journey.route.degraded;
  receipt.degraded_cause = journey.cause;
  receipt.note = journey.notes;
  receipt.seconds = journey.relay.seconds();
  receipt.first_token_seconds = journey.relay.first_seconds();
  return receipt;
}

RoutedAnswer broken_off(Journey& journey, std::string_view model, const Error& error) {
  RoutedAnswer answer;
  answer.receipt = receipt_of(journey);
  answer.receipt.model = model;
  answer.text = journey.relay.take_text();
  if (error.code == ErrorCode::kCancelled) {
    answer.receipt.finish = finish_name(FinishReason::kCancelled);
  } else {
    answer.receipt.finish = "interrupted";
    answer.interrupted = error;
  }
  if (answer.receipt.place == Place::kRemote) add_note(&answer.receipt.note, kNotCounted);
  return answer;
}

void add_note(std::string* notes, std::string_view note) {
  if (!notes->empty()) *notes += "; ";
  *notes += note;
}

}  // namespace ac
