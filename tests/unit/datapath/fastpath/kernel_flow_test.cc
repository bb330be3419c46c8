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
  PortNo number(const std::string& port, const std::string& bridge = "br0") const {
    return lab.registry.port(bridge, port)->number;
  }

  Eligibility eligible(const test::FrameBuilder& builder, const std::string& in = "p0") {
    const std::vector<std::uint8_t> bytes = builder.bytes();
    const ParseResult parsed = parse({.bytes = bytes, .stripped_tag = {}, .offload = {}});
    EXPECT_EQ(parsed.drop, DropReason::none);
    const Snapshot& snapshot = lab.datapath->current();
    Unfiltered every;
    if (taps) {
      every = [&]() -> const Verdict& {
        return unfiltered.decide_unfiltered(snapshot, number(in), parsed.frame, lab.now);
      };
    }
    return kernel_flow(snapshot, number(in), parsed.frame,
                       decider.decide(snapshot, number(in), parsed.frame, lab.now), every);
  }
  Eligibility eligible() { return eligible(to_there()); }
  static test::FrameBuilder to_there() { return frame().src(kHere).dst(kThere).zeros(46); }

  void span(const std::string& name, std::vector<SourceSpec> sources, const std::string& to) {
    auto& session = lab.session(name);
    session.sources = std::move(sources);
    session.destinations = {to};
  }

  test::SwitchLab lab;
  Decider decider, unfiltered;
  bool taps = false;  ///< there are copy taps
};

TEST_F(KernelFlowTest, KnownUnicastBetweenDevicesGoes) {
  const Eligibility result = eligible();
  ASSERT_EQ(result.obstacle, Obstacle::none);
  EXPECT_EQ(result.flow->in->name, "p0");
  ASSERT_EQ(result.flow->sends.size(), 1U);
  EXPECT_EQ(result.flow->sends.front().port, number("p1"));
  EXPECT_EQ(result.flow->in_tag, 0U);
  EXPECT_EQ(result.flow->sends.front().tag, 0U);
  EXPECT_TRUE(result.flow->copies.empty());
}

TEST_F(KernelFlowTest, WhatIsDroppedOrForAStrangerDoesNot) {
  EXPECT_EQ(eligible(frame().src(kHere).dst("02:00:00:00:00:99")).obstacle, Obstacle::path) << "unknown";
  EXPECT_EQ(eligible(frame().src(kThere).dst(kHere)).obstacle, Obstacle::path) << "hairpin";
  EXPECT_EQ(eligible(frame().src(kHere).dst("01:80:c2:00:00:00")).obstacle, Obstacle::path) << "reserved";
  lab.port("p0").is_protected = lab.port("p1").is_protected = true;
  lab.apply();
  EXPECT_EQ(eligible().obstacle, Obstacle::path) << "protected";
}

TEST_F(KernelFlowTest, AGroupIsSentToAllItsPorts) {
  lab.port("p0").vlan = {.mode = VlanMode::access, .tag = 10};
  lab.port("p1").vlan = {.mode = VlanMode::access, .tag = 10};
  lab.port("m1").vlan = {.mode = VlanMode::access, .tag = 20};
  lab.port("p0").is_protected = lab.port("p1").is_protected = true;
  lab.apply();
  const Eligibility result = eligible(frame().src(kHere).dst(test::kBroadcast).zeros(46));
  ASSERT_EQ(result.obstacle, Obstacle::none);
  const std::vector<KernelSend> expected{{number("p1"), 0, KernelSend::Kind::refused},
                                         {number("m0"), 0x8100000aU}};
  EXPECT_EQ(result.flow->sends, expected) << "what is refused only counts, and comes first";
  EXPECT_EQ(result.flow->hops.front().vlan, 10);
}

