// SPDX-License-Identifier: Apache-2.0
#include "datapath/base/thread_annotations.h"

#include <gtest/gtest.h>

#include "datapath/base/background.h"

namespace vswitch {
namespace {

TEST(ThreadRoleDeathTest, AThreadWithoutARoleMayDoEverything) {
  roles::control.assert_held();
  roles::worker.assert_held();
}

TEST(ThreadRoleDeathTest, AThreadHasTheRoleThatItTookLast) {
  const RoleScope role(roles::control);
  {
    const RoleScope inner(roles::worker);
    roles::worker.assert_held();
    EXPECT_DEBUG_DEATH(roles::control.assert_held(), "current_");
  }
  roles::control.assert_held();
  EXPECT_DEBUG_DEATH(roles::worker.assert_held(), "current_");
}

TEST(ThreadRoleDeathTest, AHelperIsNotTheThreadThatStartedIt) {
  const RoleScope role(roles::control);
  EXPECT_DEBUG_DEATH(in_background([] { roles::control.assert_held(); }).get(), "current_");
  in_background([] { roles::helper.assert_held(); }).get();
}

}  // namespace
}  // namespace vswitch
