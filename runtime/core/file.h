// Files: mapped for reading, replaced whole for writing. The only place that opens paths, and
// fakeable, so that tests can break it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace ac {

// A read-only mapping of a regular file. Shared: views into it stay valid while any copy of the
// pointer lives.
class MappedFile {
 public:
  // Errors: kNotFound, kIo (not a regular file, no permission), kCorruptFile (empty).
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // Tells the kernel that these pages, already copied elsewhere, need not stay resident.
  void drop_pages(std::span<const std::byte> range) const;

 private:
  MappedFile() = default;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

// A whole text or binary file in memory. Errors: kNotFound, kIo, kInvalidArgument (above
// limit_bytes).
Result<std::string> read_file(const std::string& path, uint64_t limit_bytes);

// A sequential writer to a temporary file on the file system of `path`, nameless where that can be.
// Nothing appears under `path` until commit(): flush, fsync, rename, fsync of the folder. Destroyed
// without commit: the temporary file is gone.
class FileWriter {
 public:
  virtual ~FileWriter() = default;
  virtual Status write(std::span<const std::byte> bytes) = 0;
  virtual Status commit() = 0;
  virtual uint64_t offset_bytes() const = 0;  // bytes written so far
  Status write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
};
Result<std::unique_ptr<FileWriter>> create_file(const std::string& path);

// Adds a line to the end of a file, made where there is none, and syncs it. What stands there without
// a line end was cut off while it was written, and is overwritten. One writer at a time (FileLock).
// REQUIRES: `line` ends with its only line end. Errors: kIo.
Status append_line(const std::string& path, std::string_view line);

// Errors: kInvalidArgument where other users may read or write the file, or it is another's (the
// superuser's will do). A file that is not there is none of its business.
Status check_private(const std::string& path);
// read_file's opposite, by create_file.
Status write_file(const std::string& path, std::string_view text);

// For tests: every create_file goes through `factory` until it is reset with nullptr.
using FileWriterFactory =
    std::function<Result<std::unique_ptr<FileWriter>>(const std::string& path)>;
void set_file_writer_factory_for_tests(FileWriterFactory factory);

}  // namespace ac
