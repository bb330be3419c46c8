// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/slot_table.h"

#include <gtest/gtest.h>

#include <string>

namespace vswitch::fastpath {
namespace {

using Table = SlotTable<std::string, int>;

TEST(SlotTable, GivesOneSlotToOneKey) {
  Table table(1, 4);
  EXPECT_EQ(table.take("a"), 1U);
  EXPECT_EQ(table.take("b"), 2U);
  EXPECT_EQ(table.take("a"), 1U);
  EXPECT_EQ(table.slot(1).users, 2U);
  EXPECT_EQ(table.slot(2).key, "b");
}

TEST(SlotTable, ReusesASlotOnlyAfterTwoTicksWithoutUsers) {
  Table table(0, 1);
  ASSERT_EQ(table.take("a"), 0U);
  table.slot(0).state = 7;
  table.release(0, 10);
  EXPECT_EQ(table.take("b"), std::nullopt) << "a program may still have it at hand";
  EXPECT_TRUE(table.recycle(11).empty());
  EXPECT_EQ(table.take("b"), std::nullopt);
  ASSERT_EQ(table.recycle(12).size(), 1U);
  EXPECT_TRUE(table.slot(0).is_free);
  EXPECT_EQ(table.take("b"), 0U);
  EXPECT_EQ(table.slot(0).state, 7) << "the kernel's sums go on from there";
  EXPECT_EQ(table.slot(0).key, "b");
}

TEST(SlotTable, AKeyThatComesBackKeepsItsSlot) {
  Table table(0, 8);
  ASSERT_EQ(table.take("a"), 0U);
  table.release(0, 1);
  EXPECT_EQ(table.take("a"), 0U);
  EXPECT_TRUE(table.recycle(9).empty()) << "it has a user again";
}

TEST(SlotTable, KnowsWhenItIsFull) {
  Table table(1, 3);
  EXPECT_TRUE(table.take("a"));
  EXPECT_TRUE(table.take("b"));
  EXPECT_FALSE(table.take("c"));
  EXPECT_TRUE(table.take("b"));
  EXPECT_EQ(table.slots().size(), 2U);
}

}  // namespace
}  // namespace vswitch::fastpath
