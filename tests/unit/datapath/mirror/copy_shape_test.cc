// SPDX-License-Identifier: Apache-2.0
// What sessions do to their copies on the way: put them into an output VLAN (RSPAN), take a tag off, cut
// them, leave some out.
#include <gtest/gtest.h>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

const std::string kA = "02:00:00:00:00:0a";
constexpr VlanId kRspan = 900;

/// p1 sends untagged frames in VLAN 10, p2 is a trunk that sends tagged ones; up and down are trunks that
/// carry VLAN 900, probe is an access port of it, other carries 20 only.
class CopyShape : public ::testing::Test {
 protected:
  CopyShape() {
    lab.port("p1").vlan = access(10);
    lab.port("p2").vlan.trunks = VlanSet().set(10).set(20).set(30);
    for (const char* name : {"up", "down"}) lab.port(name).vlan.trunks = VlanSet().set(kRspan);
    lab.port("probe").vlan = access(kRspan);
    lab.port("other").vlan.trunks = VlanSet().set(20);
  }
  static VlanPolicy access(VlanId tag) {
    VlanPolicy policy;
    policy.mode = VlanMode::access;
    policy.tag = tag;
    return policy;
  }
  static FrameBuilder broadcast() { return frame().src(kA).dst(kBroadcast).text("bc"); }
  static FrameBuilder tagged(VlanId vid, std::uint8_t pcp = 0) {
    return frame().src(kA).dst(kBroadcast).vlan(vid, pcp).text("bc");
  }
  SessionSpec& rspan(const std::string& name, const std::string& source) {
    SessionSpec& session = lab.session(name);
    session.sources = {{source, Direction::from}};
    session.tags.output_vlan = kRspan;
    return session;
  }
  /// Frames that came in the session's output VLAN.
  std::uint64_t foreign(const std::string& name) {
    return lab.registry.session("br0/" + name)->foreign->sum([](const Counter& count) {
      return count.read();
    });
  }
  SwitchLab lab;
};

TEST_F(CopyShape, OutputVlanReplacesTheTagAndLeavesOnEveryPortThatCarriesIt) {
  rspan("r", "p1");
  lab.apply();
  const MemoryFrame copy = tagged(kRspan);
  lab.expect("p1", broadcast(),
             {{"p2", {tagged(10)}}, {"up", {copy}}, {"down", {copy}}, {"probe", {broadcast()}}});
  EXPECT_EQ(lab.status("r").state, SessionState::active);
  EXPECT_EQ(lab.account("r", "up"), (SwitchLab::Account{1, 1, 0}));
  EXPECT_EQ(lab.frames_of("r"), 1U) << "once, however many ports carry it";
}

TEST_F(CopyShape, OutputVlanKeepsThePriority) {
  rspan("r", "p2");
  lab.apply();
  lab.expect("p2", tagged(20, 5),
             {{"other", {tagged(20, 5)}},
              {"up", {tagged(kRspan, 5)}},
              {"down", {tagged(kRspan, 5)}},
              {"probe", {broadcast()}}});
}

TEST_F(CopyShape, KeepVlanPutsTheTagOfTheOutputVlanInFront) {
  rspan("r", "p2").tags.keep_vlan = true;
  lab.apply();
  const MemoryFrame doubled = frame().src(kA).dst(kBroadcast).vlan(kRspan, 5).vlan(20, 5).text("bc");
  lab.expect("p2", tagged(20, 5),
             {{"other", {tagged(20, 5)}}, {"up", {doubled}}, {"down", {doubled}}, {"probe", {tagged(20, 5)}}},
             "at the access port of the VLAN the frame is as it was");
}

TEST_F(CopyShape, KeepVlanKeepsTwoTags) {
  lab.port("p1").vlan.mode = VlanMode::dot1q_tunnel;
  rspan("r", "p1").tags.keep_vlan = true;
  lab.apply();
  const MemoryFrame in = frame().src(kA).dst(kBroadcast).vlan(7).text("bc");
  const MemoryFrame tunnelled = frame().src(kA).dst(kBroadcast).vlan(10, 0, kTpid8021ad).vlan(7).text("bc");
  const MemoryFrame three =
      frame().src(kA).dst(kBroadcast).vlan(kRspan).vlan(10, 0, kTpid8021ad).vlan(7).text("bc");
  lab.expect("p1", in, {{"p2", {tunnelled}}, {"up", {three}}, {"down", {three}}, {"probe", {tunnelled}}});
}

TEST_F(CopyShape, NamedPortsAloneGetTheOutputVlanAndStayPorts) {
  rspan("r", "p1").destinations = {"up"};
  lab.apply();
  lab.expect("p1", broadcast(), {{"p2", {tagged(10)}}, {"up", {tagged(kRspan)}}});
  // up is no reserved destination: it sends and receives.
  lab.expect("up", tagged(kRspan), {{"down", {tagged(kRspan)}}, {"probe", {broadcast()}}});
  lab.session("r").destinations = {"other"};
  lab.apply();
  EXPECT_EQ(lab.status("r").state, SessionState::waiting);
  EXPECT_EQ(lab.status("r").reason, "destination: port other does not carry VLAN 900");
}

