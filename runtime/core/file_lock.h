// A lock that processes share by the name of a file.
#pragma once

#include <string>
#include <utility>

#include "runtime/core/result.h"

namespace ac {

// Held by one process at a time, until destroyed. The file stays.
class FileLock {
 public:
  // Waits for it; makes the file, and the folder it is in, where there is none. Errors: kIo.
  static Result<FileLock> take(const std::string& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_;
};

}  // namespace ac
