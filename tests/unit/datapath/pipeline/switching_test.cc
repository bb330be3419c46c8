// SPDX-License-Identifier: Apache-2.0
// L2 switching, frame in and frames out, over a whole switch of memory ports.
#include <gtest/gtest.h>

#include "datapath/switching/reserved_multicast.h"
#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

const std::string kA = "02:00:00:00:00:0a";
const std::string kB = "02:00:00:00:00:0b";

VlanSet only(std::initializer_list<VlanId> vlans) {
  VlanSet set;
  for (const VlanId vlan : vlans) set.set(vlan);
  return set;
}

class Switching : public ::testing::Test {
 protected:
  Switching() {
    for (const char* name : {"p1", "p2", "p3"}) lab.port(name);
    lab.apply();
  }
  void vlan(const std::string& port, VlanMode mode, VlanId tag = 0, std::optional<VlanSet> trunks = {}) {
    lab.port(port).vlan.mode = mode;
    lab.port(port).vlan.tag = tag;
    if (trunks) lab.port(port).vlan.trunks = *trunks;
    lab.apply();
  }
  SwitchLab lab;
};

TEST_F(Switching, FloodsUnknownAndBroadcastButNotBack) {
  const MemoryFrame unknown = frame().src(kA).dst(kB).text("1");
  lab.expect("p1", unknown, {{"p2", {unknown}}, {"p3", {unknown}}});
  const MemoryFrame broadcast = frame().src(kA).dst(kBroadcast).text("2");
  lab.expect("p1", broadcast, {{"p2", {broadcast}}, {"p3", {broadcast}}});
  const MemoryFrame multicast = frame().src(kA).dst("01:00:5e:00:00:05").text("3");
  lab.expect("p1", multicast, {{"p2", {multicast}}, {"p3", {multicast}}});
}

TEST_F(Switching, SendsToTheLearnedPortOnlyAndFollowsMoves) {
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.run();
  const MemoryFrame to_b = frame().src(kA).dst(kB).text("x");
  lab.expect("p1", to_b, {{"p2", {to_b}}});
  lab.inject("p3", frame().src(kB).dst(kBroadcast));
  lab.run();
  lab.expect("p1", to_b, {{"p3", {to_b}}}, "after B moved to p3");
}

TEST_F(Switching, DropsHairpinsAndFramesToTheirOwnSource) {
  lab.inject("p1", frame().src(kB).dst(kBroadcast));
  lab.run();
  lab.expect("p1", frame().src(kA).dst(kB), {}, "B is on p1 too");
  lab.expect("p2", frame().src(kA).dst(kA), {}, "source is destination");
  EXPECT_EQ(lab.received_drops("p1", DropReason::hairpin), 1U);
  EXPECT_EQ(lab.received_drops("p2", DropReason::hairpin), 1U);
  const MemoryFrame to_a = frame().src(kB).dst(kA);
  lab.expect("p3", to_a, {{"p2", {to_a}}}, "A moved to p2 with the dropped frame");
}

TEST_F(Switching, ForgetsWithTime) {
  lab.bridge().mac_aging = 15 * kSecondNs;
  lab.apply();
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.run();
  lab.now += 14 * kSecondNs;
  const MemoryFrame to_b = frame().src(kA).dst(kB);
  lab.expect("p1", to_b, {{"p2", {to_b}}});
  lab.now += kSecondNs;
  lab.expect("p1", to_b, {{"p2", {to_b}}, {"p3", {to_b}}}, "aged out");
}

TEST_F(Switching, MulticastSourcesTeachNothing) {
  lab.inject("p2", frame().src("03:00:00:00:00:01").dst(kBroadcast));
  lab.run();
  EXPECT_EQ(lab.addresses(), 0U);
}

TEST_F(Switching, ReservedAddressesPassOnlyWithForwardBpdu) {
  for (const char* dst :
       {"01:80:c2:00:00:00", "01:80:c2:00:00:0e", "00:e0:2b:00:00:04", "01:00:0c:cc:cc:c3"}) {
    lab.expect("p1", frame().src(kA).dst(dst), {}, dst);
  }
  EXPECT_EQ(lab.received_drops("p1", DropReason::reserved_multicast), 4U);
  EXPECT_EQ(lab.addresses(), 0U);
  const MemoryFrame ordinary = frame().src(kA).dst("01:80:c2:00:00:10");
  lab.expect("p1", ordinary, {{"p2", {ordinary}}, {"p3", {ordinary}}});
  lab.bridge().forward_bpdu = true;
  lab.apply();
  const MemoryFrame bpdu = frame().src(kA).dst("01:80:c2:00:00:00");
  lab.expect("p1", bpdu, {{"p2", {bpdu}}, {"p3", {bpdu}}});
}

