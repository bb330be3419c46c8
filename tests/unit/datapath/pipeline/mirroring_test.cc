// SPDX-License-Identifier: Apache-2.0
// SPAN sessions: what is copied, to where, in which shape, and the account of it.
#include <gtest/gtest.h>

#include "tests/support/gso_packet.h"
#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

const std::string kA = "02:00:00:00:00:0a";
const std::string kB = "02:00:00:00:00:0b";
using Account = SwitchLab::Account;

/// p1 has host A, p2 has host B, both learned; p3 and m are empty ports.
class Mirror : public ::testing::Test {
 protected:
  Mirror() {
    for (const char* name : {"p1", "p2", "p3", "m", "m2"}) lab.port(name);
    lab.apply();
    lab.inject("p1", a_to("ff:ff:ff:ff:ff:ff"));
    lab.inject("p2", frame().src(kB).dst(kBroadcast));
    lab.run();
  }
  FrameBuilder a_to(const std::string& dst) { return frame().src(kA).dst(dst); }
  void span(const std::string& name, std::vector<SourceSpec> sources, std::vector<std::string> destinations,
            bool normal_io = false) {
    SessionSpec& session = lab.session(name);
    session.sources = std::move(sources);
    session.destinations = std::move(destinations);
    session.normal_io = normal_io;
    lab.apply();
  }
  SwitchLab lab;
  const MemoryFrame a_to_b = frame().src(kA).dst(kB).text("ab");
  const MemoryFrame b_to_a = frame().src(kB).dst(kA).text("ba");
  const MemoryFrame broadcast = frame().src(kA).dst(kBroadcast).text("bc");
};

TEST_F(Mirror, CopiesWhatAPortSends) {
  span("s", {{"p1", Direction::from}}, {"m"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}});
  lab.expect("p2", b_to_a, {{"p1", {b_to_a}}}, "the other direction is not selected");
  EXPECT_EQ(lab.status("s").state, SessionState::active) << lab.status("s").reason;
  EXPECT_EQ(lab.account("s", "m"), (Account{1, 1, 0}));
  EXPECT_EQ(lab.frames_of("s"), 1U);
}

TEST_F(Mirror, CopiesWhatAPortGets) {
  span("s", {{"p1", Direction::to}}, {"m"});
  lab.expect("p2", b_to_a, {{"p1", {b_to_a}}, {"m", {b_to_a}}});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}});
}

TEST_F(Mirror, OneCopyWhateverTheNumberOfReasons) {
  span("s", {{"p1", Direction::both}, {"p2", Direction::both}, {"p3", Direction::both}}, {"m"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}});
  lab.expect("p1", broadcast,
             {{"p2", {broadcast}}, {"p3", {broadcast}}, {"m2", {broadcast}}, {"m", {broadcast}}});
  EXPECT_EQ(lab.account("s", "m"), (Account{2, 2, 0}));
}

TEST_F(Mirror, SeveralDestinationsGetOneCopyEach) {
  span("s", {{"p1"}}, {"m", "m2"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}, {"m2", {a_to_b}}});
  EXPECT_EQ(lab.account("s", "m"), (Account{1, 1, 0}));
  EXPECT_EQ(lab.account("s", "m2"), (Account{1, 1, 0}));
  EXPECT_EQ(lab.frames_of("s"), 1U);
}

TEST_F(Mirror, TwoSessionsToOneDestinationGiveOneCopy) {
  span("s1", {{"p1", Direction::from}}, {"m"});
  span("s2", {{"p2", Direction::to}}, {"m", "m2"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}, {"m2", {a_to_b}}});
  EXPECT_EQ(lab.account("s1", "m"), (Account{1, 1, 0}));
  EXPECT_EQ(lab.account("s2", "m"), (Account{1, 0, 1}));
  EXPECT_EQ(lab.lost("s2", "m", DropReason::duplicate), 1U);
  EXPECT_EQ(lab.account("s2", "m2"), (Account{1, 1, 0}));
}

