// SPDX-License-Identifier: Apache-2.0
// A change compiles the bridges that it concerns, and the result is the same as if all were compiled.
#include "datapath/snapshot/compile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>
#include <string>

#include "tests/support/switch_lab.h"

namespace vswitch {
namespace {

using test::DesiredSession;
using test::SwitchLab;

/// Names of the bridges that the last apply() compiled.
class Compiled {
 public:
  explicit Compiled(SwitchLab& lab) : lab_(lab) {}

  std::set<std::string> by_apply() {
    const auto before = lab_.datapath->current().bridges;  // shared: none can be made at the same address
    lab_.apply();
    std::set<std::string> names;
    for (const auto& bridge : lab_.datapath->current().bridges) {
      if (std::find(before.begin(), before.end(), bridge) == before.end()) names.insert(bridge->name);
    }
    return names;
  }

 private:
  SwitchLab& lab_;
};

using Names = std::set<std::string>;

class Compile : public testing::Test {
 protected:
  Compile() {
    for (const std::string bridge : {"br0", "br1", "br2"}) {
      for (const std::string port : {"-a", "-b", "-c"}) lab.port(bridge + port, bridge);
      add_session("s", bridge);
    }
    lab.apply();
  }
  DesiredSession& add_session(const std::string& name, const std::string& bridge) {
    DesiredSession& session = lab.session(name, bridge);
    session.sources = {{bridge + "-a", Direction::both}};
    session.destinations = {bridge + "-c"};
    return session;
  }
  void add_patch(const std::string& name, const std::string& bridge, const std::string& peer) {
    PortSpec& port = lab.bridge(bridge).ports.emplace_back();
    port.name = name;
    port.is_patch = true;
    port.patch_peer = peer;
  }
  SwitchLab lab;
  Compiled compiled{lab};
};

TEST_F(Compile, AChangeConcernsItsBridge) {
  EXPECT_EQ(compiled.by_apply(), Names{}) << "nothing has changed";
  lab.session("s", "br1").snaplen = 100;
  EXPECT_EQ(compiled.by_apply(), Names{"br1"});
  lab.port("br2-b", "br2").vlan.tag = 7;
  EXPECT_EQ(compiled.by_apply(), Names{"br2"});
  lab.session("s", "br0").enabled = false;
  EXPECT_EQ(compiled.by_apply(), Names{"br0"});
  lab.port("br3-a", "br3");
  EXPECT_EQ(compiled.by_apply(), Names{"br3"});
  lab.spec.bridges.erase(lab.spec.bridges.begin());
  EXPECT_EQ(compiled.by_apply(), Names{});
}

TEST_F(Compile, RulesAreComparedByWhatTheySay) {
  const auto rules = [](const char* text) {
    FilterRules made;
    made.filter = {*Match::parse(text).match};
    return std::make_shared<const FilterRules>(std::move(made));
  };
  lab.session("s", "br1").rules = rules("tcp");
  EXPECT_EQ(compiled.by_apply(), Names{"br1"});
  lab.session("s", "br1").rules = rules("tcp");
  EXPECT_EQ(compiled.by_apply(), Names{});
  lab.session("s", "br1").rules = rules("udp");
  EXPECT_EQ(compiled.by_apply(), Names{"br1"});
}

TEST_F(Compile, APatchConcernsBothBridges) {
  add_patch("to1", "br0", "to0");
  EXPECT_EQ(compiled.by_apply(), Names{"br0"}) << "its peer does not exist yet";
  add_patch("to0", "br1", "to1");
  EXPECT_EQ(compiled.by_apply(), (Names{"br0", "br1"}));
  lab.port("to0", "br1").vlan = {.mode = VlanMode::access, .tag = 5};
  EXPECT_EQ(compiled.by_apply(), (Names{"br0", "br1"})) << "an output VLAN of br0 may not pass any more";
  lab.port("br1-b", "br1").vlan.tag = 7;
  EXPECT_EQ(compiled.by_apply(), Names{"br1"});
}

TEST_F(Compile, SessionsKeepTheirPlaceUntilThereAreTooMany) {
  const auto first = [this](std::size_t bridge) {
    return lab.datapath->current().bridges[bridge]->first_session;
  };
  const std::array before{first(0), first(1), first(2)};
  for (int i = 0; i < 9; ++i) add_session("more" + std::to_string(i), "br0");
  EXPECT_EQ(compiled.by_apply(), Names{"br0"});
  EXPECT_EQ(first(1), before[1]);
  EXPECT_EQ(first(2), before[2]);
  std::set<std::string> ids;
  for (const CompiledSession* session : lab.datapath->current().sessions) {
    if (session == nullptr) continue;
    EXPECT_TRUE(ids.insert(session->id).second) << session->id;
  }
  EXPECT_EQ(ids.size(), 12U);
}

TEST_F(Compile, ASessionThatMovesToAnotherBridgeKeepsItsCounters) {
  lab.inject("br0-a", test::frame());
  lab.run();
  const auto counters = lab.registry.session("br0/s")->counters;
  DesiredSession moved = lab.session("s", "br0");
  lab.sessions("br0").clear();
  moved.sources = {{"br1-a", Direction::both}};
  moved.destinations = {"br1-b"};
  lab.sessions("br1").push_back(moved);
  EXPECT_EQ(compiled.by_apply(), (Names{"br0", "br1"}));
  ASSERT_NE(lab.registry.session("br0/s"), nullptr);
  EXPECT_EQ(lab.registry.session("br0/s")->counters, counters);
  lab.sessions("br1").clear();
  lab.apply();
  EXPECT_EQ(lab.registry.session("br0/s"), nullptr);
}

/// Settings of three bridges that change at random. A switch that lived through all changes sends the same as
/// one that has just started.
class RandomSettings {
 public:
  explicit RandomSettings(std::uint64_t seed) : random_(seed) {}

