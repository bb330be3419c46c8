// SPDX-License-Identifier: Apache-2.0
// Random bridges, sessions and frames: what explain says before a frame arrives is what the worker and the
// mirror thread then do with it, to the byte.
//
// VSWITCH_PAIRS is how many frames (100,000; a tenth with sanitizers), VSWITCH_SEED where to start. A failure
// prints the seed of its configuration, with which VSWITCH_PAIRS=20 shows it alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "switchd/bridge/explain.h"
#include "tests/support/switch_lab.h"

namespace vswitch {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kPairs = 10'000;
#else
constexpr std::uint64_t kPairs = 100'000;
#endif
constexpr std::uint64_t kFramesPerSwitch = 20;  // as many as it takes to have addresses learned

std::uint64_t from_environment(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <typename List>
  const auto& of(const List& list) {
    return *(std::begin(list) + static_cast<std::ptrdiff_t>(below(std::size(list))));
  }

 private:
  std::mt19937_64 engine_;
};

constexpr VlanId kVlans[] = {0, 10, 20, 900, 4095};

VlanSet some_vlans(Random& random) {
  VlanSet vlans;
  if (random.one_in(2)) return vlans.set();
  for (const VlanId vlan : kVlans) {
    if (random.one_in(2)) vlans.set(vlan);
  }
  return vlans;
}

VlanPolicy vlan_policy(Random& random) {
  constexpr VlanMode kModes[] = {VlanMode::trunk, VlanMode::access, VlanMode::native_tagged,
                                 VlanMode::native_untagged, VlanMode::dot1q_tunnel};
  if (random.one_in(3)) return {};
  return {.mode = random.of(kModes),
          .tag = kVlans[random.below(4)],
          .trunks = some_vlans(random),
          .cvlans = some_vlans(random),
          .qinq_ethtype = random.one_in(2) ? kTpid8021ad : kTpid8021Q,
          .priority_tags = static_cast<PriorityTags>(random.below(3))};
}

/// Two bridges of some ports, with sessions of every kind; often a patch between them.
class RandomSwitch {
 public:
  explicit RandomSwitch(std::uint64_t seed) : random_(seed) {
    for (const char* bridge : {"br0", "br1"}) add_bridge(bridge);
    if (random_.one_in(2)) add_patch();
    for (int i = 0; i < 6; ++i) add_session("s" + std::to_string(i), random_.one_in(4) ? "br1" : "br0");
    lab_.apply();
  }

  /// Explained, sent, compared. Returns how many copies there were.
  std::size_t check_frame();

 private:
  void add_bridge(const std::string& name);
  void add_patch();
  void add_session(const std::string& name, const std::string& bridge);
  void choose_destinations(SessionSpec& session, const std::string& bridge);
  std::string some_port(const std::string& bridge);
  MemoryFrame frame();
  std::string payload();
  /// Copies each session is asked for and has delivered, by session and port.
  struct Account {
    std::map<std::string, std::uint64_t> matched, delivered;
  };
  Account account();
  /// Copies over a patch are in the account of the patch port, wherever they leave then.
  std::string destination(const std::string& session, const std::string& port) const {
    return is_patched_ ? session : session + " to " + port;
  }

  Random random_;
  test::SwitchLab lab_;
  std::map<std::string, std::vector<std::string>> ports_;  ///< of each bridge
  std::vector<std::string> receiving_;
  bool is_patched_ = false;
};

void RandomSwitch::add_bridge(const std::string& name) {
  test::SwitchLab& lab = lab_;
  lab.bridge(name).forward_bpdu = random_.one_in(2);
  lab.bridge(name).secure = random_.one_in(20);
  if (random_.one_in(3)) lab.bridge(name).flood_vlans = {random_.of(kVlans)};
  const std::size_t count = name == "br0" ? 6 : 3;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string port_name = (name == "br0" ? "p" : "q") + std::to_string(i);
    PortSpec& port = lab.port(port_name, name);
    port.vlan = vlan_policy(random_);
    port.is_protected = random_.one_in(4);
    ports_[name].push_back(port_name);
    if (random_.one_in(12)) {
      port.device = nullptr;
    } else if (random_.one_in(12)) {
      port.link_up = false;  // what the device then says, and what explain knows of it
      lab.device(port_name).set_outcome(DropReason::link_down);
    } else if (name == "br0") {
      receiving_.push_back(port_name);
    }
  }
}

