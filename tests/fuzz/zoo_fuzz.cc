// The zoo. An input is an archive as it is; or, where it holds a zero byte after what may be a
// manifest, a manifest and the bytes of its members, which are put into an archive with the right
// sizes, hashes and seal, so that the reader gets to see more than a broken seal.
#include "models/store/zoo.h"
#include "tests/fuzz/fuzz_check.h"
#include "tests/store/zoo_builder.h"

namespace {

void use(std::string_view bytes) {
  const ac::test::AlignedCopy input(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  const auto zoo = ac::Zoo::parse(input.bytes(), nullptr, "fuzz.zoo");
  if (!zoo) return;
  for (const ac::ZooMember& member : (*zoo)->manifest().members) {
    FUZZ_CHECK(member.offset_bytes % 512 == 0);
    FUZZ_CHECK(member.offset_bytes + member.size_bytes <= bytes.size());
    (void)(*zoo)->member(member.name);
  }
  for (const ac::ZooVariant& variant : (*zoo)->manifest().variants) {
    (void)(*zoo)->open_variant(variant.id);
  }
  (void)(*zoo)->open_predictor();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  use(text);
  const size_t zero = text.find('\0');
  auto manifest = ac::manifest_from_json(text.substr(0, zero));
  if (zero == std::string_view::npos || !manifest) return 0;
  std::string_view rest = text.substr(zero + 1);
  std::vector<std::string_view> parts;
  for (ac::ZooMember& member : manifest->members) {
    const std::string_view part = rest.substr(0, static_cast<size_t>(member.size_bytes));
    rest.remove_prefix(part.size());
    if (part.empty()) return 0;
    member.size_bytes = part.size();
    member.sha256 = ac::testing::sha256_of(part);
    parts.push_back(part);
  }
  ac::testing::TarBuilder tar;
  tar.add("manifest.json", ac::manifest_to_json(*manifest), true);
  for (size_t i = 0; i < parts.size(); ++i) tar.add(manifest->members[i].name, parts[i]);
  use(tar.seal());
  return 0;
}