TEST_F(KernelFlowTest, AGroupOfOneIsAGroup) {
  for (const char* name : {"m0", "m1"}) lab.port(name).vlan = {.mode = VlanMode::access, .tag = 7};
  lab.port("p1").no_host = true;  // sessions see what would be sent there
  span("web", {{"p1", Direction::to}}, "m0");
  auto rules = std::make_shared<FilterRules>();
  rules->filter.push_back(*Match::parse("tcp,tp_dst=80").match);
  lab.session("web").rules = rules;
  lab.apply();
  learn(kHere, "p0");
  EXPECT_EQ(eligible(frame().src(kHere).dst(test::kBroadcast).zeros(46)).obstacle, Obstacle::path)
      << "nowhere";
  lab.port("m1").vlan = {};
  lab.apply();
  EXPECT_EQ(eligible(frame().src(kHere).dst(test::kBroadcast).zeros(46)).obstacle, Obstacle::session_needs)
      << "the session may select another frame of the flow";
}

TEST_F(KernelFlowTest, PatchesAreResolved) {
  for (const auto& [name, bridge, peer] : {std::tuple("p01", "br0", "p10"), {"p10", "br1", "p01"}}) {
    PortSpec& port = lab.port(name, bridge);
    port.is_patch = true;
    port.device = nullptr;
    port.patch_peer = peer;
  }
  lab.port("q0", "br1");
  lab.device("q0").pass_for({.ifindex = 90, .is_filtered = true, .takes_frames = true, .takes_copies = true});
  lab.apply();
  learn(kHere, "p0");
  lab.registry.macs("br0")->learn(0, *MacAddr::parse(kThere), number("p01"), lab.now);
  lab.registry.macs("br1")->learn(0, *MacAddr::parse(kThere), number("q0", "br1"), lab.now);
  const Eligibility result = eligible();
  ASSERT_EQ(result.obstacle, Obstacle::none);
  const std::vector<KernelSend> expected{
      {.port = number("p01"), .kind = KernelSend::Kind::crosses, .peer = number("p10", "br1")},
      {.port = number("q0", "br1")}};
  EXPECT_EQ(result.flow->sends, expected);
  ASSERT_EQ(result.flow->hops.size(), 2U);
  EXPECT_EQ(result.flow->hops[0].out, number("p01"));
  EXPECT_EQ(result.flow->hops[1].in, number("p10", "br1"));
  EXPECT_EQ(result.flow->hops[1].out, number("q0", "br1"));
}

TEST_F(KernelFlowTest, MoreGroupPortsThanAListHoldsAreUserSpaces) {
  for (int n = 0; n < FASTPATH_SENDS + 1; ++n) {
    const std::string name = "q" + std::to_string(n);
    lab.port(name);
    lab.device(name).pass_for({.ifindex = 100 + n, .is_filtered = true, .takes_frames = true});
  }
  lab.apply();
  EXPECT_EQ(eligible(frame().src(kHere).dst(test::kBroadcast)).obstacle, Obstacle::many_ports);
}

TEST_F(KernelFlowTest, TagsAreAddedRemovedAndChanged) {
  lab.port("p0").vlan.mode = VlanMode::access;
  lab.port("p0").vlan.tag = 10;
  lab.apply();
  learn(kHere, "p0", 10);
  learn(kThere, "p1", 10);
  const Eligibility out = eligible();
  ASSERT_TRUE(out.flow);
  EXPECT_EQ(out.flow->sends.front().tag, 0x8100000aU);
  EXPECT_EQ(out.flow->hops.front().vlan, 10);
  const Eligibility back = eligible(frame().src(kThere).dst(kHere).vlan(10, 3), "p1");
  ASSERT_TRUE(back.flow);
  EXPECT_EQ(back.flow->in_tag, 0x8100600aU);
  EXPECT_EQ(back.flow->sends.front().tag, 0U);
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
  EXPECT_EQ(result.flow->copies.sessions.size(), 1U);
}

TEST_F(KernelFlowTest, SamplesAreTakenByTheKernel) {
  auto& session = lab.session("s0");
  session.sources = {{"p0", Direction::both}};
  session.destinations = {"m0"};
  session.sample = 8;
  lab.apply();
  const KernelCopies copies = eligible().flow->copies;
  ASSERT_EQ(copies.sessions.size(), 1U);
  EXPECT_EQ(copies.sessions[0].sample, 8U);
  EXPECT_FALSE(needs_taps(lab.datapath->current()));
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
  EXPECT_EQ(result.flow->copies.copies[0].form, 0U);
  EXPECT_EQ(result.flow->copies.copies[1].form, 0U);
  ASSERT_EQ(result.flow->copies.sessions.size(), 2U);
  EXPECT_TRUE(result.flow->copies.sessions[0].counts);
  EXPECT_FALSE(result.flow->copies.sessions[1].counts) << "it copies nothing that the first does not";
}

