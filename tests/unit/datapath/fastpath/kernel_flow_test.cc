// SPDX-License-Identifier: Apache-2.0
// What the kernel may carry by itself, and what it is told to do.
#include "datapath/fastpath/kernel_flow.h"

#include <gtest/gtest.h>

#include "datapath/fastpath/maps.h"
#include "datapath/pipeline/pipeline.h"
#include "tests/support/switch_lab.h"

namespace vswitch::fastpath {
namespace {

using test::frame;

constexpr const char* kHere = "02:00:00:00:00:01";
constexpr const char* kThere = "02:00:00:00:00:02";

class KernelFlowTest : public ::testing::Test {
 protected:
  KernelFlowTest() {
    int ifindex = 10;
    for (const char* name : {"p0", "p1", "m0", "m1"}) {
      lab.port(name);
      lab.device(name).pass_for(
          {.ifindex = ifindex++, .is_filtered = true, .takes_frames = true, .takes_copies = true});
    }
    lab.apply();
    learn(kHere, "p0");
    learn(kThere, "p1");
  }
  void learn(const std::string& mac, const std::string& port, VlanId vlan = 0) {
    lab.registry.macs("br0")->learn(vlan, *MacAddr::parse(mac), number(port), lab.now);
  }
  PortNo number(const std::string& port) const { return lab.registry.port("br0", port)->number; }

  Eligibility eligible(const test::FrameBuilder& builder, const std::string& in = "p0") {
    const std::vector<std::uint8_t> bytes = builder.bytes();
    const ParseResult parsed = parse({.bytes = bytes, .stripped_tag = {}, .offload = {}});
    EXPECT_EQ(parsed.drop, DropReason::none);
    const Snapshot& snapshot = lab.datapath->current();
    return kernel_flow(snapshot, number(in), parsed.frame,
                       decider.decide(snapshot, number(in), parsed.frame, lab.now));
  }
  Eligibility eligible() { return eligible(to_there()); }
  static test::FrameBuilder to_there() { return frame().src(kHere).dst(kThere).zeros(46); }

