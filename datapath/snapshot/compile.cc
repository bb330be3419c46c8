// SPDX-License-Identifier: Apache-2.0
#include "datapath/snapshot/compile.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace vswitch {

namespace {

class Compilation {
 public:
  Compilation(const SwitchSpec& spec, SnapshotRegistry& registry) : spec_(spec), registry_(registry) {}

  std::unique_ptr<Snapshot> run();

 private:
  void add_bridge(const BridgeSpec& bridge);
  PortConfig port_config(const BridgeSpec& bridge, BridgeIndex at, const PortSpec& port) const;
  void connect_patches();
  void add_session(const BridgeSpec& bridge, BridgeIndex at, const SessionSpec& session);
  void add_destinations(const BridgeSpec& bridge, const SessionSpec& session, CompiledSession& config,
                        std::set<PortNo>& ports);
  void add_sources(const BridgeSpec& bridge, BridgeIndex at, const SessionSpec& session,
                   const std::set<PortNo>& destinations);
  void make_flood_lists();
  void add_vlan_destinations();
  bool reaches_peer(const PortConfig& patch, VlanId vlan) const;

  PortNo number_of(const BridgeSpec& bridge, const std::string& port) const {
    const SnapshotRegistry::PortEntry* entry = registry_.port(bridge.name, port);
    return entry == nullptr ? kNoPort : entry->number;
  }
  PortConfig& port(PortNo number) { return snapshot_->ports[index(number)]; }

