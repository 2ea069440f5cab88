// The zoo: what is written is read, and anything that is not exactly what was written is refused.
#include "models/store/zoo.h"

#include <archive.h>
#include <archive_entry.h>

#include <nlohmann/json.hpp>

#include "models/store/tar_reader.h"
#include "tests/store/gguf_builder.h"
#include "tests/store/store_test_util.h"
#include "tests/store/zoo_builder.h"
#include "tests/store/zoo_draft.h"

namespace ac {
namespace {

using testing::Draft;
using testing::gguf_text;
using testing::GgufBuilder;
using testing::parse_gguf_text;
using testing::slurp;
using testing::small_zoo;
using testing::spill;
using testing::TarBuilder;
using testing::TemporaryFolder;
using testing::weights;

Result<std::shared_ptr<const Zoo>> parse(std::string_view text) {
  std::shared_ptr<std::byte[]> copy(new std::byte[text.size()]);
  std::memcpy(copy.get(), text.data(), text.size());
  const std::span<const std::byte> bytes(copy.get(), text.size());
  return Zoo::parse(bytes, std::move(copy), "test.zoo");
}

// Whether anybody who uses the whole zoo would be told that something is wrong.
bool is_refused(std::string_view text) {
  const auto zoo = parse(text);
  return !zoo || !(*zoo)->verify();
}

std::string refusal(std::string_view text) {
  const auto zoo = parse(text);
  return zoo ? "" : zoo.error().message;
}

TEST(Zoo, WhatIsWrittenIsRead) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.zoo";
  const Draft d;
  ASSERT_TRUE(write_zoo(path, d.draft));
  const auto opened = Zoo::open(path);
  ASSERT_TRUE(opened) << opened.error().message;
  const Zoo& zoo = **opened;
  EXPECT_TRUE(zoo.verify());
  const ZooManifest& m = zoo.manifest();
  EXPECT_EQ(m.base, "base");
  EXPECT_EQ(m.n_context, 128);
  ASSERT_EQ(m.variants.size(), 2u);
  EXPECT_EQ(m.variants[0].techniques, std::vector<std::string>{"quantize q4_0"});
  EXPECT_EQ(m.variants[0].formats.at("f32"), 1u);
  EXPECT_EQ(m.variants[0].notes, std::vector<std::string>{"w: stays f32"});
  ASSERT_EQ(m.members.size(), 4u);
  for (const ZooMember& member : m.members) EXPECT_EQ(member.offset_bytes % 512, 0u);

  const auto cheap = zoo.open_variant("cheap");
  ASSERT_TRUE(cheap) << cheap.error().message;
  EXPECT_TRUE(testing::same_tensor(cheap->tensor("w").value(), d.cheap.tensor("w").value()));
  EXPECT_EQ(cheap->get_strings("tokenizer.ggml.tokens")->size(), 2u);
  const auto unchecked = zoo.open_variant_unchecked("dear");
  ASSERT_TRUE(unchecked);
  EXPECT_TRUE(unchecked->check->wait());
  EXPECT_TRUE(unchecked->check->wait());
  const auto predictor = zoo.open_predictor();
  ASSERT_TRUE(predictor);
  EXPECT_TRUE(predictor->has_value());
  const auto missing = zoo.open_variant("q8_0");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("cheap, dear"), std::string::npos);
}

TEST(Zoo, TheCheckpointOutlivesTheZoo) {
  std::optional<Checkpoint> kept;
  {
    const auto zoo = parse(small_zoo());
    ASSERT_TRUE(zoo);
    kept = std::move(*(*zoo)->open_variant("cheap"));
  }
  EXPECT_EQ(kept->tensor("w")->size_bytes, 60u);
  float value = 0;
  std::memcpy(&value, kept->tensor("w")->data, 4);
  EXPECT_EQ(value, 1);
  EXPECT_EQ((*kept->get_strings("tokenizer.ggml.tokens"))[1], "b");
}

