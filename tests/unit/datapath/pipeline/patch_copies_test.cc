// SPDX-License-Identifier: Apache-2.0
// Copies that leave by a patch port: frames in the peer's bridge, and copies in the account of their session.
#include <gtest/gtest.h>

#include "tests/support/switch_lab.h"

namespace vswitch::test {
namespace {

const std::string kA = "02:00:00:00:00:0a";
const std::string kB = "02:00:00:00:00:0b";
constexpr VlanId kRspan = 900;
using Account = SwitchLab::Account;

/// br0 with p1 and p2, br1 with q1, q2 and m, a patch between them.
class PatchCopies : public ::testing::Test {
 protected:
  PatchCopies() {
    for (const char* name : {"p1", "p2"}) lab.port(name);
    for (const char* name : {"q1", "q2", "m"}) lab.port(name, "br1");
    join("to1", "br0", "to0", "br1");
    lab.apply();
  }
  void join(const std::string& one, const std::string& bridge, const std::string& other,
            const std::string& peer_bridge) {
    patch(one, bridge).patch_peer = other;
    patch(other, peer_bridge).patch_peer = one;
  }
  PortSpec& patch(const std::string& name, const std::string& bridge) {
    for (PortSpec& port : lab.bridge(bridge).ports) {
      if (port.name == name) return port;
    }
    PortSpec& port = lab.bridge(bridge).ports.emplace_back();
    port.name = name;
    port.is_patch = true;
    return port;
  }
  SessionSpec& span(const std::string& name, std::vector<SourceSpec> sources,
                    std::vector<std::string> destinations, const std::string& bridge = "br0") {
    SessionSpec& session = lab.session(name, bridge);
    session.sources = std::move(sources);
    session.destinations = std::move(destinations);
    return session;
  }
  std::uint64_t frames_of(const std::string& id) {
    return lab.registry.session(id)->counters->sum(
        [](const SessionCell& cell) { return cell.frames.read(); });
  }
  std::uint64_t crossed(const std::string& port, const std::string& bridge) {
    return lab.registry.port_counters(bridge, port)->sum([](const PortCell& cell) {
      return cell.copies_sent.read();
    });
  }
  SwitchLab lab;
  const MemoryFrame broadcast = frame().src(kA).dst(kBroadcast).text("bc");
  const MemoryFrame a_to_b = frame().src(kA).dst(kB).text("ab");
};

TEST_F(PatchCopies, ArePlainFramesInThePeersBridge) {
  span("s", {{"p1", Direction::from}}, {"to1"});
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active) << lab.status("s").reason;
  lab.expect("p1", broadcast,
             {{"p2", {broadcast}}, {"q1", {broadcast}}, {"q2", {broadcast}}, {"m", {broadcast}}},
             "the patch carries copies only, and the peer floods them");
  EXPECT_EQ(lab.account("s", "to1"), (Account{3, 3, 0})) << "one for each port that they left by";
  EXPECT_EQ(lab.frames_of("s"), 1U);
  EXPECT_EQ(crossed("to1", "br0"), 1U);
  EXPECT_EQ(lab.addresses("br1"), 1U) << "learned, as from any frame";
  lab.inject("q1", frame().src(kB).dst(kBroadcast));
  EXPECT_FALSE(lab.run().contains("p1")) << "the patch is reserved for copies";
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}, {"q1", {a_to_b}}}, "forwarded to the one port where B is");
  EXPECT_EQ(lab.account("s", "to1"), (Account{4, 4, 0}));
}

TEST_F(PatchCopies, OfAnOutputVlanLeaveOnEveryPortThatCarriesIt) {
  lab.port("p1").vlan = {.mode = VlanMode::access, .tag = 10};
  lab.port("p2").vlan = {.mode = VlanMode::access, .tag = 10};
  lab.port("q1", "br1").vlan = {.mode = VlanMode::access, .tag = kRspan};
  for (const char* name : {"q2", "m"}) lab.port(name, "br1").vlan = {.mode = VlanMode::access, .tag = 20};
  span("s", {{"p1", Direction::from}}, {}).tags.output_vlan = kRspan;
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active) << lab.status("s").reason;
  lab.expect("p1", broadcast, {{"p2", {broadcast}}, {"q1", {broadcast}}});
  EXPECT_EQ(lab.account("s", "to1"), (Account{1, 1, 0}));
  patch("to0", "br1").vlan.trunks = VlanSet().set(10);
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::active) << "the near end carries it";
  lab.expect("p1", broadcast, {{"p2", {broadcast}}}, "the far end does not admit the VLAN: not a way for it");
  EXPECT_EQ(lab.account("s", "to1"), (Account{1, 1, 0}));
}

