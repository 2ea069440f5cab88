// AC_CHECK: a statement about our own code that must hold. Never used on outside data.
#pragma once

namespace ac {

// Prints what, where and aborts.
[[noreturn]] void check_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace ac

#define AC_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::ac::check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define AC_DCHECK(condition) static_cast<void>(sizeof(condition))
#else
#define AC_DCHECK(condition) AC_CHECK(condition)
#endif