TEST(Zoo, TheSameDraftGivesTheSameBytes) { EXPECT_EQ(small_zoo(), small_zoo()); }

TEST(Zoo, OtherToolsReadTheArchive) {
  const TemporaryFolder folder;
  spill(folder / "a.zoo", small_zoo());
  const std::string command =
      "cd '" + folder.path() +
      "' && tar xf a.zoo && test -s variants/dear.gguf && test -s manifest.json";
  EXPECT_EQ(std::system(command.c_str()), 0);
  const auto extracted = open_gguf(folder / "variants/dear.gguf");
  ASSERT_TRUE(extracted);
  EXPECT_TRUE(testing::same_tensor(extracted->tensor("w").value(), weights(2).tensor("w").value()));
}

TEST(Zoo, EveryFlippedBitIsNoticed) {
  std::string text = small_zoo();
  size_t silent = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      text[i] = static_cast<char>(text[i] ^ (1 << bit));
      if (!is_refused(text)) ++silent;
      text[i] = static_cast<char>(text[i] ^ (1 << bit));
    }
  }
  EXPECT_EQ(silent, 0u) << "of " << text.size() * 8;
  EXPECT_FALSE(is_refused(text));
}

TEST(Zoo, AFlippedMemberLeavesTheOthersUsable) {
  std::string text = small_zoo();
  const auto zoo = parse(text);
  ASSERT_TRUE(zoo);
  const ZooMember& dear = (*zoo)->manifest().members[2];
  ASSERT_EQ(dear.name, "variants/dear.gguf");
  text[dear.offset_bytes + dear.size_bytes - 20] ^= 1;  // a weight: parsing cannot notice
  const auto broken = parse(text);
  ASSERT_TRUE(broken) << broken.error().message;
  EXPECT_TRUE((*broken)->open_variant("cheap"));
  const auto refused = (*broken)->open_variant("dear");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorruptFile);
  EXPECT_NE(refused.error().message.find("variants/dear.gguf"), std::string::npos);
  const auto unchecked = (*broken)->open_variant_unchecked("dear");
  ASSERT_TRUE(unchecked);
  EXPECT_FALSE(unchecked->check->wait());
  EXPECT_FALSE((*broken)->verify());
}

TEST(Zoo, CutAtEveryLengthAndExtended) {
  const std::string text = small_zoo();
  for (size_t n = 0; n < text.size(); ++n) ASSERT_TRUE(is_refused(text.substr(0, n))) << n;
  for (const size_t more : {1u, 511u, 512u, 1024u, 10240u}) {
    EXPECT_TRUE(is_refused(text + std::string(more, '\0'))) << more;
    EXPECT_TRUE(is_refused(text + std::string(more, 'x'))) << more;
  }
  EXPECT_TRUE(is_refused(text + text));
  EXPECT_TRUE(is_refused("PK\3\4" + text));
}

// --- archives of others
// ---------------------------------------------------------------------------

struct ForeignEntry {
  std::string name;
  std::string data;
  mode_t type = AE_IFREG;
  std::string symlink = {}, hardlink = {};
};

enum class Container { kTar, kGnuTar, kCpio, kZip, kTarGzip };

std::string foreign(const std::vector<ForeignEntry>& entries, Container container) {
  std::string bytes(1 << 20, '\0');
  size_t used = 0;
  archive* a = archive_write_new();
  switch (container) {
    case Container::kTar:
    case Container::kTarGzip:
      archive_write_set_format_pax(a);
      break;
    case Container::kGnuTar:
      archive_write_set_format_gnutar(a);
      break;
    case Container::kCpio:
      archive_write_set_format_cpio(a);
      break;
    case Container::kZip:
      archive_write_set_format_zip(a);
      break;
  }
  if (container == Container::kTarGzip) archive_write_add_filter_gzip(a);
  AC_CHECK(archive_write_open_memory(a, bytes.data(), bytes.size(), &used) == ARCHIVE_OK);
  for (const ForeignEntry& e : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, e.name.c_str());
    archive_entry_set_filetype(entry, e.type);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<int64_t>(e.data.size()));
    if (!e.symlink.empty()) archive_entry_set_symlink(entry, e.symlink.c_str());
    if (!e.hardlink.empty()) archive_entry_set_hardlink(entry, e.hardlink.c_str());
    AC_CHECK(archive_write_header(a, entry) >= ARCHIVE_WARN);
    archive_write_data(a, e.data.data(), e.data.size());
    archive_entry_free(entry);
  }
  archive_write_close(a);
  archive_write_free(a);
  bytes.resize(used);
  return bytes;
}

