#include "runtime/core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

namespace ac {
namespace {

constexpr size_t kWriteBufferBytes = 1u << 20;

// An errno as an Error: a missing file is kNotFound, a full or broken disk kIo.
Error system_error(std::string_view path, std::string_view what, int error_number) {
  const bool missing = error_number == ENOENT || error_number == ENOTDIR;
  return fail(missing ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot {}: {}", path, what,
              std::generic_category().message(error_number));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int open_retrying(const char* path, int flags, mode_t mode = 0) {
  int fd;
  do {
    fd = ::open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Where the bytes go until commit. A nameless file where the file system has them, so that a
// process that is killed leaves nothing behind; otherwise a file beside the target.
struct TemporaryFile {
  int fd = -1;
  std::string name;  // "" while it is nameless
};

TemporaryFile open_temporary(const std::string& path) {
  TemporaryFile file;
  file.fd = open_retrying(folder_of(path).c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (file.fd < 0) {
    file.name = path + ".XXXXXX";
    file.fd = mkostemp(file.name.data(), O_CLOEXEC);
  }
  return file;
}

// Gives a nameless file a name beside `path`. False: errno says why.
bool give_name(TemporaryFile& file, const std::string& path) {
  const std::string self = fmt::format("/proc/self/fd/{}", file.fd);
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::string name = fmt::format("{}.{}.{}", path, getpid(), attempt);
    if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      file.name = name;
      return true;
    }
    if (errno != EEXIST) return false;
  }
  return false;
}

class PosixFileWriter final : public FileWriter {
 public:
  PosixFileWriter(std::string path, TemporaryFile file)
      : path_(std::move(path)), file_(std::move(file)), fd_(file_.fd) {
    buffer_.reserve(kWriteBufferBytes);
  }
  ~PosixFileWriter() override {
    if (!file_.name.empty()) unlink(file_.name.c_str());
  }
  using FileWriter::write;

  Status write(std::span<const std::byte> bytes) override {
    offset_ += bytes.size();
    while (!bytes.empty()) {
      if (buffer_.empty() && bytes.size() >= kWriteBufferBytes) {
        return write_through(bytes);
      }
      const size_t n = std::min(bytes.size(), kWriteBufferBytes - buffer_.size());
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
      bytes = bytes.subspan(n);
      if (buffer_.size() == kWriteBufferBytes) AC_TRY_STATUS(flush());
    }
    return {};
  }

  Status commit() override {
    AC_CHECK(fd_.get() >= 0);
    AC_TRY_STATUS(flush());
    if (fsync(fd_.get()) != 0) return system_error(path_, "write to disk", errno);
    if (file_.name.empty() && !give_name(file_, path_)) return system_error(path_, "create", errno);
    // close() may report what a network file system could not keep.
    if (close(fd_.release()) != 0) return system_error(path_, "close", errno);
    if (rename(file_.name.c_str(), path_.c_str()) != 0) {
      return system_error(path_, "replace", errno);
    }
    file_.name.clear();
    const std::string folder = folder_of(path_);
    const Descriptor folder_fd(open_retrying(folder.c_str(), O_RDONLY | O_DIRECTORY));
    // Some file systems cannot sync a folder (EINVAL); the rename itself has succeeded.
    if (folder_fd.get() >= 0 && fsync(folder_fd.get()) != 0 && errno != EINVAL) {
      return system_error(folder, "write to disk", errno);
    }
    return {};
  }

  uint64_t offset_bytes() const override { return offset_; }

 private:
  Status flush() {
    Status status = write_through(buffer_);
    buffer_.clear();
    return status;
  }

  Status write_through(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_error(path_, "write", errno);
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return {};
  }

  std::string path_;
  TemporaryFile file_;
  Descriptor fd_;
  std::vector<std::byte> buffer_;
  uint64_t offset_ = 0;
};

FileWriterFactory& writer_factory() {
  static FileWriterFactory factory;
  return factory;
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe by mistake must not wait for its writer.
  const Descriptor fd(open_retrying(path.c_str(), O_RDONLY | O_NONBLOCK));
  if (fd.get() < 0) return system_error(path, "open", errno);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return system_error(path, "read", errno);
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::kIo, "{}: is {}, expected a regular file", path,
                S_ISDIR(info.st_mode) ? "a folder" : "not a file");
  }
  if (info.st_size == 0) return fail(ErrorCode::kCorruptFile, "{}: the file is empty", path);
  const auto size = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return system_error(path, "map", errno);
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->data_ = static_cast<std::byte*>(data);
  file->size_ = size;
  file->path_ = path;
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

void MappedFile::drop_pages(std::span<const std::byte> range) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(range.data());
  // Only pages that lie wholly inside the range: neighbours may still be read.
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t last = (begin + range.size()) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

Result<std::string> read_file(const std::string& path, uint64_t limit_bytes) {
  const Descriptor fd(open_retrying(path.c_str(), O_RDONLY));
  if (fd.get() < 0) return system_error(path, "open", errno);
  std::string text;
  struct stat info {};
  if (fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
    const auto size = static_cast<uint64_t>(info.st_size);
    if (size > limit_bytes) {
      return fail(ErrorCode::kInvalidArgument, "{}: is {} bytes, expected at most {}", path, size,
                  limit_bytes);
    }
    text.reserve(static_cast<size_t>(size));
  }
  // Read to the end rather than to st_size: pipes and /proc have none.
  std::vector<char> chunk(64u << 10);
  while (true) {
    const ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path, "read", errno);
    if (n == 0) return text;
    if (text.size() + static_cast<size_t>(n) > limit_bytes) {
      return fail(ErrorCode::kInvalidArgument, "{}: is more than {} bytes", path, limit_bytes);
    }
    text.append(chunk.data(), static_cast<size_t>(n));
  }
}

Status check_private(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return {};
  if ((info.st_mode & 077) != 0) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: other users may read or change it; chmod 600 mends that", path);
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return fail(ErrorCode::kInvalidArgument, "{}: belongs to user {}, expected to be ours", path,
                info.st_uid);
  }
  struct stat link {};
  if (lstat(path.c_str(), &link) == 0 && link.st_uid != geteuid() && link.st_uid != 0) {
    return fail(ErrorCode::kInvalidArgument, "{}: is a link of user {}, expected to be ours", path,
                link.st_uid);
  }
  const std::string folder = folder_of(path);
  struct stat around {};
  const bool replaceable = stat(folder.c_str(), &around) == 0 && (around.st_mode & S_IWOTH) != 0 &&
                           (around.st_mode & S_ISVTX) == 0;
  if (replaceable) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: everybody may replace it, since {} is open to all; chmod o-w mends that", path,
                folder);
  }
  return {};
}

