// What GGUF's reader and writer must agree on.
#pragma once

#include <cstdint>
#include <string_view>

namespace ac {

inline constexpr std::string_view kAlignmentKey = "general.alignment";
inline constexpr uint64_t kDefaultAlignment = 32;
inline constexpr uint64_t kPackedAlignment =
    64;  // the kernels read packed formats in whole cache lines

}  // namespace ac
