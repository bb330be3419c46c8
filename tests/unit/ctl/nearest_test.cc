// SPDX-License-Identifier: Apache-2.0
#include "ctl/nearest.h"

#include <gtest/gtest.h>

namespace vswitch::ctl {
namespace {

TEST(Nearest, TakesTheFewestSteps) {
  const std::vector<std::string> names = {"add-br", "list-br", "list-ports", "list-mirrors", "show"};
  EXPECT_EQ(nearest("add-brr", names), "add-br");
  EXPECT_EQ(nearest("ad-br", names), "add-br");
  EXPECT_EQ(nearest("list-port", names), "list-ports");
  EXPECT_EQ(nearest("lits-mirrors", names), "list-mirrors");
  EXPECT_EQ(nearest("shaw", names), "show");
  EXPECT_EQ(did_you_mean("shaw", names), "; did you mean show?");
}

TEST(Nearest, HasLimits) {
  EXPECT_EQ(nearest("bogus", {"add-br", "show"}), std::nullopt);
  EXPECT_EQ(nearest("", {"show"}), std::nullopt);
  EXPECT_EQ(nearest("x", {}), std::nullopt);
  EXPECT_EQ(did_you_mean("bogus", {"show"}), "");
}

}  // namespace
}  // namespace vswitch::ctl
