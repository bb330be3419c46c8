// SPDX-License-Identifier: Apache-2.0
// Counters under the keys that clients know.
#include "switchd/bridge/statistics.h"

#include <gtest/gtest.h>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

TEST(InterfaceStatistics, ErrorsAreDropsOfTheirKind) {
  SwitchLab lab;
  lab.port("p1");
  lab.port("p2").vlan = {.mode = VlanMode::access, .tag = 7};
  lab.apply();
  lab.inject("p1", MemoryFrame{std::vector<std::uint8_t>(13, 0x22), {}});
  lab.inject("p1", frame().zeros(20).offload({.needs_checksum = true, .checksum_start = 99}));
  lab.inject("p2", frame().vlan(9).zeros(20));
  lab.run();
  bridge::CounterMap of_p1 = bridge::interface_statistics(*lab.registry.port_counters("br0", "p1"), 5);
  EXPECT_EQ(of_p1["rx_drop_malformed"], 2);
  EXPECT_EQ(of_p1["rx_errors"], 2);
  EXPECT_EQ(of_p1["rx_dropped"], 7) << "with five overruns of the device";
  bridge::CounterMap of_p2 = bridge::interface_statistics(*lab.registry.port_counters("br0", "p2"), 0);
  EXPECT_EQ(of_p2["rx_drop_vlan_not_admitted"], 1);
  EXPECT_EQ(of_p2["rx_errors"], 0);
  EXPECT_EQ(of_p2["rx_dropped"], 1);
}

TEST(MirrorStatistics, WhatIsNoLossIsATermOfItsOwn) {
  SwitchLab lab;
  for (const char* name : {"p1", "m"}) lab.port(name);
  for (const char* name : {"a", "b"}) {
    SessionSpec& session = lab.session(name);
    session.sources = {{"p1", Direction::from}};
    session.destinations = {"m"};
  }
  lab.session("b").rate = {.packets = 10, .bits = 0};
  lab.apply();
  for (int i = 0; i < 3; ++i) lab.inject("p1", frame().dst(kBroadcast));
  lab.run();
  bridge::CounterMap of_a = bridge::mirror_statistics(*lab.registry.session("br0/a"));
  EXPECT_EQ(of_a["matched"], 3);
  EXPECT_EQ(of_a["delivered"], 3);
  bridge::CounterMap of_b = bridge::mirror_statistics(*lab.registry.session("br0/b"));
  EXPECT_EQ(of_b["matched"], 3);
  EXPECT_EQ(of_b["delivered"], 0);
  EXPECT_EQ(of_b["duplicate"], 1);
  EXPECT_EQ(of_b["rate_limited"], 2);
  EXPECT_EQ(of_b["lost"], 0);
  EXPECT_EQ(of_b["queued"], 0);
  EXPECT_EQ(of_b.at("sampled_out"), 0) << "present even if zero";
}

}  // namespace
}  // namespace vswitch::test