TEST_F(Mirror, ADestinationCarriesNothingButCopies) {
  span("s", {{"p1"}}, {"m"});
  lab.expect("p3", frame().src("02:00:00:00:00:0c").dst(kBroadcast),
             {{"p1", {frame().src("02:00:00:00:00:0c").dst(kBroadcast)}},
              {"p2", {frame().src("02:00:00:00:00:0c").dst(kBroadcast)}},
              {"m2", {frame().src("02:00:00:00:00:0c").dst(kBroadcast)}},
              {"m", {frame().src("02:00:00:00:00:0c").dst(kBroadcast)}}},
             "delivered to p1, so m gets the copy, and only the copy");
  lab.expect("m", frame().src("02:00:00:00:00:0d").dst(kA), {}, "its own frames are refused");
  EXPECT_EQ(lab.received_drops("m", DropReason::mirror_destination), 1U);
}

TEST_F(Mirror, AFrameToAnAddressBehindADestinationIsNotFlooded) {
  lab.inject("m", frame().src("02:00:00:00:00:0d").dst(kBroadcast));
  lab.run();
  span("s", {{"p2"}}, {"m"});
  lab.expect("p1", a_to("02:00:00:00:00:0d"), {});
  EXPECT_EQ(lab.received_drops("p1", DropReason::destination_is_mirror), 1U);
}

TEST_F(Mirror, WithNormalIoTheDestinationAlsoHasItsOwnTraffic) {
  span("s", {{"p1"}}, {"m"}, true);
  const MemoryFrame d_to_a = frame().src("02:00:00:00:00:0d").dst(kA);
  lab.expect("m", d_to_a, {{"p1", {d_to_a}}, {"m", {d_to_a}}}, "A gets it, and what A gets is copied");
  const MemoryFrame a_to_d = a_to("02:00:00:00:00:0d");
  lab.expect("p1", a_to_d, {{"m", {a_to_d, a_to_d}}}, "once as its own, once as a copy");
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}});
}

TEST_F(Mirror, AllPortsMeansAllButTheDestinations) {
  lab.session("s").all_ports = true;
  span("s", {}, {"m"}, true);
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}});
  const MemoryFrame d_to_b = frame().src("02:00:00:00:00:0d").dst(kB);
  lab.expect("m", d_to_b, {{"p2", {d_to_b}}, {"m", {d_to_b}}}, "delivered to p2");
  lab.port("late");
  lab.apply();
  const MemoryFrame late = frame().src("02:00:00:00:00:0e").dst(kB);
  lab.expect("late", late, {{"p2", {late}}, {"m", {late}}}, "ports added later are selected");
}

TEST_F(Mirror, VlansSelectByTheVlanInsideTheBridge) {
  lab.port("p1").vlan.mode = VlanMode::access;
  lab.port("p1").vlan.tag = 20;
  lab.session("s").vlans = {20};
  span("s", {{"p1"}, {"p3"}}, {"m"});
  const MemoryFrame in20 = a_to(kBroadcast).vlan(20);
  lab.expect("p1", a_to(kBroadcast), {{"p2", {in20}}, {"p3", {in20}}, {"m2", {in20}}, {"m", {in20}}});
  lab.expect("p3", frame().src(kB).dst("01:00:5e:00:00:01").vlan(21),
             {{"p2", {frame().src(kB).dst("01:00:5e:00:00:01").vlan(21)}},
              {"m2", {frame().src(kB).dst("01:00:5e:00:00:01").vlan(21)}}});
}