TEST_F(CopyShape, FramesOfTheOutputVlanAndLinkLocalOnesAreNotPutIntoIt) {
  rspan("r", "down");
  rspan("r2", "p1");
  lab.apply();
  lab.expect("down", tagged(kRspan), {{"up", {tagged(kRspan)}}, {"probe", {broadcast()}}});
  EXPECT_EQ(lab.frames_of("r"), 1U) << "selected, as Open vSwitch counts";
  lab.bridge().forward_bpdu = true;
  lab.apply();
  const FrameBuilder bpdu = frame().src(kA).dst("01:80:c2:00:00:00");
  lab.expect("p1", bpdu, {{"p2", {frame().src(kA).dst("01:80:c2:00:00:00").vlan(10)}}});
}

TEST_F(CopyShape, NothingIsLearnedInAnOutputVlan) {
  rspan("r", "p1");
  lab.apply();
  lab.inject("up", tagged(kRspan));
  lab.run();
  EXPECT_EQ(lab.addresses(), 0U);
  lab.session("r").enabled = false;
  lab.apply();
  lab.inject("up", tagged(kRspan));
  lab.run();
  EXPECT_EQ(lab.addresses(), 1U);
}

TEST_F(CopyShape, WhatElseIsInAnOutputVlanIsCounted) {
  rspan("r", "p1");
  rspan("s", "p1").tags.output_vlan = 20;
  lab.apply();
  lab.inject("p1", broadcast());
  lab.run();
  EXPECT_EQ(foreign("r"), 0U) << "its own copies, and the frames they are of";
  lab.expect("up", tagged(kRspan), {{"down", {tagged(kRspan)}}, {"probe", {broadcast()}}});
  lab.inject("probe", broadcast());
  lab.inject("p2", tagged(30));
  lab.run();
  EXPECT_EQ(foreign("r"), 2U);
  EXPECT_EQ(foreign("s"), 0U) << "VLAN 20 is another";
  EXPECT_EQ(lab.status("r").state, SessionState::active) << lab.status("r").reason;
}

TEST_F(CopyShape, WhatWasRefusedIsNotInTheOutputVlan) {
  rspan("r", "p1");
  lab.apply();
  lab.expect("up", frame().src(kA).dst("01:80:c2:00:00:00").vlan(kRspan), {});
  lab.expect("p2", tagged(kRspan), {}, "p2 does not carry the VLAN");
  EXPECT_EQ(foreign("r"), 0U);
}

TEST_F(CopyShape, TheCountOfAnOutputVlanIsNotThatOfAnother) {
  SessionSpec& session = rspan("r", "p1");
  lab.apply();
  lab.inject("up", tagged(kRspan));
  lab.run();
  session.snaplen = 100;
  lab.apply();
  EXPECT_EQ(foreign("r"), 1U) << "other settings of the session have nothing to do with it";
  session.tags.output_vlan = 20;
  lab.apply();
  EXPECT_EQ(foreign("r"), 0U);
  session.tags.output_vlan.reset();
  session.destinations = {"up"};
  lab.apply();
  EXPECT_EQ(lab.registry.session("br0/r")->foreign, nullptr);
}

TEST_F(CopyShape, WithoutAPortThatCarriesItTheSessionWaits) {
  rspan("r", "p1").tags.output_vlan = 901;
  lab.apply();
  EXPECT_EQ(lab.status("r").state, SessionState::waiting);
  EXPECT_EQ(lab.status("r").reason, "destination: no working port carries VLAN 901");
  lab.port("other").vlan.trunks.set(901);
  lab.apply();
  EXPECT_EQ(lab.status("r").state, SessionState::active);
  lab.expect("p1", broadcast(), {{"p2", {tagged(10)}}, {"other", {tagged(901)}}});
}

TEST_F(CopyShape, AReservedDestinationCarriesNoOutputVlan) {
  SessionSpec& span = lab.session("a-span");
  span.sources = {{"p1", Direction::from}};
  span.destinations = {"down"};
  rspan("r", "p1");
  lab.apply();
  lab.expect(
      "p1", broadcast(),
      {{"p2", {tagged(10)}}, {"up", {tagged(kRspan)}}, {"probe", {broadcast()}}, {"down", {tagged(10)}}});
}

TEST_F(CopyShape, TwoSessionsIntoOneVlanCopyAFrameOnce) {
  rspan("r1", "p1");
  rspan("r2", "p1").sources = {{"p1", Direction::both}};
  rspan("r3", "p1").tags.output_vlan = 20;
  lab.apply();
  lab.expect("p1", broadcast(),
             {{"p2", {tagged(10), tagged(20)}},
              {"other", {tagged(20)}},
              {"up", {tagged(kRspan)}},
              {"down", {tagged(kRspan)}},
              {"probe", {broadcast()}}});
  EXPECT_EQ(lab.lost("r2", "up", DropReason::duplicate), 1U);
  EXPECT_EQ(lab.account("r3", "other"), (SwitchLab::Account{1, 1, 0}));
}