TEST(ReservedMulticast, IsTheMeasuredList) {
  const auto reserved = [](std::uint64_t mac) { return is_reserved_multicast(MacAddr::from_u64(mac)); };
  for (std::uint64_t last = 0; last < 256; ++last) {
    EXPECT_EQ(reserved(0x0180c2000000 + last), last <= 0x0f) << last;
    EXPECT_EQ(reserved(0x00e02b000000 + last), last == 0 || last == 4 || last == 6) << last;
    EXPECT_EQ(reserved(0x01000ccccc00 + last), last == 0xcc || last == 0xcd || (last >= 0xc0 && last <= 0xc7))
        << last;
    EXPECT_EQ(reserved(0x01000ccdcd00 + last), last == 0xcd) << last;
    EXPECT_EQ(reserved(0x01000c000000 + last), last == 0) << last;
  }
}

TEST_F(Switching, FloodVlansNeitherLearnNorLookUp) {
  lab.inject("p2", frame().src(kB).dst(kBroadcast).vlan(33));
  lab.run();
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.run();
  EXPECT_EQ(lab.addresses(), 2U);
  lab.bridge().flood_vlans = {33};
  lab.apply();
  EXPECT_EQ(lab.addresses(), 0U) << "a change of flood_vlans forgets all of the bridge, as in Open vSwitch";
  lab.inject("p2", frame().src(kB).dst(kBroadcast).vlan(33));
  lab.run();
  EXPECT_EQ(lab.addresses(), 0U);
  const MemoryFrame to_b = frame().src(kA).dst(kB).vlan(33);
  lab.expect("p1", to_b, {{"p2", {to_b}}, {"p3", {to_b}}});
}

TEST_F(Switching, ASessionIntoAVlanForgetsOnlyTheAddressesOfTheVlan) {
  lab.inject("p2", frame().src(kB).dst(kBroadcast).vlan(33));
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.run();
  EXPECT_EQ(lab.addresses(), 2U);
  lab.session("s").all_ports = true;
  lab.session("s").tags.output_vlan = 33;
  lab.apply();
  EXPECT_EQ(lab.addresses(), 1U);
  lab.session("s").tags.output_vlan = 34;
  lab.apply();
  lab.session("s").enabled = false;
  lab.apply();
  EXPECT_EQ(lab.addresses(), 1U);
  const MemoryFrame to_b = frame().src("02:00:00:00:00:0c").dst(kB);
  lab.expect("p1", to_b, {{"p2", {to_b}}}, "known as before");
}

TEST_F(Switching, ProtectedPortsDoNotTalkToEachOther) {
  lab.port("p1").is_protected = true;
  lab.port("p2").is_protected = true;
  lab.apply();
  const MemoryFrame unknown = frame().src(kA).dst(kB);
  lab.expect("p1", unknown, {{"p3", {unknown}}});
  EXPECT_EQ(lab.sent_drops("p2", DropReason::protected_port), 1U);
  lab.expect("p3", frame().src(kB).dst(kBroadcast),
             {{"p1", {frame().src(kB).dst(kBroadcast)}}, {"p2", {frame().src(kB).dst(kBroadcast)}}});
}

TEST_F(Switching, SecureModeForwardsNothing) {
  lab.bridge().secure = true;
  lab.apply();
  lab.expect("p1", frame().src(kA).dst(kB), {});
  EXPECT_EQ(lab.received_drops("p1", DropReason::secure_mode), 1U);
  EXPECT_EQ(lab.addresses(), 0U);
}

TEST_F(Switching, RuntsOfFourteenBytesPassUnchanged) {
  const MemoryFrame runt = frame().src(kA).dst(kB);
  ASSERT_EQ(runt.bytes.size(), 14U);
  lab.expect("p1", runt, {{"p2", {runt}}, {"p3", {runt}}});
  lab.inject("p1", MemoryFrame{std::vector<std::uint8_t>(13, 0x22), {}});
  EXPECT_TRUE(lab.run().empty());
  EXPECT_EQ(lab.received_drops("p1", DropReason::malformed), 1U);
}