TEST_F(PatchCopies, AreNoProductionFramesOfThePeersOutputVlan) {
  span("near", {{"p1", Direction::from}}, {"to1"}).tags.output_vlan = kRspan;
  span("far", {{"q2", Direction::from}}, {"q1"}, "br1").tags.output_vlan = kRspan;
  lab.apply();
  lab.inject("p1", broadcast);
  lab.run();
  EXPECT_EQ(lab.registry.session("br1/far")->foreign->sum([](const Counter& count) { return count.read(); }),
            0U);
}

TEST_F(PatchCopies, AreMirroredThereByTheNormalRules) {
  span("near", {{"p1", Direction::from}}, {"to1"});
  span("from", {{"to0", Direction::from}}, {"m"}, "br1");
  lab.apply();
  lab.expect("p1", broadcast,
             {{"p2", {broadcast}}, {"q1", {broadcast}}, {"q2", {broadcast}}, {"m", {broadcast}}});
  EXPECT_EQ(frames_of("br1/from"), 1U);
  EXPECT_EQ(lab.account("near", "to1"), (Account{2, 2, 0})) << "m carries only copies of the other session";
  lab.session("from", "br1").sources = {{"q2", Direction::to}};
  lab.apply();
  lab.expect("p1", broadcast,
             {{"p2", {broadcast}}, {"q1", {broadcast}}, {"q2", {broadcast}}, {"m", {broadcast}}});
  EXPECT_EQ(frames_of("br1/from"), 2U);
}

TEST_F(PatchCopies, AreFramesBesideThoseTheyWereMadeOf) {
  span("near", {{"p1", Direction::from}}, {"to1"}).tags.output_vlan = kRspan;
  span("all", {{"to0", Direction::from}}, {"m"}, "br1");
  lab.apply();
  const MemoryFrame copy = frame().src(kA).dst(kBroadcast).vlan(kRspan).text("bc");
  lab.expect(
      "p1", broadcast,
      {{"p2", {broadcast}}, {"q1", {broadcast, copy}}, {"q2", {broadcast, copy}}, {"m", {copy, broadcast}}},
      "both came over the patch, so the session there copies both");
  EXPECT_EQ(frames_of("br1/all"), 2U);
}

TEST_F(PatchCopies, ThatGetNowhereAreLostForAReason) {
  SessionSpec& session = span("s", {{"p1", Direction::from}}, {"to1"});
  session.normal_io = true;
  const auto lost = [this](const MemoryFrame& sent, DropReason reason) {
    const std::uint64_t before = lab.lost("s", "to1", reason);
    lab.inject("p1", sent);
    lab.run();
    const Account account = lab.account("s", "to1");
    EXPECT_EQ(account.matched, account.delivered + account.lost);
    return lab.lost("s", "to1", reason) - before;
  };
  lab.bridge("br1").secure = true;
  lab.apply();
  EXPECT_EQ(lost(broadcast, DropReason::secure_mode), 1U);
  lab.bridge("br1").secure = false;
  patch("to0", "br1").vlan.trunks = VlanSet().set(10);
  lab.apply();
  EXPECT_EQ(lost(broadcast, DropReason::vlan_not_admitted), 1U);
  EXPECT_EQ(lab.received_drops("to0", DropReason::vlan_not_admitted, "br1"), 2U) << "the frame, and its copy";
  EXPECT_EQ(lost(frame().src(kA).dst(kBroadcast).vlan(10), DropReason::none), 0U);
  patch("to0", "br1").vlan = {};
  for (const char* name : {"q1", "q2", "m"}) lab.port(name, "br1").vlan.trunks = VlanSet().set(20);
  lab.apply();
  EXPECT_EQ(lost(broadcast, DropReason::no_recipient), 1U);
  EXPECT_EQ(lost(frame().src(kA).dst("01:80:c2:00:00:00"), DropReason::reserved_multicast), 1U);
  patch("to0", "br1").patch_peer = "elsewhere";
  lab.apply();
  EXPECT_EQ(lab.status("s").state, SessionState::waiting);
  EXPECT_EQ(lab.status("s").reason, "destination: patch port to1 has no peer that points back");
  EXPECT_EQ(lost(broadcast, DropReason::patch_unconnected), 1U);
}

