// Any bytes as an ini file: a message with file and line, or settings whose values are in range.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/core/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ac::Settings settings = ac::default_settings();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!settings.apply_ini(text, "fuzz.ini", "/home/u")) return 0;
  for (const ac::SettingRow& row : ac::setting_rows()) {
    const std::string name = ac::setting_name(row);
    double value = 0;
    if (row.type == ac::SettingType::kInteger) {
      value = static_cast<double>(settings.integer(name));
    } else if (row.type == ac::SettingType::kNumber) {
      value = settings.number(name);
    } else if (row.type == ac::SettingType::kYesNo) {
      value = settings.yes(name) ? 0 : row.max;
    }
    if (!(value >= row.min && value <= row.max)) std::abort();
  }
  return 0;
}