TEST_F(Switching, AccessPortsTagAndUntag) {
  vlan("p1", VlanMode::access, 20);
  vlan("p2", VlanMode::access, 30);
  const MemoryFrame untagged = frame().src(kA).dst(kBroadcast).text("v");
  lab.expect("p1", untagged, {{"p3", {frame().src(kA).dst(kBroadcast).vlan(20).text("v")}}});
  lab.expect("p3", frame().src(kB).dst(kA).vlan(20), {{"p1", {frame().src(kB).dst(kA)}}});
  lab.expect("p1", frame().src(kA).dst(kBroadcast).vlan(20), {}, "its own tag is refused too");
  EXPECT_EQ(lab.received_drops("p1", DropReason::vlan_not_admitted), 1U);
}

TEST_F(Switching, AccessPortsKeepThePriorityAndTpidOfAPriorityTag) {
  vlan("p1", VlanMode::access, 20);
  lab.expect("p1", frame().src(kA).dst(kBroadcast).vlan(0, 6, kTpid8021ad),
             {{"p2", {frame().src(kA).dst(kBroadcast).vlan(20, 6, kTpid8021ad)}},
              {"p3", {frame().src(kA).dst(kBroadcast).vlan(20, 6, kTpid8021ad)}}});
}

TEST_F(Switching, TrunksCarryTheirListOnly) {
  vlan("p1", VlanMode::trunk, 0, only({5, 6}));
  vlan("p2", VlanMode::trunk, 0, only({6}));
  const MemoryFrame in6 = frame().src(kA).dst(kBroadcast).vlan(6, 3);
  lab.expect("p1", in6, {{"p2", {in6}}, {"p3", {in6}}});
  const MemoryFrame in5 = frame().src(kA).dst(kBroadcast).vlan(5);
  lab.expect("p1", in5, {{"p3", {in5}}});
  lab.expect("p1", frame().src(kA).dst(kBroadcast).vlan(7), {});
  lab.expect("p1", frame().src(kA).dst(kBroadcast), {}, "VLAN 0 is not in the list");
}

TEST_F(Switching, NativePortsPutUntaggedFramesInTheirVlan) {
  vlan("p1", VlanMode::native_untagged, 20, only({30}));
  vlan("p2", VlanMode::native_tagged, 20, only({30}));
  const auto plain = frame().src(kA).dst(kBroadcast);
  lab.expect("p1", plain,
             {{"p2", {frame().src(kA).dst(kBroadcast).vlan(20)}},
              {"p3", {frame().src(kA).dst(kBroadcast).vlan(20)}}});
  lab.expect("p2", plain, {{"p1", {plain}}, {"p3", {frame().src(kA).dst(kBroadcast).vlan(20)}}});
  const MemoryFrame in30 = frame().src(kA).dst(kBroadcast).vlan(30, 2);
  lab.expect("p1", in30, {{"p2", {in30}}, {"p3", {in30}}});
  lab.expect("p3", plain, {}, "VLAN 0 is nowhere carried");
  const MemoryFrame in20 = frame().src(kA).dst(kBroadcast).vlan(20);
  lab.expect("p1", in20, {{"p2", {in20}}, {"p3", {in20}}}, "its native VLAN tagged, though not in trunks");
}

TEST_F(Switching, TunnelPortsWrapAndUnwrap) {
  vlan("p1", VlanMode::dot1q_tunnel, 100);
  vlan("p2", VlanMode::dot1q_tunnel, 100);
  const MemoryFrame customer = frame().src(kA).dst(kBroadcast).vlan(7, 5).text("c");
  lab.expect("p1", customer,
             {{"p2", {customer}},
              {"p3", {frame().src(kA).dst(kBroadcast).vlan(100, 0, kTpid8021ad).vlan(7, 5).text("c")}}});
  const MemoryFrame plain = frame().src(kA).dst(kBroadcast);
  lab.expect("p1", plain,
             {{"p2", {plain}}, {"p3", {frame().src(kA).dst(kBroadcast).vlan(100, 0, kTpid8021ad)}}});
  const MemoryFrame twice = frame().src(kA).dst(kBroadcast).vlan(7).vlan(8);
  lab.expect(
      "p1", twice,
      {{"p2", {twice}}, {"p3", {frame().src(kA).dst(kBroadcast).vlan(100, 0, kTpid8021ad).vlan(7).vlan(8)}}},
      "no tag of the customer is lost");
}