  const SwitchSpec& spec_;
  SnapshotRegistry& registry_;
  std::unique_ptr<Snapshot> snapshot_ = std::make_unique<Snapshot>();
};

/// Works bridge by bridge, except for steps that need all of them: the ports of all bridges before patches
/// are joined, and all sessions before it is known which ports carry only copies.
std::unique_ptr<Snapshot> Compilation::run() {
  snapshot_->work = spec_.work;
  for (const BridgeSpec& bridge : spec_.bridges) add_bridge(bridge);
  connect_patches();
  for (BridgeIndex b = 0; b < spec_.bridges.size(); ++b) {
    for (const SessionSpec& session : spec_.bridges[b].sessions) {
      if (session.enabled) add_session(spec_.bridges[b], b, session);
    }
  }
  for (PortConfig& port : snapshot_->ports) {
    for (Candidates* candidates : {&port.mirrors_from, &port.mirrors_to, &port.mirrors_of_copies})
      candidates->finish();
  }
  for (BridgeConfig& bridge : snapshot_->bridges)
    std::sort(bridge.output_vlans.begin(), bridge.output_vlans.end());
  make_flood_lists();
  add_vlan_destinations();
  snapshot_->own_copies.finish();
  return std::move(snapshot_);
}

void Compilation::add_bridge(const BridgeSpec& bridge) {
  const auto at = static_cast<BridgeIndex>(snapshot_->bridges.size());
  const SnapshotRegistry::BridgeEntry& entry = *registry_.bridge(bridge.name);
  BridgeConfig& config = snapshot_->bridges.emplace_back(BridgeConfig{.name = bridge.name,
                                                                      .ports = {},
                                                                      .flood_ports = {},
                                                                      .flood_vlans = entry.flood_vlans,
                                                                      .forward_bpdu = bridge.forward_bpdu,
                                                                      .secure = bridge.secure,
                                                                      .macs = entry.macs,
                                                                      .output_vlans = {}});
  for (const PortSpec& port_spec : bridge.ports) {
    PortConfig port = port_config(bridge, at, port_spec);
    config.ports.push_back(port.number);
    snapshot_->ports.resize(std::max<std::size_t>(snapshot_->ports.size(), index(port.number) + 1));
    snapshot_->ports[index(port.number)] = std::move(port);
  }
  std::sort(config.ports.begin(), config.ports.end());
}

PortConfig Compilation::port_config(const BridgeSpec& bridge, BridgeIndex at, const PortSpec& port) const {
  const SnapshotRegistry::PortEntry& entry = *registry_.port(bridge.name, port.name);
  PortConfig config;
  config.number = entry.number;
  config.name = port.name;
  config.bridge = at;
  config.vlan = port.vlan;
  config.is_protected = port.is_protected;
  config.is_patch = port.is_patch;
  config.device = port.device;
  config.endpoint = port.endpoint;
  if (port.endpoint != nullptr) {
    config.own_packets.add(port.endpoint->settings(), port.tunnel_source);
    config.own_packets.finish();
  }
  config.link_up = port.link_up;
  config.counters = entry.counters;
  config.worker = registry_.worker_of(entry.number);
  return config;
}

void Compilation::connect_patches() {
  const std::set<std::string> connected = connected_patches(spec_);
  std::unordered_map<std::string, PortNo> numbers;
  for (const BridgeSpec& bridge : spec_.bridges) {
    for (const PortSpec& port : bridge.ports) {
      if (port.is_patch) numbers[port.name] = number_of(bridge, port.name);
    }
  }
  for (const BridgeSpec& bridge : spec_.bridges) {
    for (const PortSpec& patch : bridge.ports) {
      if (patch.is_patch && connected.contains(patch.name))
        port(numbers.at(patch.name)).patch_peer = numbers.at(patch.patch_peer);
    }
  }
}

void Compilation::add_session(const BridgeSpec& bridge, BridgeIndex at, const SessionSpec& session) {
  const SnapshotRegistry::SessionEntry& entry = *registry_.session(session.id);
  const auto self = static_cast<SessionIndex>(snapshot_->sessions.size());
  CompiledSession config{.id = session.id,
                         .name = session.name,
                         .bridge = at,
                         .select_vlans = session.vlans.empty()
                                             ? nullptr
                                             : std::make_unique<const VlanSet>(to_set(session.vlans)),
                         .rules = session.rules,
                         .tags = session.tags,
                         .snaplen = session.snaplen,
                         .gso_packets = session.gso_packets,
                         .mtu_policy = session.mtu_policy,
                         .sample = session.sample,
                         .rate = entry.rate,
                         .quota = entry.quota,
                         .destinations = {},
                         .counters = entry.counters,
                         .foreign = entry.foreign,
                         .queued_bytes = entry.queued_bytes,
                         .own_copies = &snapshot_->own_copies};
  std::set<PortNo> destinations;
  add_destinations(bridge, session, config, destinations);
  if (config.destinations.empty() && !leaves_in_vlan(session)) return;
  add_sources(bridge, at, session, destinations);
  if (session.tags.output_vlan)
    snapshot_->bridges[at].output_vlans.emplace_back(*session.tags.output_vlan, self);
  snapshot_->sessions.push_back(std::move(config));
}

void Compilation::add_destinations(const BridgeSpec& bridge, const SessionSpec& session,
                                   CompiledSession& config, std::set<PortNo>& ports) {
  for (const std::string& name : session.destinations) {
    const PortNo number = number_of(bridge, name);
    if (number == kNoPort || !ports.insert(number).second) continue;
    const std::shared_ptr<tunnel::TunnelEndpoint>& endpoint = port(number).endpoint;
    if (endpoint != nullptr)
      snapshot_->own_copies.add(endpoint->settings(), find_port(bridge, name)->tunnel_source);
    config.destinations.push_back({.port = number,
                                   .label = {},
                                   .endpoint = endpoint,
                                   .counters = registry_.destination_counters(session.id, name)});
    if (reserves_destinations(session)) port(number).only_copies = true;
  }
  for (const EndpointSpec& endpoint : session.endpoints) {
    if (endpoint.endpoint == nullptr) continue;
    snapshot_->own_copies.add(endpoint.endpoint->settings(), endpoint.source);
    config.destinations.push_back({.port = kNoPort,
                                   .label = endpoint.label,
                                   .endpoint = endpoint.endpoint,
                                   .counters = registry_.destination_counters(session.id, endpoint.name)});
  }
}

/// For the session that is added next.
void Compilation::add_sources(const BridgeSpec& bridge, BridgeIndex at, const SessionSpec& session,
                              const std::set<PortNo>& destinations) {
  const auto self = static_cast<SessionIndex>(snapshot_->sessions.size());
  const auto add_to = [&](Candidates& candidates) {
    candidates.add(self, session.vlans, session.rules.get());
  };
  for (const SourceSpec& source : session.sources) {
    const PortNo number = number_of(bridge, source.port);
    if (number == kNoPort) continue;
    if (source.direction != Direction::to) add_to(port(number).mirrors_from);
    if (source.direction != Direction::from) {
      add_to(port(number).mirrors_to);
      add_to(port(number).mirrors_of_copies);
    }
  }
  if (!session.all_ports) return;
  for (const PortNo number : snapshot_->bridges[at].ports) {
    if (destinations.contains(number)) continue;
    add_to(port(number).mirrors_from);
    add_to(port(number).mirrors_to);
  }
}

void Compilation::make_flood_lists() {
  for (BridgeConfig& bridge : snapshot_->bridges) {
    std::copy_if(bridge.ports.begin(), bridge.ports.end(), std::back_inserter(bridge.flood_ports),
                 [this](PortNo number) { return !port(number).only_copies; });
  }
}

/// The copies of an output VLAN leave on every port that carries it. Which ports remain for that is known
/// only when all sessions have taken theirs.
void Compilation::add_vlan_destinations() {
  for (CompiledSession& session : snapshot_->sessions) {
    if (!session.tags.output_vlan || !session.destinations.empty()) continue;  // sessions with endpoints too
    for (const PortNo number : snapshot_->bridges[session.bridge].flood_ports) {
      const PortConfig& out = port(number);
      if (!may_carry(out.vlan, *session.tags.output_vlan)) continue;
      if (out.is_patch && !reaches_peer(out, *session.tags.output_vlan)) continue;
      session.destinations.push_back({.port = number,
                                      .label = {},
                                      .endpoint = out.endpoint,
                                      .counters = registry_.destination_counters(session.id, out.name)});
    }
  }
}

/// For a patch that carries the VLAN: whether the other end admits it too. A bridge that the VLAN is not
/// meant for would count a loss for each copy.
bool Compilation::reaches_peer(const PortConfig& patch, VlanId vlan) const {
  if (patch.patch_peer == kNoPort) return false;
  const TagList wire = depart(patch.vlan, {.outer = VlanTag{}.with_vid(vlan), .inner = {}});
  return arrive(snapshot_->ports[index(patch.patch_peer)].vlan, wire).has_value();
}

}  // namespace

std::unique_ptr<Snapshot> compile(const SwitchSpec& spec, SnapshotRegistry& registry) {
  return Compilation(spec, registry).run();
}

}  // namespace vswitch