TEST_F(Mirror, TheCopyLeavesAsTheDestinationsVlanModeSays) {
  lab.port("p1").vlan.mode = VlanMode::access;
  lab.port("p1").vlan.tag = 20;
  lab.port("m2").vlan.mode = VlanMode::access;
  lab.port("m2").vlan.tag = 99;
  span("s", {{"p1", Direction::from}}, {"m", "m2"});
  const MemoryFrame tagged = a_to("02:00:00:00:00:ee").vlan(20);
  lab.expect("p1", a_to("02:00:00:00:00:ee"),
             {{"p2", {tagged}}, {"p3", {tagged}}, {"m", {tagged}}, {"m2", {a_to("02:00:00:00:00:ee")}}});
}

TEST_F(Mirror, ACopyOfATunnelFrameKeepsTheCustomersTag) {
  lab.port("p1").vlan.mode = VlanMode::dot1q_tunnel;
  lab.port("p1").vlan.tag = 100;
  lab.port("m").vlan.mode = VlanMode::access;
  lab.port("m").vlan.tag = 1;
  span("s", {{"p1", Direction::from}}, {"m"});
  const MemoryFrame inside = a_to(kBroadcast).vlan(100, 0, kTpid8021ad).vlan(7, 3);
  lab.expect("p1", a_to(kBroadcast).vlan(7, 3),
             {{"p2", {inside}}, {"p3", {inside}}, {"m2", {inside}}, {"m", {a_to(kBroadcast).vlan(7, 3)}}});
}

TEST_F(Mirror, FramesDroppedAfterAdmissionAreCopiedFramesOfAForeignVlanAreNot) {
  span("s", {{"p1", Direction::from}}, {"m"});
  const MemoryFrame bpdu = a_to("01:80:c2:00:00:00");
  lab.expect("p1", bpdu, {{"m", {bpdu}}});
  const MemoryFrame hairpin = a_to(kA);
  lab.expect("p1", hairpin, {{"m", {hairpin}}});
  lab.bridge().secure = true;
  lab.apply();
  lab.expect("p1", a_to_b, {{"m", {a_to_b}}});
  lab.port("p1").vlan.trunks.reset();
  lab.apply();
  lab.expect("p1", a_to_b, {}, "refused for its VLAN");
}

TEST_F(Mirror, ASuppressedSendIsNotCopied) {
  lab.port("p1").is_protected = true;
  lab.port("p2").is_protected = true;
  span("s", {{"p2", Direction::to}}, {"m"});
  lab.expect("p1", a_to_b, {{"p3", {a_to_b}}, {"m2", {a_to_b}}}, "flooded, but not to p2");
}

TEST_F(Mirror, ProtectionDoesNotKeepCopiesFromTheirDestination) {
  lab.port("p1").is_protected = true;
  lab.port("m").is_protected = true;
  span("s", {{"p1", Direction::from}}, {"m"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}});
}

TEST_F(Mirror, CopiesAreCopiedOnlyByASessionThatNamesTheirPort) {
  span("s1", {{"p1", Direction::from}}, {"m"});
  lab.session("s2").all_ports = true;
  span("s2", {}, {"m2"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}, {"m2", {a_to_b}}},
             "all ports: the frame, not the copy of it");
  lab.session("s2").all_ports = false;
  span("s2", {{"m", Direction::to}}, {"m2"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}, {"m2", {a_to_b}}}, "the capture of a mirror");
  lab.expect("p2", b_to_a, {{"p1", {b_to_a}}});
}

TEST_F(Mirror, LoopsOfSessionsEnd) {
  span("s1", {{"p1", Direction::from}, {"m2", Direction::to}}, {"m"});
  span("s2", {{"m", Direction::to}}, {"m2"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}, {"m2", {a_to_b}}});
}

TEST_F(Mirror, TheCopyOfACopyShowsWhatTheFirstOneSaid) {
  lab.port("p1").vlan.mode = VlanMode::access;
  lab.port("p1").vlan.tag = 20;
  lab.port("m").vlan.mode = VlanMode::access;
  lab.port("m").vlan.tag = 30;
  span("s1", {{"p1", Direction::from}}, {"m"});
  span("s2", {{"m", Direction::to}}, {"m2"});
  const MemoryFrame in20 = a_to("02:00:00:00:00:ee").vlan(20);
  lab.expect("p1", a_to("02:00:00:00:00:ee"),
             {{"p2", {in20}},
              {"p3", {in20}},
              {"m", {a_to("02:00:00:00:00:ee")}},
              {"m2", {a_to("02:00:00:00:00:ee").vlan(30)}}});
}