TEST_F(Switching, TunnelPortsKeepToTheirCustomerVlans) {
  vlan("p1", VlanMode::dot1q_tunnel, 100);
  lab.port("p1").vlan.cvlans = only({7});
  lab.port("p1").vlan.qinq_ethtype = kTpid8021Q;
  lab.apply();
  lab.expect("p1", frame().src(kA).dst(kBroadcast).vlan(8), {});
  lab.expect("p1", frame().src(kA).dst(kBroadcast).vlan(7),
             {{"p2", {frame().src(kA).dst(kBroadcast).vlan(100).vlan(7)}},
              {"p3", {frame().src(kA).dst(kBroadcast).vlan(100).vlan(7)}}});
  lab.expect("p2", frame().src(kB).dst(kBroadcast).vlan(100).vlan(8),
             {{"p3", {frame().src(kB).dst(kBroadcast).vlan(100).vlan(8)}}});
  lab.expect("p2", frame().src(kB).dst(kBroadcast).vlan(100).vlan(7),
             {{"p1", {frame().src(kB).dst(kBroadcast).vlan(7)}},
              {"p3", {frame().src(kB).dst(kBroadcast).vlan(100).vlan(7)}}});
}

TEST_F(Switching, CustomerFramesDoNotLeakOutOfAnAccessPortOfTheServiceVlan) {
  vlan("p1", VlanMode::dot1q_tunnel, 100);
  vlan("p2", VlanMode::access, 100);
  lab.expect("p1", frame().src(kA).dst(kBroadcast).vlan(7),
             {{"p3", {frame().src(kA).dst(kBroadcast).vlan(100, 0, kTpid8021ad).vlan(7)}}});
  lab.expect("p1", frame().src(kA).dst(kBroadcast),
             {{"p2", {frame().src(kA).dst(kBroadcast)}},
              {"p3", {frame().src(kA).dst(kBroadcast).vlan(100, 0, kTpid8021ad)}}});
}

TEST_F(Switching, PriorityTagsPassBetweenTrunksAndEmptyOnesAreRemoved) {
  const MemoryFrame priority = frame().src(kA).dst(kBroadcast).vlan(0, 4);
  lab.expect("p1", priority, {{"p2", {priority}}, {"p3", {priority}}});
  lab.expect("p1", frame().src(kA).dst(kBroadcast).vlan(0, 0),
             {{"p2", {frame().src(kA).dst(kBroadcast)}}, {"p3", {frame().src(kA).dst(kBroadcast)}}});
}

TEST_F(Switching, PriorityTagsColumnDecidesWhatAnAccessPortSends) {
  vlan("p1", VlanMode::access, 20);
  vlan("p2", VlanMode::access, 20);
  lab.port("p1").vlan.priority_tags = PriorityTags::if_nonzero;
  lab.port("p2").vlan.priority_tags = PriorityTags::never;
  lab.apply();
  const auto plain = frame().src(kB).dst(kBroadcast);
  lab.expect("p3", frame().src(kB).dst(kBroadcast).vlan(20, 5),
             {{"p1", {frame().src(kB).dst(kBroadcast).vlan(0, 5)}}, {"p2", {plain}}});
  lab.expect("p3", frame().src(kB).dst(kBroadcast).vlan(20, 0), {{"p1", {plain}}, {"p2", {plain}}});
}

TEST_F(Switching, AlwaysKeepsAnEmptyPriorityTagOnATrunk) {
  lab.port("p2").vlan.priority_tags = PriorityTags::always;
  lab.apply();
  const MemoryFrame empty_tag = frame().src(kA).dst(kBroadcast).vlan(0, 0);
  lab.expect("p1", empty_tag, {{"p2", {empty_tag}}, {"p3", {frame().src(kA).dst(kBroadcast)}}});
}

TEST_F(Switching, DropEligibleIndicatorSurvives) {
  const MemoryFrame marked = frame().src(kA).dst(kBroadcast).vlan(12, 1).dei();
  lab.expect("p1", marked, {{"p2", {marked}}, {"p3", {marked}}});
}

