#include "runtime/core/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ac {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ac_file_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  size_t entries() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  fs::path folder_;
};

TEST_F(FileTest, WritesAndReadsBack) {
  const std::string text("a\0b\n", 4);
  ASSERT_TRUE(write_file(path("f"), text).has_value());
  EXPECT_EQ(*read_file(path("f"), 4), text);
  EXPECT_EQ(read_file(path("f"), 3).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(entries(), 1u);  // no temporary file is left
}

TEST_F(FileTest, NothingAppearsBeforeCommit) {
  ASSERT_TRUE(write_file(path("f"), "old").has_value());
  {
    auto writer = create_file(path("f"));
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE((*writer)->write("new").has_value());
    EXPECT_EQ((*writer)->offset_bytes(), 3u);
    EXPECT_EQ(*read_file(path("f"), 10), "old");
    // Killed here, nothing would be left behind (where the file system has nameless files).
    EXPECT_LE(entries(), 2u);
  }
  EXPECT_EQ(*read_file(path("f"), 10), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, BuffersAcrossTheBorderOfItsBuffer) {
  // 1 MiB is the buffer: small pieces, then one that is larger than it, then small ones again.
  std::string expected;
  auto writer = create_file(path("f"));
  ASSERT_TRUE(writer.has_value());
  const auto put = [&](const std::string& piece) {
    expected += piece;
    ASSERT_TRUE((*writer)->write(std::string_view(piece)).has_value());
  };
  for (int i = 0; i < 300; ++i) put(std::string(5003, static_cast<char>('a' + i % 26)));
  put(std::string((3u << 20) + 17, 'X'));
  put("tail");
  EXPECT_EQ((*writer)->offset_bytes(), expected.size());
  ASSERT_TRUE((*writer)->commit().has_value());
  EXPECT_TRUE(*read_file(path("f"), 64u << 20) == expected);
}

TEST_F(FileTest, WritersOfOneFileDoNotMix) {
  auto first = *create_file(path("f"));
  auto second = *create_file(path("f"));
  ASSERT_TRUE(first->write(std::string_view("first")).has_value());
  ASSERT_TRUE(second->write(std::string_view("second")).has_value());
  ASSERT_TRUE(first->commit().has_value());
  EXPECT_EQ(*read_file(path("f"), 10), "first");
  ASSERT_TRUE(second->commit().has_value());
  EXPECT_EQ(*read_file(path("f"), 10), "second");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, ATemporaryNameThatIsTakenIsPassedOver) {
  const std::string taken = fmt::format("{}.{}.0", path("f"), getpid());
  std::ofstream(taken) << "somebody's";
  ASSERT_TRUE(write_file(path("f"), "mine").has_value());
  EXPECT_EQ(*read_file(path("f"), 10), "mine");
  EXPECT_EQ(*read_file(taken, 20), "somebody's");
}

TEST_F(FileTest, AFolderThatVanishesIsAnErrorAtCommit) {
  ASSERT_TRUE(fs::create_directory(path("d")));
  auto writer = *create_file(path("d/f"));
  ASSERT_TRUE(writer->write(std::string_view("x")).has_value());
  fs::remove_all(path("d"));
  EXPECT_EQ(writer->commit().error().code, ErrorCode::kNotFound);
}

TEST_F(FileTest, KeepsThePermissionsOfTheFileItReplaces) {
  ASSERT_TRUE(write_file(path("f"), "x").has_value());
  ASSERT_EQ(chmod(path("f").c_str(), 0600), 0);
  ASSERT_TRUE(write_file(path("f"), "y").has_value());
  struct stat info {};
  ASSERT_EQ(stat(path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(FileTest, NewFilesObeyTheUmask) {
  const mode_t before = umask(027);
  ASSERT_TRUE(write_file(path("f"), "x").has_value());
  umask(before);
  struct stat info {};
  ASSERT_EQ(stat(path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(FileTest, ErrorsNameThePathAndTheReason) {
  EXPECT_EQ(MappedFile::open(path("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(MappedFile::open(path("none")).error().message,
            path("none") + ": cannot open: No such file or directory");
  EXPECT_EQ(read_file(path("none"), 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(MappedFile::open(folder_.string()).error().code, ErrorCode::kIo);
  EXPECT_EQ(read_file(folder_.string(), 10).error().code, ErrorCode::kIo);
  EXPECT_EQ(create_file(path("no/such")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(create_file(folder_.string()).error().code, ErrorCode::kIo);
  std::ofstream(path("empty")).close();
  EXPECT_EQ(MappedFile::open(path("empty")).error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(*read_file(path("empty"), 0), "");
}

TEST_F(FileTest, APipeIsRefusedWithoutWaiting) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::open(path("pipe")).error().code, ErrorCode::kIo);
}

TEST_F(FileTest, AFullDiskIsAnErrorAndLeavesTheOldFile) {
  ASSERT_TRUE(write_file(path("f"), "old").has_value());
  // A limit on file sizes behaves like a full disk: write() fails with EFBIG.
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 1u << 20;
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = write_file(path("f"), std::string(3u << 20, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_EQ(status.error().message, path("f") + ": cannot write: File too large");
  EXPECT_EQ(*read_file(path("f"), 10), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, MappingsOutliveReplacementAndDroppedPagesComeBack) {
  const std::string text(3u << 20, 'q');
  ASSERT_TRUE(write_file(path("f"), text).has_value());
  const auto file = *MappedFile::open(path("f"));
  ASSERT_TRUE(write_file(path("f"), "new").has_value());
  ASSERT_EQ(file->bytes().size(), text.size());
  file->drop_pages(file->bytes().subspan(100, 2u << 20));
  file->drop_pages(file->bytes().subspan(5, 10));  // less than a page: nothing happens
  EXPECT_EQ(file->bytes()[1u << 20], std::byte{'q'});
}

// Fails at the n-th call, whichever it is.
class BrokenWriter final : public FileWriter {
 public:
  explicit BrokenWriter(int fail_at) : left_(fail_at) {}
  using FileWriter::write;
  Status write(std::span<const std::byte>) override { return step("write"); }
  Status commit() override { return step("commit"); }
  uint64_t offset_bytes() const override { return 0; }

 private:
  Status step(std::string_view what) {
    if (left_-- > 0) return {};
    return fail(ErrorCode::kIo, "injected: {}", what);
  }
  int left_;
};

TEST_F(FileTest, InjectedFailuresReachTheCaller) {
  for (int fail_at = 0; fail_at < 3; ++fail_at) {
    set_file_writer_factory_for_tests(
        [&](const std::string&) -> Result<std::unique_ptr<FileWriter>> {
          if (fail_at == 2) return fail(ErrorCode::kIo, "injected: create");
          return std::unique_ptr<FileWriter>(std::make_unique<BrokenWriter>(fail_at));
        });
    const Status status = write_file(path("f"), "text");
    set_file_writer_factory_for_tests(nullptr);
    ASSERT_FALSE(status.has_value());
    const char* expected[] = {"injected: write", "injected: commit", "injected: create"};
    EXPECT_EQ(status.error().message, expected[fail_at]);
  }
  EXPECT_EQ(entries(), 0u);
}

}  // namespace
}  // namespace ac
