// The file of labels from use: it grows, is read again, and the last ones can be taken back.
#include "runtime/route/use_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/core/file.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

std::string fresh(const std::string& name) {
  const std::string folder = testing::TempDir() + "use_labels_test/" + name;
  std::filesystem::remove_all(folder);
  return folder + "/learned.jsonl";
}

UseLabelRow row_of(double success) {
  return {.gate = "0123",
          .source = "audit",
          .label = {.tier = "q4", .success = success, .weight = 20,
                    .features = {{7, 0.5f}, {4095, -0.0625f}}}};
}

TEST(UseLabels, ComeBackInTheirOrder) {
  const std::string path = fresh("order");
  EXPECT_TRUE(read_use_labels(path)->empty());
  for (const double success : {0.25, 1.0, 0.0}) {
    ASSERT_TRUE(append_use_label(path, row_of(success)));
  }
  const auto rows = read_use_labels(path);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[0].label.success, 0.25);
  EXPECT_EQ((*rows)[2].label.success, 0);
  EXPECT_EQ((*rows)[1].gate, "0123");
  EXPECT_EQ((*rows)[1].source, "audit");
  EXPECT_EQ((*rows)[1].label.tier, "q4");
  EXPECT_EQ((*rows)[1].label.weight, 20);
  ASSERT_EQ((*rows)[1].label.features.size(), 2u);
  EXPECT_EQ((*rows)[1].label.features[1].bucket, 4095);
  EXPECT_NEAR((*rows)[1].label.features[1].value, -0.0625f, 1e-4f);
}

TEST(UseLabels, RoundedOnceAreTheSameAgain) {
  UseLabelRow row = row_of(1);
  row.label.features = {{1, 0.123456789f}, {2, 1.0f / 3}};
  round_features(row.label);
  const std::string path = fresh("rounded");
  ASSERT_TRUE(append_use_label(path, row));
  const auto rows = read_use_labels(path);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*rows)[0].label.features[i].value, row.label.features[i].value);
  }
}

TEST(UseLabels, TheLastCanBeTakenBack) {
  const std::string path = fresh("undo");
  EXPECT_EQ(take_back_use_labels(path, 3).value(), 0u);
  for (const double success : {0.1, 0.2, 0.3}) ASSERT_TRUE(append_use_label(path, row_of(success)));
  EXPECT_EQ(take_back_use_labels(path, 1).value(), 1u);
  EXPECT_EQ(read_use_labels(path)->back().label.success, 0.2);
  EXPECT_EQ(take_back_use_labels(path, 100).value(), 2u);
  EXPECT_TRUE(read_use_labels(path)->empty());
}

TEST(UseLabels, ALineThatWasCutOffIsNotMissed) {
  const std::string path = fresh("cut");
  ASSERT_TRUE(append_use_label(path, row_of(0.5)));
  const std::string whole = read_file(path, 1 << 20).value();
  std::ofstream(path, std::ios::app) << whole.substr(0, whole.size() / 2);
  EXPECT_EQ(read_use_labels(path)->size(), 1u);
  ASSERT_TRUE(append_use_label(path, row_of(0.75)));
  const auto rows = read_use_labels(path);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ(rows->back().label.success, 0.75);
}

TEST(UseLabels, AStrangersFileIsAnErrorWithItsLine) {
  const std::string path = fresh("strange");
  ASSERT_TRUE(append_use_label(path, row_of(0.5)));
  const std::string good = read_file(path, 1 << 20).value();
  for (const char* bad : {"x", "[]", "{}", R"({"gate":"g","source":"s","tier":"t","success":1,"weight":1})",
                          R"({"gate":"g","source":"s","tier":"t","success":1,"weight":1,"features":[[4096,1]]})",
                          R"({"gate":"g","source":"s","tier":"t","success":1,"weight":1,"features":[[1]]})"}) {
    ASSERT_TRUE(write_file(path, good + bad + "\n"));
    const auto rows = read_use_labels(path);
    ASSERT_FALSE(rows) << bad;
    EXPECT_EQ(rows.error().code, ErrorCode::kCorruptFile);
    EXPECT_THAT(rows.error().message, HasSubstr("learned.jsonl:2:")) << bad;
  }
}

}  // namespace
}  // namespace ac