TEST_F(Mirror, ChangesHoldFromTheNextFrameOn) {
  span("s", {{"p1", Direction::from}}, {"m"});
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}});
  lab.session("s").enabled = false;
  lab.apply();
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}});
  EXPECT_EQ(lab.status("s").state, SessionState::disabled);
  lab.expect("m", frame().src("02:00:00:00:00:0d").dst(kA),
             {{"p1", {frame().src("02:00:00:00:00:0d").dst(kA)}}},
             "a disabled session does not reserve its destination");
  lab.session("s").enabled = true;
  lab.session("s").destinations = {"m2"};
  lab.apply();
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m2", {a_to_b}}});
  EXPECT_EQ(lab.account("s", "m"), (Account{1, 1, 0})) << "the account of a former destination is kept";
  lab.sessions().clear();
  lab.apply();
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}});
}

TEST_F(Mirror, WaitsForItsDestinationAndArmsItself) {
  span("s", {{"p1", Direction::from}}, {"m"});
  const auto device = lab.port("m").device;
  lab.port("m").device = nullptr;
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::waiting);
  EXPECT_EQ(lab.status("s").reason, "destination: port m has no device");
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}});
  EXPECT_EQ(lab.lost("s", "m", DropReason::port_waiting), 1U);
  lab.port("m").device = device;
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active);
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m", {a_to_b}}});
  EXPECT_EQ(lab.account("s", "m"), (Account{2, 1, 1}));
}

TEST_F(Mirror, WaitsForAPortThatIsNotThereYet) {
  span("s", {{"tomorrow", Direction::from}}, {"m"});
  EXPECT_EQ(lab.status("s").state, SessionState::waiting);
  EXPECT_EQ(lab.status("s").reason, "source: no port tomorrow on br0");
  lab.port("tomorrow");
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active);
  lab.expect("tomorrow", b_to_a, {{"p1", {b_to_a}}, {"m", {b_to_a}}});
}

TEST_F(Mirror, WhatLeavesATunnelPortWithCustomerVlansIsCopied) {
  lab.port("p2").vlan.mode = VlanMode::dot1q_tunnel;
  lab.port("p2").vlan.tag = 100;
  lab.port("p2").vlan.cvlans.reset();
  lab.port("p2").vlan.cvlans.set(10);
  span("s", {{"p2", Direction::to}}, {"m"});
  const MemoryFrame inside = a_to(kBroadcast).vlan(100).vlan(10).text("c");
  const MemoryFrame outside = a_to(kBroadcast).vlan(10).text("c");
  const MemoryFrame copied = a_to(kBroadcast).vlan(100, 0, kTpid8021ad).vlan(10).text("c");
  lab.expect("p1", inside, {{"p2", {outside}}, {"p3", {inside}}, {"m2", {inside}}, {"m", {copied}}});
}

TEST_F(Mirror, AnotherSessionStandsInWhenTheFirstHasNoRoom) {
  // Both want p1's frames at m; "a" has used up its share, so "b" delivers what "a" cannot.
  span("a", {{"p1", Direction::from}}, {"m"});
  span("b", {{"p1", Direction::from}}, {"m"});
  const MemoryFrame big = frame().src(kA).dst(kB).zeros(60000);
  for (int i = 0; i < 14; ++i) lab.inject("p1", big);
  const Sent sent = lab.run();
  EXPECT_EQ(sent.at("p2").size(), 14U);
  EXPECT_EQ(sent.at("m").size(), 14U) << "1 MiB of queue holds them, half of it for each session";
  const Account a = lab.account("a", "m");
  const Account b = lab.account("b", "m");
  EXPECT_EQ(a.delivered + b.delivered, 14U);
  EXPECT_GT(b.delivered, 0U);
  EXPECT_EQ(a.lost, lab.lost("a", "m", DropReason::session_budget));
  EXPECT_EQ(b.lost, lab.lost("b", "m", DropReason::duplicate));
}