void RandomSwitch::add_patch() {
  is_patched_ = true;
  for (const auto& [name, bridge, peer] :
       {std::tuple{"to1", "br0", "to0"}, std::tuple{"to0", "br1", "to1"}}) {
    PortSpec& port = lab_.bridge(bridge).ports.emplace_back();
    port.name = name;
    port.is_patch = true;
    if (!random_.one_in(10)) port.patch_peer = peer;
    port.vlan = vlan_policy(random_);
    ports_[bridge].push_back(name);
  }
}

std::string RandomSwitch::some_port(const std::string& bridge) {
  return random_.one_in(15) ? "nowhere" : random_.of(ports_[bridge]);
}

void RandomSwitch::choose_destinations(SessionSpec& session, const std::string& bridge) {
  if (random_.one_in(3)) {
    session.tags = {.output_vlan = random_.one_in(2) ? VlanId{900} : VlanId{10},
                    .keep_vlan = random_.one_in(2)};
    if (random_.one_in(2)) return;  // every port that carries it
  } else {
    session.tags.strip_vlan = random_.one_in(3);
  }
  for (std::size_t left = 1 + random_.below(3); left > 0; --left) {
    const std::string port = some_port(bridge);
    const auto& chosen = session.destinations;
    if (std::find(chosen.begin(), chosen.end(), port) == chosen.end()) session.destinations.push_back(port);
  }
}

void RandomSwitch::add_session(const std::string& name, const std::string& bridge) {
  bridge::DesiredSession& session = lab_.session(name, bridge);
  session.enabled = !random_.one_in(10);
  session.normal_io = !random_.one_in(3);
  if (random_.one_in(5)) {
    session.all_ports = true;
  } else {
    for (std::size_t left = 1 + random_.below(3); left > 0; --left)
      session.sources.push_back({some_port(bridge), static_cast<Direction>(random_.below(3))});
  }
  for (const VlanId vlan : kVlans) {
    if (random_.one_in(6)) session.vlans.push_back(vlan);
  }
  choose_destinations(session, bridge);
  if (random_.one_in(3)) session.snaplen = 14 + random_.below(80);
  constexpr const char* kMatches[] = {
      "tcp",        "tcp,tp_dst=80",  "udp,tp_src=1000-2000",     "arp",
      "dl_vlan=10", "dl_vlan=0xffff", "dl_dst=ff:ff:ff:ff:ff:ff", "ip,nw_src=10.0.0.0/9"};
  if (random_.one_in(2)) {
    FilterRules rules;
    for (std::size_t left = random_.below(3); left > 0; --left)
      rules.filter.push_back(*Match::parse(random_.of(kMatches)).match);
    for (std::size_t left = random_.below(2); left > 0; --left)
      rules.skip.push_back(*Match::parse(random_.of(kMatches)).match);
    session.rules = std::make_shared<const FilterRules>(std::move(rules));
  }
  if (random_.one_in(20)) session.refusal = "cannot be honoured";
}

/// IPv4 with TCP or UDP, or just something.
std::string RandomSwitch::payload() {
  const auto number = [this](std::size_t below) { return static_cast<char>(random_.below(below)); };
  if (random_.one_in(3)) return std::string(random_.below(80), 'x');
  std::string ip = {0x45, 0, 0, 48, 0, 1, 0, 0, 64, random_.one_in(2) ? '\x06' : '\x11', 0, 0};
  ip += {10, number(255), 0, 1, 10, 0, 0, 2};
  ip += random_.one_in(2) ? std::string{4, '\xd2', 0, 80} : std::string{number(8), 1, number(8), 2};
  return ip + std::string(24, '\x50');
}