  test::SwitchLab lab;
  Decider decider;
};

TEST_F(KernelFlowTest, KnownUnicastBetweenDevicesGoes) {
  const Eligibility result = eligible();
  ASSERT_EQ(result.obstacle, Obstacle::none);
  EXPECT_EQ(result.flow->in->name, "p0");
  EXPECT_EQ(result.flow->out->name, "p1");
  EXPECT_EQ(result.flow->in_tag, 0U);
  EXPECT_EQ(result.flow->out_tag, 0U);
  EXPECT_TRUE(result.flow->copies.empty());
}

TEST_F(KernelFlowTest, WhatIsFloodedOrDroppedDoesNot) {
  EXPECT_EQ(eligible(frame().src(kHere).dst(test::kBroadcast)).obstacle, Obstacle::not_unicast);
  EXPECT_EQ(eligible(frame().src(kHere).dst("02:00:00:00:00:99")).obstacle, Obstacle::not_unicast)
      << "unknown";
  EXPECT_EQ(eligible(frame().src(kThere).dst(kHere)).obstacle, Obstacle::not_unicast) << "hairpin";
  lab.port("p0").is_protected = lab.port("p1").is_protected = true;
  lab.apply();
  EXPECT_EQ(eligible().obstacle, Obstacle::not_unicast) << "protected";
}

TEST_F(KernelFlowTest, TagsAreAddedRemovedAndChanged) {
  lab.port("p0").vlan.mode = VlanMode::access;
  lab.port("p0").vlan.tag = 10;
  lab.apply();
  learn(kHere, "p0", 10);
  learn(kThere, "p1", 10);
  const Eligibility out = eligible();
  ASSERT_TRUE(out.flow);
  EXPECT_EQ(out.flow->out_tag, 0x8100000aU);
  EXPECT_EQ(out.flow->vlan, 10);
  const Eligibility back = eligible(frame().src(kThere).dst(kHere).vlan(10, 3), "p1");
  ASSERT_TRUE(back.flow);
  EXPECT_EQ(back.flow->in_tag, 0x8100600aU);
  EXPECT_EQ(back.flow->out_tag, 0U);
}

TEST_F(KernelFlowTest, ASecondTagStaysWithUserSpace) {
  learn(kHere, "p0", 10);
  learn(kThere, "p1", 10);
  EXPECT_EQ(eligible(to_there().vlan(10).vlan(20)).obstacle, Obstacle::tags);
}

TEST_F(KernelFlowTest, CopiesGoWithTheirAccounts) {
  auto& session = lab.session("s0");
  session.sources = {{"p0", Direction::both}};
  session.destinations = {"m0"};
  lab.apply();
  const Eligibility result = eligible();
  ASSERT_EQ(result.obstacle, Obstacle::none);
  ASSERT_EQ(result.flow->copies.copies.size(), 1U);
  EXPECT_EQ(result.flow->copies.copies[0].port, number("m0"));
  EXPECT_EQ(result.flow->copies.copies[0].account, lab.registry.destination_counters("br0/s0", "m0"));
  EXPECT_FALSE(result.flow->copies.copies[0].duplicate);
  EXPECT_EQ(result.flow->copies.sessions.size(), 1U);
}

TEST_F(KernelFlowTest, TheSecondCopyForAPortIsOnlyCounted) {
  for (const char* name : {"s0", "s1"}) {
    auto& session = lab.session(name);
    session.sources = {{"p0", Direction::both}};
    session.destinations = {"m0"};
  }
  lab.apply();
  const Eligibility result = eligible();
  ASSERT_TRUE(result.flow);
  ASSERT_EQ(result.flow->copies.copies.size(), 2U);
  EXPECT_FALSE(result.flow->copies.copies[0].duplicate);
  EXPECT_TRUE(result.flow->copies.copies[1].duplicate);
}

/// A session at p0 or p1 that needs more than addresses and tag, or does not treat every frame alike.
TEST_F(KernelFlowTest, SessionsThatNeedUserSpaceKeepTheFlow) {
  const auto with = [this](const std::function<void(test::DesiredSession&)>& change) {
    lab.sessions().clear();
    auto& session = lab.session("s0");
    session.sources = {{"p1", Direction::to}};
    session.destinations = {"m0"};
    change(session);
    lab.apply();
    return eligible().obstacle;
  };
  EXPECT_EQ(with([](auto&) {}), Obstacle::none);
  EXPECT_EQ(with([](auto& s) { s.sample = 2; }), Obstacle::session_needs);
  EXPECT_EQ(with([](auto& s) { s.rate.packets = 10; }), Obstacle::session_needs);
  EXPECT_EQ(with([](auto& s) { s.quota.packets = 10; }), Obstacle::session_needs);
  EXPECT_EQ(with([](auto& s) { s.snaplen = 64; }), Obstacle::copy_shape);
  EXPECT_EQ(with([](auto& s) { s.normal_io = true; }), Obstacle::copy_shape)
      << "the port is not ours to set up";
  EXPECT_EQ(with([](auto& s) { s.gso_packets = GsoPackets::keep; }), Obstacle::copy_shape);
  EXPECT_EQ(with([](auto& s) {
              auto rules = std::make_shared<FilterRules>();
              rules->filter.push_back(*Match::parse("tcp").match);
              s.rules = rules;
            }),
            Obstacle::session_needs)
      << "it depends on the frame's headers, also for a frame that it does not select";
  EXPECT_EQ(with([this](auto&) {
              lab.device("m0").pass_for({.ifindex = 12, .is_filtered = true, .takes_frames = true});
            }),
            Obstacle::device)
      << "nobody would know what became of the copy";
}

TEST_F(KernelFlowTest, DevicesThatTheKernelCannotServeKeepTheFlow) {
  lab.device("p1").pass_for({});
  EXPECT_EQ(eligible().obstacle, Obstacle::device);
  lab.device("p1").pass_for({.ifindex = 11, .is_filtered = true});
  EXPECT_EQ(eligible().obstacle, Obstacle::device) << "what it drops would be counted nowhere";
  lab.device("p1").pass_for({.ifindex = 11, .takes_frames = true});
  EXPECT_EQ(eligible().obstacle, Obstacle::none) << "frames may go where none are filtered";
  EXPECT_EQ(eligible(frame().src(kThere).dst(kHere), "p1").obstacle, Obstacle::device);
}

TEST_F(KernelFlowTest, MoreCopiesThanASetHoldsKeepTheFlow) {
  for (int i = 0; i < FASTPATH_COPIES + 1; ++i) {
    const std::string name = "s" + std::to_string(i);
    auto& session = lab.session(name);
    session.sources = {{"p0", Direction::both}};
    session.destinations = {"m0"};
  }
  lab.apply();
  EXPECT_EQ(eligible().obstacle, Obstacle::many_copies);
  lab.sessions().pop_back();
  lab.apply();
  EXPECT_EQ(eligible().obstacle, Obstacle::none);
}

}  // namespace
}  // namespace vswitch::fastpath