TEST_F(Switching, Vlan4095AndTpid9100AreNothingSpecial) {
  const MemoryFrame high = frame().src(kA).dst(kBroadcast).vlan(4095);
  lab.expect("p1", high, {{"p2", {high}}, {"p3", {high}}});
  vlan("p1", VlanMode::access, 20);
  const auto old_style = frame().src(kA).dst(kBroadcast).ether_type(0x9100).text("\x01\x02\x03\x04");
  lab.expect(
      "p1", old_style,
      {{"p2", {frame().src(kA).dst(kBroadcast).vlan(20).ether_type(0x9100).text("\x01\x02\x03\x04")}},
       {"p3", {frame().src(kA).dst(kBroadcast).vlan(20).ether_type(0x9100).text("\x01\x02\x03\x04")}}});
}

TEST_F(Switching, VlansLearnSeparately) {
  lab.inject("p2", frame().src(kB).dst(kBroadcast).vlan(10));
  lab.run();
  const MemoryFrame in10 = frame().src(kA).dst(kB).vlan(10);
  const MemoryFrame in11 = frame().src(kA).dst(kB).vlan(11);
  lab.expect("p1", in10, {{"p2", {in10}}});
  lab.expect("p1", in11, {{"p2", {in11}}, {"p3", {in11}}});
}

TEST_F(Switching, APortThatChangesItsVlanForgetsItsAddresses) {
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.inject("p3", frame().src(kA).dst(kBroadcast));
  lab.run();
  EXPECT_EQ(lab.addresses(), 2U);
  vlan("p2", VlanMode::access, 44);
  EXPECT_EQ(lab.addresses(), 1U);
}

TEST_F(Switching, APortWhoseLinkGoesDownForgetsItsAddresses) {
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.run();
  lab.port("p2").link_up = false;
  lab.apply();
  EXPECT_EQ(lab.addresses(), 0U);
}

TEST_F(Switching, ARemovedPortIsForgottenAndItsNumberGivenToAnother) {
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.run();
  std::erase_if(lab.bridge().ports, [](const PortSpec& port) { return port.name == "p2"; });
  lab.apply();
  EXPECT_EQ(lab.addresses(), 0U);
  lab.port("p4");
  lab.apply();
  EXPECT_EQ(lab.datapath->current().ports.size(), 3U);
  const MemoryFrame to_b = frame().src(kA).dst(kB);
  lab.expect("p1", to_b, {{"p3", {to_b}}, {"p4", {to_b}}});
}

TEST_F(Switching, APortWithoutDeviceWaitsAndComesBack) {
  const auto device = lab.port("p2").device;
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.run();
  lab.port("p2").device = nullptr;
  lab.apply();
  const MemoryFrame to_b = frame().src(kA).dst(kB);
  lab.expect("p1", to_b, {});
  EXPECT_EQ(lab.sent_drops("p2", DropReason::port_waiting), 1U);
  lab.port("p2").device = device;
  lab.apply();
  lab.expect("p1", to_b, {{"p2", {to_b}}});
}

TEST_F(Switching, OffloadsTravelWithTheFrame) {
  vlan("p2", VlanMode::access, 20);
  Offload offload{.needs_checksum = true,
                  .gso_type = 1,
                  .gso_size = 1448,
                  .header_length = 70,
                  .checksum_start = 38,
                  .checksum_offset = 16};
  const MemoryFrame in = frame().src(kA).dst(kBroadcast).vlan(20).zeros(3000).offload(offload);
  Offload untagged = offload;
  untagged.checksum_start = 34;
  untagged.header_length = 66;
  lab.expect("p1", in,
             {{"p2", {frame().src(kA).dst(kBroadcast).zeros(3000).offload(untagged)}}, {"p3", {in}}});
}

TEST_F(Switching, CountsWhatItSendsAndWhatADeviceRefuses) {
  lab.device("p2").set_outcome(DropReason::too_big);
  const MemoryFrame unknown = frame().src(kA).dst(kB).zeros(100);
  lab.expect("p1", unknown, {{"p3", {unknown}}});
  EXPECT_EQ(lab.sent_drops("p2", DropReason::too_big), 1U);
  const auto sum = [this](const std::string& port, Counter PortCell::*counter) {
    return lab.registry.port_counters("br0", port)->sum([counter](const PortCell& cell) {
      return (cell.*counter).read();
    });
  };
  EXPECT_EQ(sum("p1", &PortCell::received_frames), 1U);
  EXPECT_EQ(sum("p1", &PortCell::received_bytes), 114U);
  EXPECT_EQ(sum("p3", &PortCell::sent_frames), 1U);
  EXPECT_EQ(sum("p3", &PortCell::sent_bytes), 114U);
  EXPECT_EQ(sum("p2", &PortCell::sent_frames), 0U);
}

