// SPDX-License-Identifier: Apache-2.0
#include "schemas/device_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vswitch {
namespace {

TEST(DeviceName, AllowsWhatLinuxAllows) {
  for (const char* name : {"t", "br0", "eth0.100", "a-name_of_15-by", "...", "gr\u00fcn", "@"})
    EXPECT_EQ(device_name_trouble(name), "") << name;
}

TEST(DeviceName, SaysWhichRuleANameBreaks) {
  const auto cannot = [](const std::string& quoted, const std::string& rule) {
    return quoted + " cannot be the name of a device: it " + rule;
  };
  EXPECT_EQ(device_name_trouble(""), cannot(R"("")", "is empty"));
  EXPECT_EQ(device_name_trouble("a-name-of-16-byt"),
            cannot(R"("a-name-of-16-byt")", "is longer than 15 bytes"));
  EXPECT_EQ(device_name_trouble("\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc"),
            cannot("\"\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\"", "is longer than 15 bytes"));
  EXPECT_EQ(device_name_trouble("a/b"), cannot(R"("a/b")", "contains '/'"));
  EXPECT_EQ(device_name_trouble("a:b"), cannot(R"("a:b")", "contains ':'"));
  EXPECT_EQ(device_name_trouble("a%d"), cannot(R"("a%d")", "contains '%'"));
  EXPECT_EQ(device_name_trouble("a b"), cannot(R"("a b")", "contains white space"));
  EXPECT_EQ(device_name_trouble("a\n"), cannot(R"("a\n")", "contains white space"));
  EXPECT_EQ(device_name_trouble("\u00e0"), cannot("\"\u00e0\"", "contains white space"))
      << "0xa0 is, to Linux";
  EXPECT_EQ(device_name_trouble("a\xff"), cannot("\"a\ufffd\"", "is not UTF-8"));
  EXPECT_THAT(device_name_trouble(".."), testing::HasSubstr("directories"));
  EXPECT_THAT(device_name_trouble("lo"), testing::HasSubstr("loopback"));
  EXPECT_LT(device_name_trouble(std::string(1'000'000, 'x')).size(), 200U);
}

}  // namespace
}  // namespace vswitch
