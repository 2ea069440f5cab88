#include "runtime/cli/zoo_text.h"

#include <gtest/gtest.h>

namespace ac::cli {
namespace {

TEST(ZooText, GroupsTheSameNoteOfSeveralLayers) {
  const std::vector<std::string> notes = {
      "output.weight: q8_0", "blk.0.a: f16",  "blk.0.b: f16", "blk.1.a: f16",       "blk.2.a: f16",
      "blk.4.a: f16",        "blk.10.b: f16", "blk.x: odd",   "output.weight: q8_0"};
  EXPECT_EQ(grouped_notes(notes),
            (std::vector<std::string>{"output.weight: q8_0", "blk.0-2,4.a: f16", "blk.0,10.b: f16",
                                      "blk.x: odd", "output.weight: q8_0"}));
  EXPECT_TRUE(grouped_notes({}).empty());
  const std::vector<std::string> huge = {"blk.99999999999999999999.a: f16", "blk."};
  EXPECT_EQ(grouped_notes(huge), huge);
}

}  // namespace
}  // namespace ac::cli
