// Builds archives that a zoo's reader should judge: raw ustar headers with any type and name,
// sealed like a real zoo, so that what is refused is refused for the reason under test and not for
// the seal. Shares no code with models/store but the hash.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "models/store/sha256.h"

namespace ac::testing {

inline std::string sha256_of(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

inline std::string ustar_header(std::string_view name, size_t size, char type = '0',
                                std::string_view link = "") {
  std::string h(512, '\0');
  const auto put = [&](size_t at, std::string_view text) { h.replace(at, text.size(), text); };
  const auto octal = [&](size_t at, int digits, size_t value) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*zo", digits, value);
    put(at, text);
  };
  put(0, name.substr(0, 100));
  octal(100, 6, 0644);
  octal(108, 6, 0);
  octal(116, 6, 0);
  octal(124, 11, size);
  octal(136, 11, 0);
  put(148, "        ");
  h[156] = type;
  put(157, link);
  put(257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : h) sum += static_cast<unsigned char>(c);
  octal(148, 6, sum);
  h[154] = '\0';
  return h;
}

class TarBuilder {
 public:
  // `sealed` data goes into the seal, as manifest.json does.
  TarBuilder& add(std::string_view name, std::string_view data, bool sealed = false,
                  char type = '0', std::string_view link = "") {
    const std::string header = ustar_header(name, data.size(), type, link);
    const std::string padding((512 - data.size() % 512) % 512, '\0');
    bytes_ += header + std::string(data) + padding;
    skeleton_ += header + (sealed ? std::string(data) : "") + padding;
    return *this;
  }
  // Bytes that are neither header nor data of a member.
  TarBuilder& raw(const std::string& bytes) {
    bytes_ += bytes;
    skeleton_ += bytes;
    return *this;
  }
  std::string seal(std::string_view name = "seal.sha256") {
    const std::string header = ustar_header(name, 65);
    const std::string digest = sha256_of(skeleton_ + header) + "\n";
    return bytes_ + header + digest + std::string(512 - 65, '\0') + std::string(1024, '\0');
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_, skeleton_;
};

}  // namespace ac::testing