TEST_F(CopyShape, TheEndOfAnRspanVlanTakesItsTagOff) {
  lab.port("t").vlan.trunks = VlanSet().set(1);  // a probe that is a trunk: it would get the copy tagged
  SessionSpec& session = lab.session("end");
  session.all_ports = true;
  session.vlans = {kRspan};
  session.destinations = {"t"};
  session.tags.strip_vlan = true;
  lab.apply();
  const MemoryFrame doubled = frame().src(kA).dst(kBroadcast).vlan(kRspan).vlan(20, 5).text("bc");
  lab.expect("up", doubled, {{"down", {doubled}}, {"probe", {tagged(20, 5)}}, {"t", {tagged(20, 5)}}});
  lab.expect("up", tagged(kRspan),
             {{"down", {tagged(kRspan)}}, {"probe", {broadcast()}}, {"t", {broadcast()}}});
  EXPECT_EQ(lab.addresses(), 0U) << "nothing is learned in a VLAN that ends here";
}

TEST_F(CopyShape, SnaplenCutsTheCopyAndNotTheFrame) {
  SessionSpec& session = lab.session("s");
  session.sources = {{"p2", Direction::from}};
  session.destinations = {"t"};
  lab.port("t");
  const auto long_frame = [] { return frame().src(kA).dst(kBroadcast).vlan(20).zeros(100); };
  for (const std::size_t snaplen : {std::size_t{14}, std::size_t{16}, std::size_t{64}}) {
    lab.session("s").snaplen = snaplen;
    lab.apply();
    MemoryFrame cut = long_frame();
    cut.bytes.resize(snaplen);
    lab.expect("p2", long_frame(), {{"other", {long_frame()}}, {"t", {cut}}});
  }
  lab.session("s").snaplen = 118;
  lab.apply();
  lab.expect("p2", long_frame(), {{"other", {long_frame()}}, {"t", {long_frame()}}}, "as long as allowed");
}

TEST_F(CopyShape, ACutCopyHasItsChecksumFinishedFirst) {
  SessionSpec& session = lab.session("s");
  session.sources = {{"p2", Direction::from}};
  session.destinations = {"t"};
  session.snaplen = 40;
  lab.port("t");
  lab.apply();
  MemoryFrame unfinished = frame().src(kA).dst(kBroadcast).vlan(20).zeros(100);
  for (std::size_t i = 18; i < unfinished.bytes.size(); ++i)
    unfinished.bytes[i] = static_cast<std::uint8_t>(i);
  unfinished.offload = {.needs_checksum = true, .checksum_start = 22, .checksum_offset = 6};
  lab.inject("p2", unfinished);
  const Sent sent = lab.run();
  ASSERT_EQ(sent.at("t").size(), 1U);
  const MemoryFrame& copy = sent.at("t")[0];
  EXPECT_EQ(copy.bytes.size(), 40U);
  EXPECT_FALSE(copy.offload.needs_checksum);
  EXPECT_NE(copy.bytes[28], 28)
      << "the checksum of the whole frame stands where the sum of the pseudo-header was";
  EXPECT_TRUE(sent.at("other")[0].offload.needs_checksum);
}

TEST_F(CopyShape, SamplingLeavesOutByChanceAndSaysHowMany) {
  SessionSpec& session = lab.session("s");
  session.sources = {{"p2", Direction::from}};
  session.destinations = {"t"};
  session.sample = 4;
  lab.port("t");
  lab.apply();
  constexpr std::uint64_t kFrames = 4000;
  std::uint64_t copied = 0;
  for (std::uint64_t i = 0; i < kFrames; ++i) {
    lab.inject("p2", tagged(20));
    if (i % 50 == 49) {
      const Sent sent = lab.run();
      if (sent.contains("t")) copied += sent.at("t").size();
    }
  }
  EXPECT_GT(copied, kFrames / 4 - 150);
  EXPECT_LT(copied, kFrames / 4 + 150);
  EXPECT_EQ(lab.account("s", "t").delivered, copied);
  EXPECT_EQ(lab.lost("s", "t", DropReason::sampled_out), kFrames - copied);
  EXPECT_EQ(lab.frames_of("s"), copied);
}

TEST_F(CopyShape, ASampledSessionTakesNoCopyAwayFromAnother) {
  for (const char* name : {"a-sampled", "b-whole"}) {
    SessionSpec& session = lab.session(name);
    session.sources = {{"p2", Direction::from}};
    session.destinations = {"t"};
  }
  lab.session("a-sampled").sample = 65535;
  lab.port("t");
  lab.apply();
  for (int i = 0; i < 20; ++i) lab.expect("p2", tagged(20), {{"other", {tagged(20)}}, {"t", {tagged(20)}}});
}

}  // namespace
}  // namespace vswitch::test
