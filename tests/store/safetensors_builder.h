// Builds safetensors files, right or wrong, and judges them by the format's rules once more, in
// code that shares nothing with models/store.
#pragma once

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ac::testing {

inline std::string safetensors_file(std::string header, std::string_view buffer) {
  std::string out(8, '\0');
  const uint64_t size = header.size();
  std::memcpy(out.data(), &size, 8);
  return out + header + std::string(buffer);
}

class SafetensorsBuilder {
 public:
  SafetensorsBuilder& add(const std::string& name, const std::string& dtype,
                          const std::vector<int64_t>& shape, std::string_view bytes) {
    header_[name] = {{"dtype", dtype},
                     {"shape", shape},
                     {"data_offsets", {buffer_.size(), buffer_.size() + bytes.size()}}};
    buffer_ += bytes;
    return *this;
  }
  nlohmann::json& header() { return header_; }
  const std::string& buffer() const { return buffer_; }
  // Padded with spaces so that the buffer begins on a multiple of eight, as writers do.
  std::string build() const {
    std::string text = header_.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    return safetensors_file(text, buffer_);
  }

 private:
  nlohmann::json header_ = nlohmann::json::object();
  std::string buffer_;
};

// Whether a file obeys the format and is something this project reads: F32, F16 or BF16 tensors of
// one to four axes, none empty.
inline bool reference_accepts(std::string_view file) {
  using nlohmann::json;
  if (file.size() < 8) return false;
  uint64_t n = 0;
  std::memcpy(&n, file.data(), 8);
  if (n > 100'000'000 || n > file.size() - 8) return false;
  const std::string_view text = file.substr(8, n);
  const std::string_view buffer = file.substr(8 + n);
  if (text.empty() || text[0] != '{') return false;
  bool repeated = false;
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(parsed.get<std::string>()).second) {
      repeated = true;
    }
    return true;
  };
  const json header = json::parse(text.begin(), text.end(), watch, false);
  if (header.is_discarded() || repeated || !header.is_object()) return false;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const auto& [name, t] : header.items()) {
    if (name == "__metadata__") {
      if (!t.is_object()) return false;
      for (const auto& value : t) {
        if (!value.is_string()) return false;
      }
      continue;
    }
    if (name.empty() || name.size() > 512) return false;
    for (const char c : name) {
      if (static_cast<unsigned char>(c) < 32 || c == 127) return false;
    }
    if (!t.is_object() || t.size() != 3 || !t.contains("dtype") || !t.contains("shape") ||
        !t.contains("data_offsets") || !t["dtype"].is_string()) {
      return false;
    }
    const std::string dtype = t["dtype"];
    if (dtype != "F32" && dtype != "F16" && dtype != "BF16") return false;
    const json& shape = t["shape"];
    const json& offsets = t["data_offsets"];
    if (!shape.is_array() || shape.empty() || shape.size() > 4) return false;
    if (!offsets.is_array() || offsets.size() != 2) return false;
    long double bytes = dtype == "F32" ? 4 : 2;
    for (const json& axis : shape) {
      if (!axis.is_number_unsigned() || axis.get<uint64_t>() == 0) return false;
      bytes *= static_cast<long double>(axis.get<uint64_t>());
    }
    if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) return false;
    const uint64_t begin = offsets[0], end = offsets[1];
    if (end < begin || static_cast<long double>(end - begin) != bytes) return false;
    ranges.emplace_back(begin, end);
  }
  std::sort(ranges.begin(), ranges.end());
  uint64_t covered = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != covered) return false;
    covered = end;
  }
  return covered == buffer.size();
}

}  // namespace ac::testing
