// SPDX-License-Identifier: Apache-2.0
// The test of the tests' eyes: a wrong byte, a missing, an extra and a misdirected frame are each seen.
#include <gtest/gtest.h>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

TEST(Difference, IsEmptyForTheSameFrames) {
  EXPECT_EQ(difference({{"p1", {frame().text("x")}}}, {{"p1", {frame().text("x")}}}), "");
}

TEST(Difference, SeesAWrongByte) {
  const std::string text = difference({{"p1", {frame().text("hello")}}}, {{"p1", {frame().text("hallo")}}});
  EXPECT_NE(text.find("differs from byte 15"), std::string::npos) << text;
}

TEST(Difference, SeesAMissingFrame) {
  EXPECT_NE(difference({{"p1", {frame()}}}, {}), "");
}

TEST(Difference, SeesAnExtraFrame) {
  EXPECT_NE(difference({}, {{"p1", {frame()}}}), "");
  EXPECT_NE(difference({{"p1", {frame()}}}, {{"p1", {frame(), frame()}}}), "");
}

TEST(Difference, SeesAMisdirectedFrame) {
  const std::string text = difference({{"p1", {frame()}}}, {{"p2", {frame()}}});
  EXPECT_NE(text.find("port p1"), std::string::npos);
  EXPECT_NE(text.find("port p2"), std::string::npos);
}

TEST(Difference, SeesAnotherOffload) {
  EXPECT_NE(difference({{"p1", {frame()}}}, {{"p1", {frame().offload({.gso_type = 1, .gso_size = 1448})}}}),
            "");
}

TEST(Describe, SaysTagsAndLength) {
  EXPECT_EQ(describe(frame().dst("02:00:00:00:00:02").src("02:00:00:00:00:01").vlan(10, 5).dei().text("ab")),
            "02:00:00:00:00:01 > 02:00:00:00:00:02 [8100 vid 10 pcp 5 dei] type 88b5, 20 bytes: 6162");
}

}  // namespace
}  // namespace vswitch::test