using Change = std::function<void(test::DesiredSession&)>;

/// Sessions at p1 that need more than addresses and tag, or do not treat every frame alike.
class SessionsOfUserSpace : public KernelFlowTest {
 protected:
  Eligibility with(const Change& change) {
    lab.sessions().clear();
    span("s0", {{"p1", Direction::to}}, "m0");
    change(lab.session("s0"));
    lab.apply();
    return eligible();
  }
  static std::shared_ptr<FilterRules> rules(const std::string& text) {
    auto rules = std::make_shared<FilterRules>();
    rules->filter.push_back(*Match::parse(text).match);
    return rules;
  }

  const std::vector<std::pair<const char*, Change>> changes{
      {"samples that can be repeated",
       [this](auto& s) {
         s.sample = 2;
         lab.spec.work.sample_seed = 7;
       }},
      {"quota", [](auto& s) { s.quota.packets = 10; }},
      {"snaplen", [](auto& s) { s.snaplen = 64; }},
      {"wire-size segments where another session has GSO packets whole",
       [this](auto&) {
         span("s1", {{"m1"}}, "m0");
         lab.session("s1").gso_packets = GsoPackets::keep;
       }},
      {"wire-size segments where the port does not make them",
       [](auto& s) {
         s.normal_io = true;
         s.gso_packets = GsoPackets::segment;
       }},
      {"a filter, also if it does not select this frame", [](auto& s) { s.rules = rules("tcp"); }},
      {"a port where nobody would know what became of the copy", [this](auto&) {
         lab.device("m0").pass_for({.ifindex = 12, .is_filtered = true, .takes_frames = true});
       }}};
};

TEST_F(SessionsOfUserSpace, KeepTheFlowIfThereAreNoTaps) {
  EXPECT_EQ(with([](auto&) {}).obstacle, Obstacle::none);
  EXPECT_EQ(with([](auto& s) { s.normal_io = true; }).obstacle, Obstacle::none)
      << "as production leaves there";
  EXPECT_EQ(with([](auto& s) { s.gso_packets = GsoPackets::keep; }).obstacle, Obstacle::none)
      << "the device leaves them whole";
  for (const auto& [what, change] : changes)
    EXPECT_EQ(with(change).obstacle, Obstacle::session_needs) << what;
}

TEST_F(SessionsOfUserSpace, GetTheFrameThroughATap) {
  taps = true;
  EXPECT_FALSE(with([](auto&) {}).flow->copies.tapped);
  for (const auto& [what, change] : changes) {
    const Eligibility result = with(change);
    ASSERT_EQ(result.obstacle, Obstacle::none) << what;
    const KernelCopies& copies = result.flow->copies;
    ASSERT_TRUE(copies.tapped) << what;
    EXPECT_TRUE(needs_taps(lab.datapath->current())) << what;
    EXPECT_TRUE(copies.tapped->concerns(lab.datapath->current().session(0))) << what;
    EXPECT_EQ(copies.tapped->in, number("p0"));
    EXPECT_FALSE(copies.sends()) << what;
  }
}

TEST_F(SessionsOfUserSpace, OnlyCertainOnesLoseAFrameThatTheTapHasNoRoomFor) {
  taps = true;
  EXPECT_EQ(with([](auto& s) { s.snaplen = 64; }).flow->copies.tapped->certain.size(), 1U);
  EXPECT_EQ(with([](auto& s) { s.quota.packets = 2; }).flow->copies.tapped->certain.size(), 0U);
  EXPECT_EQ(with([](auto& s) { s.rules = rules("tcp"); }).flow->copies.tapped->certain.size(), 0U);
}

TEST_F(SessionsOfUserSpace, AreNotThoseWithARate) {
  const Eligibility result = with([](auto& s) { s.rate.packets = 10; });
  ASSERT_EQ(result.obstacle, Obstacle::none);
  EXPECT_FALSE(result.flow->copies.tapped);
  ASSERT_EQ(result.flow->copies.sessions.size(), 1U);
  EXPECT_EQ(result.flow->copies.sessions[0].rate, lab.datapath->current().session(0).rate)
      << "the kernel and user space take from the same buckets";
  EXPECT_NE(result.flow->copies.sessions[0].rate, nullptr);
}