TEST_F(PatchCopies, OnAHostsOwnSideAreLost) {
  span("s", {{"p1", Direction::from}}, {"to1"}).normal_io = true;
  lab.apply();
  lab.inject("p1", broadcast);  // br1 learns A behind the patch
  lab.run();
  lab.inject("p2", frame().src(kB).dst(kBroadcast));
  lab.run();
  lab.expect("p1", a_to_b, {{"p2", {a_to_b}}}, "br1 knows B behind the patch as well");
  EXPECT_EQ(lab.lost("s", "to1", DropReason::hairpin), 1U);
}

TEST_F(PatchCopies, GoRoundOnceAndNotForEver) {
  span("there", {{"p1", Direction::from}, {"to1", Direction::from}}, {"to1"}).normal_io = true;
  span("back", {{"to0", Direction::from}}, {"to0"}, "br1").normal_io = true;
  lab.apply();
  lab.inject("p1", broadcast);
  const Sent sent = lab.run();
  // The frame, the copy of it by "there", and what "back" sends back of each.
  EXPECT_EQ(sent.at("q1").size(), 2U + 1U)
      << "what came back as a copy of the frame is copied by \"there\" again";
  EXPECT_EQ(sent.at("p2").size(), 1U + 2U);
  for (const auto& [id, destination] : {std::pair("br0/there", "to1"), std::pair("br1/back", "to0")}) {
    const auto& counters = *lab.registry.session(id)->destinations.at(destination);
    EXPECT_EQ(counters.sum([](const DestinationCell& cell) { return cell.matched.read(); }),
              counters.sum([](const DestinationCell& cell) { return cell.delivered.read(); }))
        << id;
  }
}

TEST_F(PatchCopies, OfBridgesJoinedManyTimesEnd) {
  for (int i = 0; i < 4; ++i) join("a" + std::to_string(i), "br0", "b" + std::to_string(i), "br1");
  for (int i = 0; i < 3; ++i) {
    const std::string n = std::to_string(i);
    span("s" + n, {{"p1", Direction::from}, {"a" + n, Direction::both}}, {"a" + n, "to1"}).normal_io = true;
    span("t" + n, {{"b" + n, Direction::both}}, {"b3", "to0"}, "br1").normal_io = true;
  }
  lab.apply();
  lab.inject("p1", broadcast);
  const Sent sent = lab.run();
  EXPECT_LE(sent.at("q1").size(), 4096U);
  for (int i = 0; i < 3; ++i) {
    for (const auto& [name, counters] : lab.registry.session("br0/s" + std::to_string(i))->destinations) {
      const auto lost = counters->sum([](const DestinationCell& cell) {
        std::uint64_t total = 0;
        for (const Counter& count : cell.lost) total += count.read();
        return total;
      });
      EXPECT_EQ(counters->sum([](const DestinationCell& cell) { return cell.matched.read(); }),
                lost + counters->sum([](const DestinationCell& cell) { return cell.delivered.read(); }));
    }
  }
}

TEST_F(PatchCopies, ThatAreLeftOutHaveNeverBeenThere) {
  SessionSpec& session = span("s", {{"p1", Direction::from}}, {"to1"});
  session.rate.packets = 1;
  span("nested", {{"to0", Direction::from}}, {"m"}, "br1");
  lab.apply();
  lab.inject("p1", broadcast);
  lab.run();
  const MemoryFrame other = frame().src("02:00:00:00:00:0c").dst(kBroadcast);
  lab.expect("p1", other, {{"p2", {other}}});
  EXPECT_EQ(lab.lost("s", "to1", DropReason::rate_limited), 2U) << "of q1 and q2";
  EXPECT_EQ(lab.account("s", "to1"), (Account{4, 2, 2}));
  EXPECT_EQ(frames_of("br1/nested"), 1U) << "nobody there has seen the second";
  EXPECT_EQ(lab.addresses("br1"), 1U);
  EXPECT_EQ(crossed("to1", "br0"), 1U);
}