MemoryFrame RandomSwitch::frame() {
  constexpr const char* kDestinations[] = {"02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03",
                                           "02:00:00:00:00:04", "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01",
                                           "01:80:c2:00:00:00", "01:80:c2:00:00:0e", "01:80:c2:00:00:21"};
  test::FrameBuilder frame;
  frame.src(random_.one_in(20) ? "33:33:00:00:00:01" : kDestinations[random_.below(4)]);
  frame.dst(random_.of(kDestinations));
  for (std::size_t tags = random_.below(4); tags > 1; --tags) {
    frame.vlan(random_.of(kVlans), static_cast<std::uint8_t>(random_.below(8)),
               random_.one_in(3) ? kTpid8021ad : kTpid8021Q);
    if (random_.one_in(4)) frame.dei();
  }
  constexpr std::uint16_t kTypes[] = {0x0800, 0x0800, 0x0806, 0x88b5, 0x8100, 60};
  MemoryFrame made = frame.ether_type(random_.of(kTypes)).text(payload()).build();
  if (random_.one_in(15)) made.bytes.resize(random_.below(made.bytes.size()));
  return made;
}

RandomSwitch::Account RandomSwitch::account() {
  Account account;
  for (const BridgeSpec& bridge : lab_.spec.bridges) {
    for (const bridge::DesiredSession& session : lab_.sessions(bridge.name)) {
      const auto* entry = lab_.registry.session(session.id);
      if (entry == nullptr) continue;
      for (const auto& [port, counters] : entry->destinations) {
        account.matched[session.name] +=
            counters->sum([](const DestinationCell& cell) { return cell.matched.read(); });
        account.delivered[destination(session.name, port)] +=
            counters->sum([](const DestinationCell& cell) { return cell.delivered.read(); });
      }
    }
  }
  return account;
}

std::size_t RandomSwitch::check_frame() {
  if (receiving_.empty()) return 0;
  if (random_.one_in(10)) lab_.now += 200 * kSecondNs;  // some addresses grow too old
  const std::string in = random_.of(receiving_);
  const MemoryFrame sent = frame();
  SCOPED_TRACE("into " + in + ": " + test::describe(sent));
  const Snapshot& snapshot = lab_.datapath->current();
  const auto is_in = [&in](const PortConfig* port) { return port != nullptr && port->name == in; };
  const auto& config = **std::find_if(snapshot.ports.begin(), snapshot.ports.end(), is_in);
  const auto said =
      bridge::explain(snapshot, config, lab_.sessions(), lab_.statuses, sent.bytes, lab_.now, {});
  Account before = account();
  lab_.inject(in, sent);
  const test::Sent left = lab_.run();
  Account after = account();

  test::Sent expected;
  for (const auto& output : said.outputs) {
    if (output.port != "to1" && output.port != "to0") expected[output.port].push_back({output.frame, {}});
  }
  for (const auto& copy : said.copies) {
    expected[copy.port].push_back({copy.frame, {}});
    ++before.delivered[destination(copy.session, copy.port)];
  }
  EXPECT_EQ(test::difference(expected, left), "");
  EXPECT_EQ(before.delivered, after.delivered) << "which session copied to which port";
  for (const auto& verdict : said.mirrors) {
    EXPECT_EQ(verdict.copied, after.matched[verdict.session] != before.matched[verdict.session])
        << verdict.session << ": " << verdict.reason;
  }
  return said.copies.size();
}

TEST(ExplainProperty, WhatIsSaidIsWhatHappens) {
  const std::uint64_t pairs = from_environment("VSWITCH_PAIRS", kPairs);
  const std::uint64_t first = from_environment("VSWITCH_SEED", 1);
  std::uint64_t copies = 0;
  for (std::uint64_t seed = first; seed < first + (pairs + kFramesPerSwitch - 1) / kFramesPerSwitch; ++seed) {
    SCOPED_TRACE("VSWITCH_SEED=" + std::to_string(seed));
    RandomSwitch random(seed);
    for (std::uint64_t i = 0; i < kFramesPerSwitch; ++i) copies += random.check_frame();
    if (testing::Test::HasFailure()) return;  // the first one says enough
  }
  EXPECT_GT(copies, pairs / 4) << "switches that copy little show little";
}

}  // namespace
}  // namespace vswitch