TEST_F(SessionsOfUserSpace, LeaveTheOthersToTheKernel) {
  taps = true;
  span("s0", {{"p0"}}, "m0");
  span("s1", {{"p0"}}, "m1");
  lab.session("s1").snaplen = 100;
  lab.apply();
  const Snapshot& snapshot = lab.datapath->current();
  const KernelCopies copies = eligible().flow->copies;
  ASSERT_EQ(copies.copies.size(), 1U);
  EXPECT_EQ(copies.copies[0].port, number("m0"));
  ASSERT_EQ(copies.sessions.size(), 1U);
  EXPECT_EQ(copies.sessions[0].account, snapshot.session(0).counters);
  ASSERT_TRUE(copies.tapped);
  EXPECT_FALSE(copies.tapped->concerns(snapshot.session(0)));
  EXPECT_TRUE(copies.tapped->concerns(snapshot.session(1)));
  EXPECT_EQ(copies.tapped->certain, std::vector{snapshot.session(1).destinations[0].counters});
}

/// Which of two sessions supplies a port, and what is a copy of a copy, is decided with all copies at hand.
TEST_F(SessionsOfUserSpace, TakeThoseAlongThatDependOnThem) {
  taps = true;
  span("s0", {{"p0"}}, "m0");
  span("s1", {{"p0"}}, "m0");
  lab.session("s1").rules = rules("tcp");
  lab.apply();
  ASSERT_TRUE(eligible().flow->copies.tapped);
  EXPECT_TRUE(eligible().flow->copies.tapped->all);
  EXPECT_FALSE(eligible().flow->copies.sends());

  lab.sessions().clear();
  span("s0", {{"p0"}}, "m0");
  span("s1", {{"p0"}}, "m1");
  span("s2", {{"m0", Direction::to}}, "m1");
  lab.session("s2").snaplen = 64;
  lab.apply();
  EXPECT_TRUE(eligible().flow->copies.tapped->all);
}

TEST_F(SessionsOfUserSpace, WhatIsLeftToThemIsTheirCopies) {
  taps = true;
  span("s0", {{"p0"}}, "m0");
  span("s1", {{"p0"}}, "m1");
  lab.session("s1").snaplen = 100;
  lab.apply();
  const Snapshot& snapshot = lab.datapath->current();
  const std::vector<std::uint8_t> bytes = to_there().bytes();
  const Frame frame = parse({.bytes = bytes, .stripped_tag = {}, .offload = {}}).frame;
  const Verdict& verdict = decider.decide(snapshot, number("p0"), frame, lab.now);
  ASSERT_EQ(verdict.copies.size(), 2U);
  const TappedCopies tapped = *eligible().flow->copies.tapped;
  Verdict left;
  left.drop = DropReason::malformed;
  left_to_user(snapshot, verdict, tapped, false, left);
  EXPECT_EQ(left.drop, DropReason::none);
  EXPECT_TRUE(left.sends.empty());
  EXPECT_TRUE(left.learns.empty());
  ASSERT_EQ(left.copies.size(), 1U);
  EXPECT_EQ(left.copies[0].session, 1U);
  ASSERT_EQ(left.selections.size(), 1U);
  EXPECT_EQ(left.selections[0].session, 1U);
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

TEST_F(KernelFlowTest, MoreCopiesThanASetHoldsAreUserSpaces) {
  for (int i = 0; i < FASTPATH_COPIES + 1; ++i) {
    const std::string name = "s" + std::to_string(i);
    auto& session = lab.session(name);
    session.sources = {{"p0", Direction::both}};
    session.destinations = {"m0"};
  }
  lab.apply();
  EXPECT_EQ(eligible().obstacle, Obstacle::many_copies);
  taps = true;
  EXPECT_TRUE(eligible().flow->copies.tapped->all);
  taps = false;
  lab.sessions().pop_back();
  lab.apply();
  EXPECT_EQ(eligible().obstacle, Obstacle::none);
}

}  // namespace
}  // namespace vswitch::fastpath