TEST_F(PatchCopies, OfTwoSessionsCrossOnceByTheFirstThatCopies) {
  span("s1", {{"p1", Direction::from}}, {"to1"}).rate.packets = 1;
  span("s2", {{"p1", Direction::from}}, {"to1"});
  span("nested", {{"to0", Direction::from}}, {"m"}, "br1");
  lab.apply();
  const Sent once = {{"p2", {broadcast}}, {"q1", {broadcast}}, {"q2", {broadcast}}, {"m", {broadcast}}};
  lab.expect("p1", broadcast, once);
  EXPECT_EQ(lab.account("s1", "to1"), (Account{2, 2, 0}));
  EXPECT_EQ(lab.lost("s2", "to1", DropReason::duplicate), 2U);
  lab.expect("p1", broadcast, once, "what the first leaves out, the second copies");
  EXPECT_EQ(lab.lost("s1", "to1", DropReason::rate_limited), 2U);
  EXPECT_EQ(lab.account("s2", "to1"), (Account{4, 2, 2}));
  EXPECT_EQ(frames_of("br1/nested"), 2U);
}

TEST_F(PatchCopies, OfASessionThatStandsInKeepToItsOwnLimits) {
  span("s1", {{"p1", Direction::from}}, {"to1"}).rate.packets = 1;
  span("s2", {{"p1", Direction::from}}, {"to1"}).rate.packets = 1;
  span("nested", {{"to0", Direction::from}}, {"m"}, "br1");
  lab.apply();
  lab.inject("p1", broadcast);
  EXPECT_EQ(lab.run().at("q1").size(), 1U);
  lab.inject("p1", broadcast);
  EXPECT_FALSE(lab.run().contains("q1")) << "the second has used its rate up as well";
  EXPECT_EQ(lab.lost("s2", "to1", DropReason::rate_limited), 2U);
  EXPECT_EQ(frames_of("br1/nested"), 1U) << "what did not cross was not there";
}

TEST_F(PatchCopies, DoNotUseUpThePatchesOfProduction) {
  for (int i = 0; i < 16; ++i) {
    const std::string n = std::to_string(i);
    lab.port("z" + n, "bx" + n);
    join("x" + n, "br1", "y" + n, "bx" + n);
  }
  lab.port("r", "br2");
  join("to2", "br0", "back", "br2");
  for (int i = 0; i < 64; ++i) span("s" + std::to_string(i), {{"p1", Direction::from}}, {"to1"});
  lab.apply();
  lab.inject("p1", broadcast);
  const Sent sent = lab.run();
  EXPECT_EQ(sent.at("r").size(), 1U);
  EXPECT_EQ(sent.at("z15").size(), 1U);
}

TEST_F(PatchCopies, AreCutWhereTheyLeave) {
  span("s", {{"p1", Direction::from}}, {"to1"}).snaplen = 20;
  span("nested", {{"to0", Direction::from}}, {"m"}, "br1");
  lab.port("q2", "br1").vlan = {.mode = VlanMode::native_tagged, .tag = 30};
  lab.port("q1", "br1").vlan = {.mode = VlanMode::access, .tag = 30};
  patch("to0", "br1").vlan = {.mode = VlanMode::access, .tag = 30};
  lab.apply();
  MemoryFrame longer = frame().src(kA).dst(kBroadcast).text("0123456789");
  MemoryFrame cut = longer;
  cut.bytes.resize(20);
  MemoryFrame tagged = frame().src(kA).dst(kBroadcast).vlan(30).text("0123456789");
  tagged.bytes.resize(24);
  lab.expect("p1", longer, {{"p2", {longer}}, {"q1", {cut}}, {"q2", {tagged}}, {"m", {tagged}}},
             "a tag is put before what was cut, and a copy of it is not longer");
  lab.session("s").snaplen = 14;
  patch("to1", "br0").vlan = {.mode = VlanMode::native_tagged, .tag = 30};
  patch("to0", "br1").vlan = {};
  lab.port("p1").vlan = {.mode = VlanMode::access, .tag = 30};
  lab.apply();
  lab.inject("p1", longer);
  lab.run();
  EXPECT_EQ(lab.lost("s", "to1", DropReason::malformed), 1U) << "14 bytes with a tag have no type";
}

}  // namespace
}  // namespace vswitch::test