Result<std::unique_ptr<FileWriter>> create_file(const std::string& path) {
  if (writer_factory()) return writer_factory()(path);
  struct stat info {};
  mode_t mode = 0;
  if (stat(path.c_str(), &info) == 0) {
    // A rename would replace a device or a folder by a file.
    if (!S_ISREG(info.st_mode)) {
      return fail(ErrorCode::kIo, "{}: is {}, expected a regular file or nothing", path,
                  S_ISDIR(info.st_mode) ? "a folder" : "not a file");
    }
    mode = info.st_mode & 0777;
  }
  TemporaryFile file = open_temporary(path);
  if (file.fd < 0) return system_error(path, "create", errno);
  if (mode == 0) {
    // Temporary files are private; a new file gets what open() would have given it.
    const mode_t mask = umask(0);
    umask(mask);
    mode = 0666 & ~mask;
  }
  // A file system without permissions is no reason to fail.
  static_cast<void>(!fchmod(file.fd, mode));
  return std::unique_ptr<FileWriter>(std::make_unique<PosixFileWriter>(path, std::move(file)));
}

Status write_file(const std::string& path, std::string_view text) {
  AC_TRY(auto writer, create_file(path));
  AC_TRY_STATUS(writer->write(text));
  return writer->commit();
}

namespace {

// Where the last whole line ends.
Result<off_t> end_of_lines(int fd, const std::string& path) {
  off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return system_error(path, "seek", errno);
  char last = 0;
  while (end > 0) {
    if (pread(fd, &last, 1, end - 1) != 1) return system_error(path, "read", errno);
    if (last == '\n') break;
    --end;
  }
  return end;
}

}  // namespace

Status append_line(const std::string& path, std::string_view line) {
  const Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0) return system_error(path, "open", errno);
  AC_TRY(off_t end, end_of_lines(fd.get(), path));
  if (ftruncate(fd.get(), end) != 0) return system_error(path, "cut", errno);
  while (!line.empty()) {
    const ssize_t n = pwrite(fd.get(), line.data(), line.size(), end);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path, "write", errno);
    line.remove_prefix(static_cast<size_t>(n));
    end += n;
  }
  return fsync(fd.get()) == 0 ? Status() : system_error(path, "sync", errno);
}

void set_file_writer_factory_for_tests(FileWriterFactory factory) {
  writer_factory() = std::move(factory);
}

}  // namespace ac
