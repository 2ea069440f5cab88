#include "models/tasks/style.h"

#include <array>

namespace ac::tasks {

std::string_view style_name(Style style) {
  constexpr std::array<std::string_view, kStyles> kNames = {"apa", "mla", "chicago", "ieee",
                                                            "vancouver"};
  return kNames[static_cast<size_t>(style)];
}

bool is_numbered(Style style) { return style == Style::kIeee || style == Style::kVancouver; }

std::string format_reference(const Reference& reference, Style style) {
  switch (style) {
    case Style::kApa:
      return format_apa(reference);
    case Style::kMla:
      return format_mla(reference);
    case Style::kChicago:
      return format_chicago(reference);
    case Style::kIeee:
      return format_ieee(reference);
    case Style::kVancouver:
      return format_vancouver(reference);
  }
  AC_CHECK(false);
}

std::string cite_in_text(const InText& citation, Style style) {
  switch (style) {
    case Style::kApa:
      return cite_apa(citation);
    case Style::kMla:
      return cite_mla(citation);
    case Style::kChicago:
      return cite_chicago(citation);
    case Style::kIeee:
      return cite_ieee(citation);
    case Style::kVancouver:
      return cite_vancouver(citation);
  }
  AC_CHECK(false);
}

}  // namespace ac::tasks