TEST_F(Mirror, TheShareOfASessionCanBeSetAndFollowsAtOnce) {
  span("s", {{"p1", Direction::from}}, {"m"});
  const MemoryFrame big = frame().src(kA).dst(kB).zeros(60000);
  const auto delivered_of_ten = [&](std::size_t share) {
    lab.spec.work.session_queue_bytes = share;
    lab.apply();
    const std::uint64_t before = lab.account("s", "m").delivered;
    for (int i = 0; i < 10; ++i) lab.inject("p1", big);
    EXPECT_EQ(lab.run().at("p2").size(), 10U) << "production does not ask for room";
    return lab.account("s", "m").delivered - before;
  };
  EXPECT_EQ(delivered_of_ten(130'000), 2U);
  EXPECT_EQ(delivered_of_ten(310'000), 5U);
  EXPECT_EQ(lab.account("s", "m").lost, lab.lost("s", "m", DropReason::session_budget));
  EXPECT_EQ(delivered_of_ten(0), 8U) << "half of 1 MiB";
}

TEST_F(Mirror, CopiesHaveFinishedChecksums) {
  span("s", {{"p1", Direction::from}}, {"m"});
  const Offload offload{.needs_checksum = true, .checksum_start = 14, .checksum_offset = 6};
  const MemoryFrame in =
      frame().src(kA).dst(kB).text(std::string("\x01\x02\x03\x04\x05\x06\x00\x00", 8)).offload(offload);
  // ~(0102 + 0304 + 0506 + 0000) = f6f3
  const MemoryFrame copy = frame().src(kA).dst(kB).text(std::string("\x01\x02\x03\x04\x05\x06\xf6\xf3", 8));
  lab.expect("p1", in, {{"p2", {in}}, {"m", {copy}}});
}

TEST_F(Mirror, AnAnalyserGetsSegmentsAsOnAWire) {
  span("s", {{"p1", Direction::from}}, {"m"});
  const GsoPacket packet{.data = 4000, .segment = 1400};
  MemoryFrame in;
  in.bytes = {0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a};
  const auto payload = packet.payload();
  in.bytes.insert(in.bytes.end(), payload.begin(), payload.end());
  in.offload = packet.offload();
  in.offload.checksum_start = static_cast<std::uint16_t>(in.offload.checksum_start + 12);
  lab.inject("p1", in);
  Sent sent = lab.run();
  EXPECT_EQ(sent["p2"], std::vector<MemoryFrame>{in}) << "production leaves as it came";
  ASSERT_EQ(sent["m"].size(), 3U);
  for (const MemoryFrame& copy : sent["m"]) {
    EXPECT_EQ(copy.offload, Offload{});
    EXPECT_LE(copy.bytes.size(), 14U + 20 + 20 + 1400);
    EXPECT_TRUE(packet_is_valid({copy.bytes.begin() + 14, copy.bytes.end()}));
  }
  EXPECT_EQ(lab.account("s", "m"), (Account{1, 1, 0})) << "one copy, in three pieces";
  lab.session("s").gso_packets = GsoPackets::keep;
  lab.apply();
  lab.expect("p1", in, {{"p2", {in}}, {"m", {in}}}, "whole if asked for");
}

TEST_F(Mirror, WhatOnlyTheKernelCanSegmentIsCopiedWhole) {
  span("s", {{"p1", Direction::from}}, {"m"});
  const Offload offload{.needs_checksum = true,
                        .gso_type = 1,
                        .gso_size = 1448,
                        .header_length = 66,
                        .checksum_start = 34,
                        .checksum_offset = 16};
  const MemoryFrame in = frame().src(kA).dst(kB).zeros(60000).offload(offload);
  lab.expect("p1", in, {{"p2", {in}}, {"m", {in}}});
  EXPECT_EQ(lab.account("s", "m"), (Account{1, 1, 0}));
  lab.session("s").gso_packets = GsoPackets::segment;
  lab.apply();
  lab.expect("p1", in, {{"p2", {in}}}, "not if segments were asked for");
  EXPECT_EQ(lab.lost("s", "m", DropReason::not_segmentable), 1U);
}

TEST_F(Mirror, ARefusingDestinationIsAccountedAndHarmsNobody) {
  span("s", {{"p1", Direction::from}}, {"m", "m2"});
  lab.device("m").set_outcome(DropReason::no_buffers);
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"m2", {a_to_b}}});
  EXPECT_EQ(lab.account("s", "m"), (Account{1, 0, 1}));
  EXPECT_EQ(lab.lost("s", "m", DropReason::no_buffers), 1U);
  EXPECT_EQ(lab.account("s", "m2"), (Account{1, 1, 0}));
}

TEST_F(Mirror, PatchPortsAreSourcesLikeOthers) {
  lab.port("q1", "br1");
  for (const auto& [name, bridge, peer] :
       {std::tuple{"to1", "br0", "to0"}, std::tuple{"to0", "br1", "to1"}}) {
    lab.bridge(bridge).ports.push_back({});
    lab.bridge(bridge).ports.back().name = name;
    lab.bridge(bridge).ports.back().is_patch = true;
    lab.bridge(bridge).ports.back().patch_peer = peer;
  }
  span("s", {{"to1"}}, {"m"});
  EXPECT_EQ(lab.status("s").state, SessionState::active) << lab.status("s").reason;
  const MemoryFrame q = frame().src("02:00:00:00:00:0f").dst(kA);
  lab.expect("q1", q, {{"p1", {q}}, {"m", {q}}}, "from the patch");
  const MemoryFrame back = a_to("02:00:00:00:00:0f");
  lab.expect("p1", back, {{"q1", {back}}, {"m", {back}}}, "to the patch");
}

TEST_F(Mirror, AThousandSessionsEachGetTheirCopy) {
  for (int i = 0; i < 1000; ++i) {
    lab.port("d" + std::to_string(i));
    SessionSpec& session = lab.session("s" + std::to_string(i));
    session.sources = {{"p1", Direction::from}};
    session.destinations = {"d" + std::to_string(i)};
  }
  lab.apply();
  lab.inject("p1", a_to_b);
  const Sent sent = lab.run();
  EXPECT_EQ(sent.size(), 1001U);
  EXPECT_EQ(lab.account("s999", "d999"), (Account{1, 1, 0}));
}

TEST_F(Mirror, WhenTheQueueIsFullProductionGoesOnAndTheAccountCloses) {
  span("s", {{"p1", Direction::from}}, {"m"});
  const MemoryFrame big = frame().src(kA).dst(kB).zeros(60000);
  for (int i = 0; i < 60; ++i) lab.inject("p1", big);
  const Sent sent = lab.run();
  EXPECT_EQ(sent.at("p2").size(), 60U);
  const Account account = lab.account("s", "m");
  EXPECT_EQ(account.matched, 60U);
  EXPECT_GT(account.delivered, 0U);
  EXPECT_EQ(account.delivered, sent.at("m").size());
  EXPECT_EQ(account.lost,
            lab.lost("s", "m", DropReason::session_budget) + lab.lost("s", "m", DropReason::queue_full));
  EXPECT_GT(account.lost, 0U) << "60 x 60000 bytes do not fit into half of 1 MiB";
  EXPECT_EQ(account.matched, account.delivered + account.lost);
}

}  // namespace
}  // namespace vswitch::test