TEST_F(Switching, BridgesAreSeparate) {
  lab.port("q1", "br1");
  lab.port("q2", "br1");
  lab.apply();
  const MemoryFrame broadcast = frame().src(kA).dst(kBroadcast);
  lab.expect("q1", broadcast, {{"q2", {broadcast}}});
}

class Patched : public Switching {
 protected:
  Patched() {
    lab.port("q1", "br1");
    add_patch("to1", "br0", "to0");
    add_patch("to0", "br1", "to1");
    lab.apply();
  }
  void add_patch(const std::string& name, const std::string& bridge, const std::string& peer) {
    lab.bridge(bridge).ports.push_back({});
    PortSpec& port = lab.bridge(bridge).ports.back();
    port.name = name;
    port.is_patch = true;
    port.patch_peer = peer;
  }
};

TEST_F(Patched, FramesCrossAndAreLearnedOnBothSides) {
  const MemoryFrame broadcast = frame().src(kA).dst(kBroadcast);
  lab.expect("p1", broadcast, {{"p2", {broadcast}}, {"p3", {broadcast}}, {"q1", {broadcast}}});
  EXPECT_EQ(lab.addresses("br1"), 1U);
  const MemoryFrame answer = frame().src(kB).dst(kA);
  lab.expect("q1", answer, {{"p1", {answer}}});
}

TEST_F(Patched, AnUnconnectedPatchCarriesNothingAndSaysSo) {
  for (PortSpec& port : lab.bridge("br1").ports) {
    if (port.name == "to0") port.patch_peer = "elsewhere";
  }
  lab.apply();
  const MemoryFrame broadcast = frame().src(kA).dst(kBroadcast);
  lab.expect("p1", broadcast, {{"p2", {broadcast}}, {"p3", {broadcast}}});
  EXPECT_EQ(lab.sent_drops("to1", DropReason::patch_unconnected), 1U);
}

TEST_F(Patched, ParallelPatchesEnd) {
  for (int i = 0; i < 3; ++i) {
    add_patch("a" + std::to_string(i), "br0", "b" + std::to_string(i));
    add_patch("b" + std::to_string(i), "br1", "a" + std::to_string(i));
  }
  lab.apply();
  lab.inject("p1", frame().src(kA).dst(kBroadcast));
  const Sent sent = lab.run();
  EXPECT_GE(sent.at("q1").size(), 4U);
  EXPECT_LE(sent.at("q1").size(), 1024U);
}

TEST(Workers, EveryWorkerForwardsBetweenAllPorts) {
  SwitchLab lab(3);
  for (int i = 0; i < 7; ++i) lab.port("p" + std::to_string(i));
  lab.apply();
  for (int i = 0; i < 7; ++i) {
    const std::string mac = "02:00:00:00:01:0" + std::to_string(i);
    lab.inject("p" + std::to_string(i), frame().src(mac).dst(kBroadcast));
  }
  EXPECT_EQ(lab.run().at("p0").size(), 6U);
  for (int i = 1; i < 7; ++i) {
    const MemoryFrame frame_to_i =
        frame().src("02:00:00:00:01:00").dst("02:00:00:00:01:0" + std::to_string(i));
    lab.expect("p0", frame_to_i, {{"p" + std::to_string(i), {frame_to_i}}});
  }
}

TEST(Ports, FloodReaches512) {
  SwitchLab lab;
  for (int i = 0; i < 512; ++i) lab.port("p" + std::to_string(i));
  lab.apply();
  const MemoryFrame broadcast = frame().src(kA).dst(kBroadcast);
  lab.inject("p17", broadcast);
  const Sent sent = lab.run();
  EXPECT_EQ(sent.size(), 511U);
  EXPECT_FALSE(sent.contains("p17"));
}

}  // namespace
}  // namespace vswitch::test
