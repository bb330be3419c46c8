// SPDX-License-Identifier: Apache-2.0
#include "datapath/snapshot/compile.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace vswitch {

namespace {

/// One bridge. What it needs to know of others are the peers of its patch ports.
class BridgeCompilation {
 public:
  BridgeCompilation(const BridgeSpec& spec, const PatchPeers& peers, SnapshotRegistry& registry)
      : spec_(spec), peers_(peers), registry_(registry) {}

  std::shared_ptr<const BridgeConfig> run();

 private:
  void add_ports();
  PortConfig port_config(const PortSpec& port) const;
  void add_session(const SessionSpec& session);
  void add_destinations(const SessionSpec& session, CompiledSession& config, std::set<PortNo>& ports);
  void add_sources(const SessionSpec& session, SessionIndex self, const std::set<PortNo>& destinations);
  void make_flood_list();
  void add_vlan_destinations();
  bool reaches_peer(const PortConfig& patch, VlanId vlan) const;

  /// Null if the bridge has no such port.
  PortConfig* port(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }

  const BridgeSpec& spec_;
  const PatchPeers& peers_;
  SnapshotRegistry& registry_;
  std::shared_ptr<BridgeConfig> bridge_ = std::make_shared<BridgeConfig>();
  std::unordered_map<std::string_view, PortConfig*> by_name_;
};

/// Which ports carry only copies is known when all sessions have taken theirs.
std::shared_ptr<const BridgeConfig> BridgeCompilation::run() {
  const SnapshotRegistry::BridgeEntry& entry = *registry_.bridge(spec_.name);
  bridge_->name = spec_.name;
  bridge_->generation = registry_.next_generation();
  bridge_->flood_vlans = entry.flood_vlans;
  bridge_->forward_bpdu = spec_.forward_bpdu;
  bridge_->secure = spec_.secure;
  bridge_->macs = entry.macs;
  bridge_->first_session = entry.first_session;
  add_ports();
  for (const SessionSpec& session : spec_.sessions) {
    if (session.enabled) add_session(session);
  }
  for (PortConfig& port : bridge_->ports) {
    for (Candidates* candidates : {&port.mirrors_from, &port.mirrors_to, &port.mirrors_of_copies})
      candidates->finish();
  }
  std::sort(bridge_->output_vlans.begin(), bridge_->output_vlans.end());
  make_flood_list();
  add_vlan_destinations();
  bridge_->own_copies.finish();
  return std::move(bridge_);
}

void BridgeCompilation::add_ports() {
  for (const PortSpec& port : spec_.ports) bridge_->ports.push_back(port_config(port));
  std::sort(bridge_->ports.begin(), bridge_->ports.end(),
            [](const PortConfig& a, const PortConfig& b) { return a.number < b.number; });
  for (PortConfig& port : bridge_->ports) by_name_[port.name] = &port;
}

PortConfig BridgeCompilation::port_config(const PortSpec& port) const {
  const SnapshotRegistry::PortEntry& entry = *registry_.port(spec_.name, port.name);
  PortConfig config;
  config.number = entry.number;
  config.name = port.name;
  config.bridge = bridge_.get();
  config.vlan = port.vlan;
  config.is_protected = port.is_protected;
  config.is_patch = port.is_patch;
  if (const auto peer = peers_.find(port.name); port.is_patch && peer != peers_.end())
    config.patch_peer = peer->second.number;
  config.device = port.device;
  config.endpoint = port.endpoint;
  if (port.endpoint != nullptr) {
    config.own_packets.add(port.endpoint->settings(), port.tunnel_source);
    config.own_packets.finish();
  }
  config.link_up = port.link_up;
  config.mtu = port.mtu;
  config.no_host = port.no_host;
  config.counters = entry.counters;
  config.worker = registry_.worker_of(entry.number);
  return config;
}

void BridgeCompilation::add_session(const SessionSpec& session) {
  const SnapshotRegistry::SessionEntry& entry = *registry_.session(session.id);
  const SessionIndex self = bridge_->first_session + static_cast<SessionIndex>(bridge_->sessions.size());
  CompiledSession config;
  static_cast<CopySettings&>(config) = session;
  config.id = session.id;
  config.name = session.name;
  config.bridge = bridge_.get();
  if (!session.vlans.empty()) config.select_vlans = std::make_unique<const VlanSet>(to_set(session.vlans));
  config.rate = entry.rate;
  config.quota = entry.quota;
  config.cpu_budget = session.cpu_budget;
  config.counters = entry.counters;
  config.foreign = entry.foreign;
  config.queued_bytes = entry.queued_bytes;
  std::set<PortNo> destinations;
  add_destinations(session, config, destinations);
  if (config.destinations.empty() && !leaves_in_vlan(session)) return;
  add_sources(session, self, destinations);
  if (session.tags.output_vlan) bridge_->output_vlans.emplace_back(*session.tags.output_vlan, self);
  bridge_->sessions.push_back(std::move(config));
}

void BridgeCompilation::add_destinations(const SessionSpec& session, CompiledSession& config,
                                         std::set<PortNo>& ports) {
  for (const std::string& name : session.destinations) {
    PortConfig* out = port(name);
    if (out == nullptr || !ports.insert(out->number).second) continue;
    if (out->endpoint != nullptr)
      bridge_->own_copies.add(out->endpoint->settings(), find_port(spec_, name)->tunnel_source);
    config.destinations.push_back({.port = out->number,
                                   .label = {},
                                   .endpoint = out->endpoint,
                                   .counters = registry_.destination_counters(session.id, name)});
    if (reserves_destinations(session)) out->only_copies = true;
    if (session.gso_packets == GsoPackets::keep) out->keeps_gso = true;
  }
  for (const EndpointSpec& endpoint : session.endpoints) {
    if (endpoint.endpoint == nullptr) continue;
    bridge_->own_copies.add(endpoint.endpoint->settings(), endpoint.source);
    config.destinations.push_back({.port = kNoPort,
                                   .label = endpoint.label,
                                   .endpoint = endpoint.endpoint,
                                   .counters = registry_.destination_counters(session.id, endpoint.name)});
  }
  if (session.capture != nullptr) {
    const std::string kind = session.capture->kind();
    const bool is_recorder = kind == CaptureSink::kRecord;
    config.destinations.push_back({.port = kNoPort,
                                   .label = is_recorder ? "the recorder" : "the program that captures",
                                   .capture = session.capture,
                                   .counters = registry_.destination_counters(session.id, kind)});
  }
}

void BridgeCompilation::add_sources(const SessionSpec& session, SessionIndex self,
                                    const std::set<PortNo>& destinations) {
  const auto add_to = [&](Candidates& candidates) {
    candidates.add(self, session.vlans, session.rules.get());
  };
  for (const SourceSpec& source : session.sources) {
    PortConfig* of = port(source.port);
    if (of == nullptr) continue;
    if (source.direction != Direction::to) add_to(of->mirrors_from);
    if (source.direction != Direction::from) {
      add_to(of->mirrors_to);
      add_to(of->mirrors_of_copies);
    }
  }
  if (!session.all_ports) return;
  for (PortConfig& of : bridge_->ports) {
    if (destinations.contains(of.number)) continue;
    add_to(of.mirrors_from);
    add_to(of.mirrors_to);
  }
}

void BridgeCompilation::make_flood_list() {
  for (const PortConfig& port : bridge_->ports) {
    if (!port.only_copies) bridge_->flood_ports.push_back(&port);
  }
}

/// The copies of an output VLAN leave on every port that carries it and is left for that.
void BridgeCompilation::add_vlan_destinations() {
  for (CompiledSession& session : bridge_->sessions) {
    if (!session.tags.output_vlan || !session.destinations.empty()) continue;  // sessions with endpoints too
    for (const PortConfig* out : bridge_->flood_ports) {
      if (!may_carry(out->vlan, *session.tags.output_vlan)) continue;
      if (out->is_patch && !reaches_peer(*out, *session.tags.output_vlan)) continue;
      session.destinations.push_back({.port = out->number,
                                      .label = {},
                                      .endpoint = out->endpoint,
                                      .counters = registry_.destination_counters(session.id, out->name)});
    }
  }
}

/// For a patch that carries the VLAN: whether the other end admits it too. A bridge that the VLAN is not
/// meant for would count a loss for each copy.
bool BridgeCompilation::reaches_peer(const PortConfig& patch, VlanId vlan) const {
  const auto peer = peers_.find(patch.name);
  if (peer == peers_.end()) return false;
  const TagList wire = depart(patch.vlan, {.outer = VlanTag{}.with_vid(vlan), .inner = {}});
  return arrive(peer->second.vlan, wire).has_value();
}

/// The peers of the connected patch ports of all bridges; names of patch ports are unique in the switch.
PatchPeers all_peers(const SwitchSpec& spec, const SnapshotRegistry& registry) {
  const std::set<std::string> connected = connected_patches(spec);
  PatchPeers ends;
  PatchPeers peers;
  if (connected.empty()) return peers;
  for (const BridgeSpec& bridge : spec.bridges) {
    for (const PortSpec& port : bridge.ports) {
      if (port.is_patch && connected.contains(port.name))
        ends[port.name] = {registry.port(bridge.name, port.name)->number, port.vlan};
    }
  }
  for (const BridgeSpec& bridge : spec.bridges) {
    for (const PortSpec& port : bridge.ports) {
      if (port.is_patch && connected.contains(port.name)) peers[port.name] = ends.at(port.patch_peer);
    }
  }
  return peers;
}

PatchPeers peers_of(const BridgeSpec& bridge, const PatchPeers& all) {
  PatchPeers peers;
  if (all.empty()) return peers;
  for (const PortSpec& port : bridge.ports) {
    if (!port.is_patch) continue;
    if (const auto found = all.find(port.name); found != all.end()) peers.insert(*found);
  }
  return peers;
}

std::shared_ptr<const BridgeConfig> compile_bridge(const BridgeSpec& spec, PatchPeers peers,
                                                   SnapshotRegistry& registry) {
  const SnapshotRegistry::BridgeEntry& entry = *registry.bridge(spec.name);
  if (entry.compiled == nullptr || entry.peers != peers) {
    auto compiled = BridgeCompilation(spec, peers, registry).run();
    registry.keep(spec.name, std::move(compiled), std::move(peers));
  }
  return entry.compiled;
}

template <typename Item>
void put(std::vector<const Item*>& items, std::size_t at, const Item& item) {
  if (items.size() <= at) items.resize(at + 1);
  items[at] = &item;
}

}  // namespace

std::unique_ptr<Snapshot> compile(const SwitchSpec& spec, SnapshotRegistry& registry) {
  auto snapshot = std::make_unique<Snapshot>();
  snapshot->work = spec.work;
  const PatchPeers peers = all_peers(spec, registry);
  for (const BridgeSpec& bridge_spec : spec.bridges) {
    const auto bridge = compile_bridge(bridge_spec, peers_of(bridge_spec, peers), registry);
    for (const PortConfig& port : bridge->ports) put(snapshot->ports, index(port.number), port);
    SessionIndex at = bridge->first_session;
    for (const CompiledSession& session : bridge->sessions) put(snapshot->sessions, at++, session);
    snapshot->own_copies.add(bridge->own_copies);
    snapshot->bridges.push_back(bridge);
  }
  snapshot->own_copies.finish();
  return snapshot;
}

}  // namespace vswitch
