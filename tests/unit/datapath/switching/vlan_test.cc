// SPDX-License-Identifier: Apache-2.0
// What becomes of the tag of a dot1q-tunnel's customer: for a frame, and for a copy.
#include "datapath/switching/vlan.h"

#include <gtest/gtest.h>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

/// p1 is the customer's port, in VLAN 100.
class Customer : public ::testing::Test {
 protected:
  Customer() {
    for (const char* name : {"p1", "p2", "p3", "p4"})
      lab.port(name).vlan = {.mode = VlanMode::access, .tag = 7};
    lab.port("p1").vlan = {.mode = VlanMode::dot1q_tunnel, .tag = 100};
  }
  static FrameBuilder broadcast() { return frame().src("02:00:00:00:00:0a").dst(kBroadcast); }
  /// Copies from p1 into VLAN 99, which only p4 carries.
  void copy_into_vlan_99() {
    DesiredSession& session = lab.session("s");
    session.sources = {{"p1", Direction::from}};
    session.tags.output_vlan = 99;
    lab.port("p4").vlan = {.mode = VlanMode::access, .tag = 99};
  }
  SwitchLab lab;
};

TEST_F(Customer, APriorityTagDoesNotLeaveOnAnAccessPort) {
  lab.port("p4").vlan = {.mode = VlanMode::access, .tag = 100};
  lab.apply();
  lab.expect("p1", broadcast().vlan(0, 3), {{"p4", {broadcast()}}}, "as in Open vSwitch");
  lab.expect("p1", broadcast(), {{"p4", {broadcast()}}});
  lab.expect("p1", broadcast().vlan(5), {}, "a customer's VLAN is not the access port's");
}

TEST_F(Customer, EveryTagPassesFromTunnelToTunnel) {
  lab.port("p2").vlan = {.mode = VlanMode::dot1q_tunnel, .tag = 100};
  lab.apply();
  for (const MemoryFrame& sent : {MemoryFrame(broadcast()), MemoryFrame(broadcast().vlan(0, 0)),
                                  MemoryFrame(broadcast().vlan(0, 0).dei()),
                                  MemoryFrame(broadcast().vlan(0, 3)), MemoryFrame(broadcast().vlan(5, 3))})
    lab.expect("p1", sent, {{"p2", {sent}}}, "a tunnel is transparent");
}

TEST_F(Customer, ACopyInAnOutputVlanKeepsTheTagOnAnAccessPort) {
  copy_into_vlan_99();
  lab.apply();
  for (const MemoryFrame& sent :
       {MemoryFrame(broadcast()), MemoryFrame(broadcast().vlan(0, 3)), MemoryFrame(broadcast().vlan(20, 0))})
    lab.expect("p1", sent, {{"p4", {sent}}}, "what the customer sent");
}

}  // namespace
}  // namespace vswitch::test