  void change() {
    const std::string bridge = "br" + std::to_string(below(3));
    switch (below(5)) {
      case 0:
        ports_[bridge][some_port(bridge)] = below(2) ? VlanPolicy{} : access(static_cast<VlanId>(below(3)));
        break;
      case 1:
        ports_[bridge].erase(some_port(bridge));
        break;
      case 2:
        patches_ ^= std::size_t{1} << below(4);
        break;
      case 3:
        sessions_[bridge].erase("s" + std::to_string(below(5)));
        break;
      default:
        sessions_[bridge]["s" + std::to_string(below(5))] = session(bridge);
    }
  }

  void write_into(SwitchLab& lab) const {
    for (const std::string bridge : {"br0", "br1", "br2"}) {
      lab.bridge(bridge).ports.clear();
      lab.sessions(bridge).clear();
    }
    for (const auto& [bridge, ports] : ports_) {
      for (const auto& [name, vlan] : ports) {
        PortSpec& port = lab.port(name, bridge);
        port.device = lab.shared_device(name);
        port.vlan = vlan;
      }
    }
    // Four ends of patches: br0-br1, br1-br2. In a loop the limits would decide, in an order that is not ours.
    for (std::size_t end = 0; end < 4; ++end) {
      if ((patches_ & std::size_t{1} << end) == 0) continue;
      PortSpec& port = lab.bridge("br" + std::to_string((end + 1) / 2)).ports.emplace_back();
      port.name = "patch" + std::to_string(end);
      port.is_patch = true;
      port.patch_peer = "patch" + std::to_string(end ^ 1);
    }
    for (const auto& [bridge, sessions] : sessions_) {
      for (const auto& [name, settings] : sessions)
        static_cast<SessionSpec&>(lab.session(name, bridge)) = named(settings, name, bridge);
    }
  }

  /// Empty if there is no port.
  std::string some_receiver() {
    std::vector<std::string> all;
    for (const auto& [bridge, ports] : ports_) {
      for (const auto& [name, vlan] : ports) all.push_back(name);
    }
    return all.empty() ? "" : all[below(all.size())];
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }
  static VlanPolicy access(VlanId vlan) { return {.mode = VlanMode::access, .tag = vlan}; }
  std::string some_port(const std::string& bridge) { return bridge + "-" + std::to_string(below(4)); }
  SessionSpec session(const std::string& bridge) {
    SessionSpec session;
    session.sources = {{some_port(bridge), static_cast<Direction>(below(3))}};
    session.all_ports = below(4) == 0;
    if (below(3) == 0) session.vlans = {static_cast<VlanId>(below(3))};
    if (below(3) == 0) {
      session.tags.output_vlan = static_cast<VlanId>(100 + below(2));
    } else {
      session.destinations = {below(4) == 0 ? "patch" + std::to_string(below(4)) : some_port(bridge)};
    }
    session.normal_io = below(2) == 0;
    session.snaplen = below(2) == 0 ? kWholeFrame : 40 + below(20);
    return session;
  }
  static SessionSpec named(SessionSpec session, const std::string& name, const std::string& bridge) {
    session.id = bridge + "/" + name;
    session.name = name;
    return session;
  }

  std::mt19937_64 random_;
  std::map<std::string, std::map<std::string, VlanPolicy>> ports_;
  std::map<std::string, std::map<std::string, SessionSpec>> sessions_;
  std::size_t patches_ = 0;
};

/// Frames flood in the order of port numbers, and numbers depend on the past.
test::Sent in_any_order(test::Sent sent) {
  for (auto& [port, frames] : sent)
    std::sort(frames.begin(), frames.end(),
              [](const MemoryFrame& a, const MemoryFrame& b) { return a.bytes < b.bytes; });
  return sent;
}

TEST(CompileProperty, ASwitchThatChangedIsLikeOneThatStarted) {
  std::size_t copies = 0, kept = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomSettings settings(seed);
    SwitchLab changed;
    for (int round = 0; round < 60; ++round) {
      settings.change();
      settings.write_into(changed);
      const std::size_t compiled = Compiled(changed).by_apply().size();
      if (compiled < 3) ++kept;
      SwitchLab started;
      settings.write_into(started);
      started.apply();
      const std::string port = settings.some_receiver();
      if (port.empty()) continue;
      for (const VlanId vlan : {VlanId{0}, VlanId{1}, VlanId{100}}) {
        auto frame = test::frame().dst("ff:ff:ff:ff:ff:ff");
        if (vlan != 0) frame.vlan(vlan);
        changed.inject(port, frame);
        started.inject(port, frame);
        const std::string text = test::difference(in_any_order(started.run()), in_any_order(changed.run()));
        ASSERT_EQ(text, "") << "round " << round << ", into " << port;
      }
    }
    for (const CompiledSession* session : changed.datapath->current().sessions) {
      if (session == nullptr) continue;
      copies += session->counters->sum([](const SessionCell& cell) { return cell.frames.read(); });
    }
  }
  EXPECT_GT(copies, 100U) << "the settings copy too little to show anything";
  EXPECT_GT(kept, 500U) << "hardly a bridge was kept";
}

}  // namespace
}  // namespace vswitch