// The small zoo's manifest and members, as somebody else's archive would hold them.
std::vector<ForeignEntry> small_entries() {
  const auto zoo = parse(small_zoo());
  AC_CHECK(zoo.has_value());
  std::vector<ForeignEntry> entries = {{"manifest.json", manifest_to_json((*zoo)->manifest())}};
  for (const ZooMember& m : (*zoo)->manifest().members) {
    const auto data = (*zoo)->member(m.name);
    entries.push_back({m.name, {reinterpret_cast<const char*>(data->data()), data->size()}});
  }
  return entries;
}

TEST(Zoo, RefusesForeignArchives) {
  const std::vector<ForeignEntry> right = small_entries();
  for (const Container c : {Container::kTar, Container::kGnuTar, Container::kCpio, Container::kZip,
                            Container::kTarGzip}) {
    EXPECT_TRUE(is_refused(foreign(right, c))) << static_cast<int>(c);
  }
  const auto with = [&](ForeignEntry extra) {
    std::vector<ForeignEntry> entries = right;
    entries.push_back(std::move(extra));
    return refusal(foreign(entries, Container::kTar));
  };
  const auto mentions = [](const std::string& message, std::string_view words) {
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  mentions(with({"link.gguf", "", AE_IFLNK, "/etc/passwd"}), "a symbolic link");
  mentions(with({"hard.gguf", "", AE_IFREG, "", "manifest.json"}), "a hard link");
  mentions(with({"folder", "", AE_IFDIR}), "a folder");
  mentions(with({"pipe", "", AE_IFIFO}), "a pipe");
  mentions(with({"device", "", AE_IFCHR}), "a device");
  mentions(with({"disk", "", AE_IFBLK}), "a device");
  mentions(with({"tokenizer.gguf", "x"}), "twice");
  mentions(with({"../../etc/x", "x"}), "a name that no zoo has");
  mentions(with({"/abs", "x"}), "a name that no zoo has");
  mentions(with({"variants/../x", "x"}), "a name that no zoo has");
  mentions(with({"a..b", "x"}), "a name that no zoo has");
  mentions(with({"UPPER.gguf", "x"}), "a name that no zoo has");
  mentions(with({"back\\slash", "x"}), "a name that no zoo has");
  mentions(with({"C:x", "x"}), "a name that no zoo has");
  mentions(with({"tab\there", "x"}), "a name that no zoo has");
  mentions(with({"caf\xc3\xa9", "x"}), "a name that no zoo has");
  mentions(with({std::string(300, 'a'), "x"}), "a name that no zoo has");
  mentions(with({"undeclared.gguf", "x"}), "not in the manifest");
  mentions(refusal(foreign(right, Container::kTar)), "seal");
  mentions(refusal(gguf_text(weights(1))), "is a GGUF file");
  mentions(refusal("just some text"), "is not a zoo");
}

// --- archives that are sealed but lie
// --------------------------------------------------------------

struct Sealed {
  Json manifest;
  std::vector<ForeignEntry> entries;  // without the manifest

  Sealed() {
    entries = small_entries();
    manifest = parse_json(entries[0].data).value();
    entries.erase(entries.begin());
  }
  std::string build() const {
    TarBuilder tar;
    tar.add("manifest.json", manifest.dump(), true);
    for (const ForeignEntry& e : entries) tar.add(e.name, e.data);
    return tar.seal();
  }
};

TEST(Zoo, SealedArchivesThatLieAreRefused) {
  ASSERT_FALSE(is_refused(Sealed().build())) << refusal(Sealed().build());  // the builder is right
  const auto refuses = [](const std::function<void(Sealed&)>& change) {
    Sealed s;
    change(s);
    EXPECT_TRUE(is_refused(s.build()));
    return refusal(s.build());
  };
  const auto mentions = [](const std::string& message, std::string_view words) {
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  mentions(refuses([](Sealed& s) { s.entries[1].data += "x"; }), "the manifest says");
  mentions(refuses([](Sealed& s) { s.entries.pop_back(); }), "missing");
  mentions(refuses([](Sealed& s) { std::swap(s.entries[0], s.entries[1]); }), "out of order");
  mentions(refuses([](Sealed& s) { s.entries.push_back(s.entries[0]); }), "twice");
  mentions(refuses([](Sealed& s) {
             s.entries.push_back({"more.gguf", "x"});
           }),
           "not in the manifest");
  mentions(refuses([](Sealed& s) { s.entries.clear(); }), "missing");
  refuses([](Sealed& s) { s.entries[2].data[60] ^= 1; });  // only the member's own hash can tell
  for (const std::string& extra : {std::string("x"), std::string(512, '\0')}) {
    TarBuilder tar;
    const Sealed s;
    tar.add("manifest.json", s.manifest.dump(), true);
    for (const ForeignEntry& e : s.entries) tar.add(e.name, e.data);
    EXPECT_TRUE(is_refused(tar.seal() + extra));
  }
  // No seal, another name for it, nothing at all.
  TarBuilder tar;
  tar.add("manifest.json", Sealed().manifest.dump(), true);
  EXPECT_TRUE(is_refused(tar.bytes() + std::string(1024, '\0')));
  EXPECT_TRUE(is_refused(tar.seal("zeal.sha256")));
  EXPECT_TRUE(is_refused(std::string(1024, '\0')));
  EXPECT_TRUE(is_refused(TarBuilder().seal()));
  // A pax header that renames or resizes a member, a GNU long name, a sparse file, a volume label.
  for (const auto& [type, text] :
       std::vector<std::pair<char, std::string>>{{'x', "19 path=../../etc/x\n"},
                                                 {'g', "19 path=../../etc/x\n"},
                                                 {'x', "12 size=10\n"},
                                                 {'L', "../../etc/passwd"},
                                                 {'S', "x"},
                                                 {'V', "x"},
                                                 {'x', "garbage"},
                                                 {'Z', "x"}}) {
    TarBuilder hostile;
    const Sealed s;
    hostile.add("manifest.json", s.manifest.dump(), true);
    hostile.add("ext", text, true, type);
    for (const ForeignEntry& e : s.entries) hostile.add(e.name, e.data);
    EXPECT_TRUE(is_refused(hostile.seal())) << type << text;
  }
}

TEST(Zoo, LevelsShareAMember) {
  const TemporaryFolder folder;
  Draft d;
  d.draft.manifest.variants[0].level = 30;
  ZooVariant high = d.draft.manifest.variants[0];
  high.id = "high";
  high.level = 100;
  d.draft.manifest.variants.push_back(high);
  ASSERT_TRUE(write_zoo(folder / "a.zoo", d.draft));
  const auto zoo = Zoo::open(folder / "a.zoo");
  ASSERT_TRUE(zoo) << zoo.error().message;
  EXPECT_TRUE((*zoo)->verify());
  EXPECT_EQ((*zoo)->manifest().members.size(), 4u);
  for (const auto& [id, level] : {std::pair("cheap", 30u), {"high", 100u}}) {
    const auto opened = (*zoo)->open_variant(id);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->get_uint(kNestedLevelKey, 0, 100).value(), level);
  }
  EXPECT_FALSE((*zoo)->open_variant("dear")->has(kNestedLevelKey));
}

// --- faults while writing
// ---------------------------------------------------------------------------

// Passes bytes on until a limit, then says that the disk is full; or fails on commit.
class FullDisk final : public FileWriter {
 public:
  FullDisk(std::unique_ptr<FileWriter> real, uint64_t limit, bool fail_commit)
      : real_(std::move(real)), limit_(limit), fail_commit_(fail_commit) {}
  using FileWriter::write;
  Status write(std::span<const std::byte> bytes) override {
    if (real_->offset_bytes() + bytes.size() > limit_) {
      return fail(ErrorCode::kIo, "no space left on device");
    }
    return real_->write(bytes);
  }
  Status commit() override {
    if (fail_commit_) return fail(ErrorCode::kIo, "input/output error");
    return real_->commit();
  }
  uint64_t offset_bytes() const override { return real_->offset_bytes(); }

 private:
  std::unique_ptr<FileWriter> real_;
  uint64_t limit_;
  bool fail_commit_;
};

TEST(Zoo, AFullDiskLeavesTheOldZoo) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.zoo";
  const Draft d;
  ASSERT_TRUE(write_zoo(path, d.draft));
  const std::string old = slurp(path);
  Draft changed;
  changed.draft.manifest.base = "another base";
  bool fail_commit = false;
  uint64_t limit = 0;
  const auto attempt = [&] {
    auto real = create_file(path);
    EXPECT_TRUE(real);
    auto full = std::make_shared<std::unique_ptr<FileWriter>>(
        std::make_unique<FullDisk>(std::move(*real), limit, fail_commit));
    set_file_writer_factory_for_tests([full](const std::string&) { return std::move(*full); });
    const Status status = write_zoo(path, changed.draft);
    set_file_writer_factory_for_tests(nullptr);
    return status;
  };
  for (limit = 0; limit < old.size(); limit += 97) {
    const Status status = attempt();
    ASSERT_FALSE(status) << limit;
    EXPECT_EQ(status.error().code, ErrorCode::kIo);
    EXPECT_NE(status.error().message.find("no space left"), std::string::npos)
        << status.error().message;
    ASSERT_EQ(slurp(path), old) << limit;
    ASSERT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << limit;
  }
  limit = UINT64_MAX;
  fail_commit = true;
  EXPECT_FALSE(attempt());
  EXPECT_EQ(slurp(path), old);
  fail_commit = false;
  EXPECT_TRUE(attempt());
  EXPECT_NE(slurp(path), old);
  EXPECT_FALSE(is_refused(slurp(path)));
}

TEST(Zoo, WhatTheReaderWouldRefuseIsNotWritten) {
  const TemporaryFolder folder;
  for (const std::string id : {"", "UP", "../x", "a b", "-x"}) {
    Draft d;
    d.draft.manifest.variants[0].id = id;
    EXPECT_FALSE(write_zoo(folder / "a.zoo", d.draft)) << id;
  }
  Draft unused;
  unused.draft.manifest.variants.pop_back();
  EXPECT_FALSE(write_zoo(folder / "a.zoo", unused.draft));
  Draft missing;
  missing.draft.members.pop_back();
  missing.draft.members.pop_back();
  EXPECT_FALSE(write_zoo(folder / "a.zoo", missing.draft));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.zoo"));
}

TEST(Zoo, OpenSaysWhatIsThere) {
  const TemporaryFolder folder;
  EXPECT_EQ(Zoo::open(folder / "none.zoo").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Zoo::open(folder.path()).error().code, ErrorCode::kIo);
  spill(folder / "empty.zoo", "");
  EXPECT_EQ(Zoo::open(folder / "empty.zoo").error().code, ErrorCode::kCorruptFile);
}

}  // namespace
}  // namespace ac
