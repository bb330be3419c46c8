// SPDX-License-Identifier: Apache-2.0
#include "datapath/engine/spin.h"

#include <gtest/gtest.h>

namespace vswitch::test {
namespace {

constexpr TimeNs kUs = 1000;

TEST(Spin, NeverUnlessAskedFor) {
  Spin spin;
  spin.received(1000 * kUs);
  spin.received(1000 * kUs);
  EXPECT_FALSE(spin.goes_on(1000 * kUs));
}

TEST(Spin, GoesOnAfterAShortGapAndNoLongerThanTheLimit) {
  Spin spin;
  spin.set_limit(50 * kUs);
  spin.received(1000 * kUs);
  EXPECT_FALSE(spin.goes_on(1001 * kUs)) << "one frame alone";
  spin.received(1040 * kUs);
  EXPECT_TRUE(spin.goes_on(1041 * kUs));
  EXPECT_TRUE(spin.goes_on(1089 * kUs));
  EXPECT_FALSE(spin.goes_on(1090 * kUs));
}

TEST(Spin, ALongGapEndsIt) {
  Spin spin;
  spin.set_limit(50 * kUs);
  spin.received(1000 * kUs);
  spin.received(1010 * kUs);
  spin.received(1500 * kUs);
  EXPECT_FALSE(spin.goes_on(1501 * kUs));
}

}  // namespace
}  // namespace vswitch::test
