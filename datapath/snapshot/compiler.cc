// SPDX-License-Identifier: Apache-2.0
#include "datapath/snapshot/compiler.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>

namespace vswitch {

namespace {

VlanSet to_set(const std::vector<VlanId>& vlans) {
  VlanSet set;
  for (const VlanId vlan : vlans) set.set(vlan);
  return set;
}

const PortSpec* find_port(const BridgeSpec& bridge, const std::string& name) {
  const auto found = std::find_if(bridge.ports.begin(), bridge.ports.end(),
                                  [&name](const PortSpec& port) { return port.name == name; });
  return found == bridge.ports.end() ? nullptr : &*found;
}

/// Why copies cannot reach or leave a port at present; empty if they can.
std::string source_trouble(const BridgeSpec& bridge, const std::string& name) {
  const PortSpec* port = find_port(bridge, name);
  if (port == nullptr) return "no port " + name + " on " + bridge.name;
  if (port->device == nullptr && !port->is_patch) return "port " + name + " has no device";
  return "";
}

/// `connected`: patch ports whose peer points back.
std::string destination_trouble(const BridgeSpec& bridge, const std::set<std::string>& connected,
                                const std::string& name) {
  std::string trouble = source_trouble(bridge, name);
  if (trouble.empty() && find_port(bridge, name)->is_patch)
    return connected.contains(name) ? "" : "patch port " + name + " has no peer that points back";
  if (trouble.empty() && !find_port(bridge, name)->tunnel_trouble.empty())
    return "port " + name + ": " + find_port(bridge, name)->tunnel_trouble;
  if (trouble.empty() && !find_port(bridge, name)->link_up) return "port " + name + " is down";
  return trouble;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

/// A port may carry the copies of an output VLAN, as far as its settings say without a frame.
bool may_carry(const VlanPolicy& policy, VlanId vlan) {
  if (policy.mode == VlanMode::dot1q_tunnel) return policy.tag == vlan;
  return carries(policy, {.outer = VlanTag{}.with_vid(vlan), .inner = {}}, 0);
}

/// Its destination ports carry nothing but copies. A port that carries an output VLAN carries others too.
bool reserves(const SessionSpec& session) {
  return !session.normal_io && !session.tags.output_vlan;
}

/// Its copies leave on every port that carries the output VLAN.
bool leaves_in_vlan(const SessionSpec& session) {
  return session.tags.output_vlan && session.destinations.empty() && session.endpoints.empty();
}

/// State and reason of a session from what keeps its sources and destinations from working.
SessionStatus evaluate(const BridgeSpec& bridge, const std::set<std::string>& connected,
                       const SessionSpec& session, const std::string& end) {
  if (!session.refusal.empty()) return {session.id, SessionState::error, session.refusal};
  if (!session.enabled) return {session.id, SessionState::disabled, ""};
  if (!end.empty()) return {session.id, SessionState::expired, end};
  if (session.destinations.empty() && session.endpoints.empty() && !session.tags.output_vlan)
    return {session.id, SessionState::error, "it has no destination"};
  std::vector<std::string> troubles;
  std::size_t good_sources = session.all_ports ? 1 : 0;
  for (const SourceSpec& source : session.sources) {
    const std::string trouble = source_trouble(bridge, source.port);
    const bool is_own_destination = std::find(session.destinations.begin(), session.destinations.end(),
                                              source.port) != session.destinations.end();
    if (!trouble.empty()) {
      troubles.push_back("source: " + trouble);
    } else if (is_own_destination && reserves(session) && source.direction != Direction::to) {
      troubles.push_back("source: port " + source.port + " is also a destination that carries only copies");
    } else {
      ++good_sources;
    }
  }
  for (const PatternSpec& pattern : session.patterns) {
    if (pattern.ports.empty()) troubles.push_back("source: no port matches " + pattern.text);
  }
  std::size_t good_destinations = 0;
  if (leaves_in_vlan(session)) {
    const VlanId vlan = *session.tags.output_vlan;
    good_destinations = static_cast<std::size_t>(
        std::count_if(bridge.ports.begin(), bridge.ports.end(), [&](const PortSpec& port) {
          return may_carry(port.vlan, vlan) && destination_trouble(bridge, connected, port.name).empty();
        }));
    if (good_destinations == 0)
      troubles.push_back("destination: no working port carries VLAN " + std::to_string(vlan));
  }
  for (const std::string& destination : session.destinations) {
    std::string trouble = destination_trouble(bridge, connected, destination);
    if (trouble.empty() && session.tags.output_vlan) {
      const auto port = std::find_if(bridge.ports.begin(), bridge.ports.end(),
                                     [&destination](const PortSpec& one) { return one.name == destination; });
      if (!may_carry(port->vlan, *session.tags.output_vlan))
        trouble = "port " + destination + " does not carry VLAN " + std::to_string(*session.tags.output_vlan);
    }
    if (trouble.empty()) {
      ++good_destinations;
    } else {
      troubles.push_back("destination: " + trouble);
    }
  }
  for (const EndpointSpec& endpoint : session.endpoints) {
    if (endpoint.trouble.empty()) {
      ++good_destinations;
    } else {
      troubles.push_back("destination: " + endpoint.trouble);
    }
  }
  if (session.sources.empty() && session.patterns.empty() && !session.all_ports)
    troubles.emplace_back("it selects no port");
  if (troubles.empty()) return {session.id, SessionState::active, ""};
  const bool works = good_sources > 0 && good_destinations > 0;
  return {session.id, works ? SessionState::degraded : SessionState::waiting, join(troubles)};
}

/// Those beyond the limit, the ones that worked before last of all.
std::set<const SessionSpec*> beyond_limit(std::vector<const SessionSpec*> sessions, auto worked_before) {
  if (sessions.size() <= kMaxSessions) return {};
  std::stable_partition(sessions.begin(), sessions.end(), worked_before);
  return {sessions.begin() + kMaxSessions, sessions.end()};
}

SessionSpec one_too_many(const BridgeSpec& bridge, SessionSpec session) {
  session.refusal = "bridge " + bridge.name + " has " + std::to_string(kMaxSessions) +
                    " other sessions, as many as there may be";
  return session;
}

}  // namespace

std::string_view name(SessionState state) {
  switch (state) {
    case SessionState::active:
      return "active";
    case SessionState::degraded:
      return "degraded";
    case SessionState::waiting:
      return "waiting";
    case SessionState::disabled:
      return "disabled";
    case SessionState::expired:
      return "expired";
    case SessionState::error:
      return "error";
  }
  return "error";
}

CompileResult SnapshotCompiler::compile(const SwitchSpec& spec) {
  for (auto& [id, entry] : ports_) entry.used = false;
  for (auto& [name, entry] : bridges_) entry.used = false;
  for (auto& [id, entry] : sessions_) entry.used = false;

  CompileResult result{.snapshot = std::make_unique<Snapshot>(), .sessions = {}};
  Snapshot& snapshot = *result.snapshot;
  snapshot.work = spec.work;
  for (const BridgeSpec& bridge : spec.bridges) add_bridge(bridge, snapshot);
  connect_patches(spec, snapshot);
  for (BridgeIndex b = 0; b < spec.bridges.size(); ++b) {
    // The order in which sessions are tried: by name, the same after each restart.
    std::vector<const SessionSpec*> sessions;
    for (const SessionSpec& session : spec.bridges[b].sessions) sessions.push_back(&session);
    std::sort(sessions.begin(), sessions.end(), [](const SessionSpec* x, const SessionSpec* y) {
      return std::tie(x->name, x->id) < std::tie(y->name, y->id);
    });
    const auto refused = beyond_limit(sessions, [this](const SessionSpec* session) {
      const SessionEntry* known = this->session(session->id);
      return known != nullptr && known->last_honoured;
    });
    for (const SessionSpec* session : sessions) {
      const bool is_refused = refused.contains(session);
      result.sessions.push_back(add_session(spec.bridges[b], b,
                                            is_refused ? one_too_many(spec.bridges[b], *session) : *session,
                                            spec.now_ms, snapshot));
    }
  }
  for (PortConfig& port : snapshot.ports) {
    for (Candidates* candidates : {&port.mirrors_from, &port.mirrors_to, &port.mirrors_of_copies})
      candidates->finish();
  }
  for (BridgeConfig& bridge : snapshot.bridges)
    std::sort(bridge.output_vlans.begin(), bridge.output_vlans.end());
  make_flood_lists(snapshot);
  add_vlan_destinations(snapshot);
  snapshot.own_copies.finish();
  return result;
}

void SnapshotCompiler::add_bridge(const BridgeSpec& bridge, Snapshot& snapshot) {
  const auto at = static_cast<BridgeIndex>(snapshot.bridges.size());
  BridgeEntry& entry = bridge_entry(bridge);
  snapshot.bridges.push_back({.name = bridge.name,
                              .ports = {},
                              .flood_ports = {},
                              .flood_vlans = entry.flood_vlans,
                              .forward_bpdu = bridge.forward_bpdu,
                              .secure = bridge.secure,
                              .macs = entry.macs,
                              .output_vlans = {}});
  for (const PortSpec& port : bridge.ports) {
    const PortEntry& known = port_entry(bridge, port);
    snapshot.ports.resize(std::max<std::size_t>(snapshot.ports.size(), index(known.number) + 1));
    PortConfig& config = snapshot.ports[index(known.number)];
    config.number = known.number;
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
    config.counters = known.counters;
    config.worker = index(known.number) % static_cast<std::uint32_t>(workers_);
    snapshot.bridges[at].ports.push_back(known.number);
  }
  std::sort(snapshot.bridges[at].ports.begin(), snapshot.bridges[at].ports.end());
}

SessionStatus SnapshotCompiler::add_session(const BridgeSpec& bridge, BridgeIndex at,
                                            const SessionSpec& asked, std::int64_t now_ms,
                                            Snapshot& snapshot) {
  SessionEntry& entry = session_entry(asked);
  update_end(entry, asked, now_ms);
  SessionStatus status = evaluate(bridge, connected_, asked, entry.end ? entry.end->reason : "");
  if (entry.end) status.ended_at = entry.end->at;
  if (asked.refusal.empty()) {
    entry.last_honoured = asked;
  } else if (entry.last_honoured && !entry.end) {
    status.reason += "; until then it goes on as before";
  }
  if (!entry.last_honoured || !asked.enabled || entry.end) return status;
  const SessionSpec& session = *entry.last_honoured;
  update_limits(entry, session);
  if (std::exchange(entry.output_vlan, session.tags.output_vlan) != session.tags.output_vlan)
    entry.foreign = session.tags.output_vlan ? std::make_shared<ForeignCounters>(senders_) : nullptr;

  const auto number_of = [this, &bridge](const std::string& name) {
    const auto found = ports_.find({bridge.name, name});
    return found == ports_.end() || !found->second.used ? kNoPort : found->second.number;
  };
  const auto self = static_cast<SessionIndex>(snapshot.sessions.size());
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
                         .own_copies = &snapshot.own_copies};
  std::set<PortNo> destinations;
  for (const std::string& name : session.destinations) {
    const PortNo number = number_of(name);
    if (number == kNoPort || !destinations.insert(number).second) continue;
    const std::shared_ptr<tunnel::TunnelEndpoint>& endpoint = snapshot.ports[index(number)].endpoint;
    if (endpoint != nullptr)
      snapshot.own_copies.add(endpoint->settings(), find_port(bridge, name)->tunnel_source);
    config.destinations.push_back(
        {.port = number, .label = {}, .endpoint = endpoint, .counters = destination_counters(entry, name)});
    if (reserves(session)) snapshot.ports[index(number)].only_copies = true;
  }
  for (const EndpointSpec& endpoint : session.endpoints) {
    if (endpoint.endpoint == nullptr) continue;
    snapshot.own_copies.add(endpoint.endpoint->settings(), endpoint.source);
    config.destinations.push_back({.port = kNoPort,
                                   .label = endpoint.label,
                                   .endpoint = endpoint.endpoint,
                                   .counters = destination_counters(entry, endpoint.name)});
  }
  if (config.destinations.empty() && !leaves_in_vlan(session)) return status;

  for (const SourceSpec& source : session.sources) {
    const PortNo number = number_of(source.port);
    if (number == kNoPort) continue;
    PortConfig& port = snapshot.ports[index(number)];
    if (source.direction != Direction::to) port.mirrors_from.add(self, session.vlans, session.rules.get());
    if (source.direction != Direction::from) {
      port.mirrors_to.add(self, session.vlans, session.rules.get());
      port.mirrors_of_copies.add(self, session.vlans, session.rules.get());
    }
  }
  if (session.all_ports) {
    for (const PortNo number : snapshot.bridges[at].ports) {
      if (destinations.contains(number)) continue;
      snapshot.ports[index(number)].mirrors_from.add(self, session.vlans, session.rules.get());
      snapshot.ports[index(number)].mirrors_to.add(self, session.vlans, session.rules.get());
    }
  }
  if (session.tags.output_vlan)
    snapshot.bridges[at].output_vlans.emplace_back(*session.tags.output_vlan, self);
  snapshot.sessions.push_back(std::move(config));
  return status;
}

/// What has ended stays ended, also when the wall clock is set back, until it is told to end at another time
/// or never.
void SnapshotCompiler::update_end(SessionEntry& entry, const SessionSpec& session, std::int64_t now_ms) {
  if (!session.expired.empty()) {
    if (!entry.end) entry.end = {session.ends_at, session.expired};
    entry.end->at = session.ends_at;
  } else if (entry.end && entry.end->at != session.ends_at) {
    entry.end.reset();
    entry.quota.reset();
  }
  if (entry.end || entry.quota == nullptr || !entry.quota->is_used_up()) return;
  if (!(entry.quota->spec() == session.quota)) return;
  const QuotaSpec& quota = session.quota;
  std::string reason = "it has copied all it was to copy:";
  if (quota.packets != 0) reason += ' ' + std::to_string(quota.packets) + " packets";
  if (quota.bytes != 0)
    reason += (quota.packets != 0 ? " or " : " ") + std::to_string(quota.bytes) + " bytes";
  entry.end = {now_ms, reason};
}

/// A limit that stays the same goes on as it is.
void SnapshotCompiler::update_limits(SessionEntry& entry, const SessionSpec& session) const {
  if (!session.rate.is_limited()) {
    entry.rate.reset();
  } else if (entry.rate == nullptr || !(entry.rate->spec() == session.rate)) {
    entry.rate = std::make_shared<RateLimit>(session.rate);
  }
  if (!session.quota.is_limited()) {
    entry.quota.reset();
  } else if (entry.quota == nullptr || !(entry.quota->spec() == session.quota)) {
    entry.quota = std::make_shared<Quota>(session.quota, quota_used_up_);
  }
}

std::shared_ptr<DestinationCounters> SnapshotCompiler::destination_counters(SessionEntry& entry,
                                                                            const std::string& name) const {
  auto& counters = entry.destinations[name];
  if (counters == nullptr) counters = std::make_shared<DestinationCounters>(senders_);
  return counters;
}

/// The copies of an output VLAN leave on every port that carries it. Which ports are left for that is known
/// once all sessions have taken theirs.
void SnapshotCompiler::add_vlan_destinations(Snapshot& snapshot) {
  for (CompiledSession& session : snapshot.sessions) {
    if (!session.tags.output_vlan || !session.destinations.empty()) continue;  // those of endpoints too
    for (const PortNo number : snapshot.bridges[session.bridge].flood_ports) {
      const PortConfig& port = snapshot.ports[index(number)];
      if (!may_carry(port.vlan, *session.tags.output_vlan)) continue;
      if (port.is_patch && !reaches_peer(snapshot, port, *session.tags.output_vlan)) continue;
      session.destinations.push_back({.port = number,
                                      .label = {},
                                      .endpoint = port.endpoint,
                                      .counters = destination_counters(sessions_.at(session.id), port.name)});
    }
  }
}

/// Of a patch that carries the VLAN: whether the other end admits it too. A bridge that it is not meant for
/// would be a loss for each copy.
bool SnapshotCompiler::reaches_peer(const Snapshot& snapshot, const PortConfig& patch, VlanId vlan) {
  if (patch.patch_peer == kNoPort) return false;
  const TagList wire = depart(patch.vlan, {.outer = VlanTag{}.with_vid(vlan), .inner = {}});
  return arrive(snapshot.ports[index(patch.patch_peer)].vlan, wire).has_value();
}

void SnapshotCompiler::connect_patches(const SwitchSpec& spec, Snapshot& snapshot) {
  connected_.clear();
  std::unordered_map<std::string, std::pair<const PortSpec*, PortNo>> patches;
  for (const BridgeSpec& bridge : spec.bridges) {
    for (const PortSpec& port : bridge.ports) {
      if (port.is_patch) patches[port.name] = {&port, ports_.at({bridge.name, port.name}).number};
    }
  }
  for (const auto& [name, patch] : patches) {
    const auto peer = patches.find(patch.first->patch_peer);
    if (peer == patches.end() || peer->second.first->patch_peer != name || peer->first == name) continue;
    snapshot.ports[index(patch.second)].patch_peer = peer->second.second;
    connected_.insert(name);
  }
}

void SnapshotCompiler::make_flood_lists(Snapshot& snapshot) {
  for (BridgeConfig& bridge : snapshot.bridges) {
    std::copy_if(bridge.ports.begin(), bridge.ports.end(), std::back_inserter(bridge.flood_ports),
                 [&snapshot](PortNo number) { return !snapshot.ports[index(number)].only_copies; });
  }
}

SnapshotCompiler::PortEntry& SnapshotCompiler::port_entry(const BridgeSpec& bridge, const PortSpec& port) {
  const auto [found, is_new] = ports_.try_emplace({bridge.name, port.name});
  PortEntry& entry = found->second;
  if (is_new) {
    if (free_numbers_.empty()) {
      entry.number = PortNo{next_number_++};
    } else {
      entry.number = free_numbers_.back();
      free_numbers_.pop_back();
    }
    entry.counters = std::make_shared<PortCounters>(senders_);
  } else {
    const bool link_lost = entry.link_up && !port.link_up;
    if (!(entry.vlan == port.vlan) || entry.is_protected != port.is_protected || link_lost)
      entry.stale_addresses = true;
  }
  entry.vlan = port.vlan;
  entry.is_protected = port.is_protected;
  entry.link_up = port.link_up;
  entry.used = true;
  return entry;
}

SnapshotCompiler::BridgeEntry& SnapshotCompiler::bridge_entry(const BridgeSpec& bridge) {
  const auto [found, is_new] = bridges_.try_emplace(bridge.name);
  BridgeEntry& entry = found->second;
  // Copies of several switches come together in an RSPAN VLAN: no address in it says where its host is.
  VlanSet flood_vlans = to_set(bridge.flood_vlans);
  for (const SessionSpec& session : bridge.sessions) {
    if (!session.enabled) continue;
    if (session.tags.output_vlan) flood_vlans.set(*session.tags.output_vlan);
    if (session.tags.strip_vlan) flood_vlans |= to_set(session.vlans);
  }
  if (is_new) {
    entry.macs = std::make_shared<MacTable>(bridge.mac_table_size, bridge.mac_aging);
  } else {
    entry.macs->set_limits(bridge.mac_table_size, bridge.mac_aging);
    if (entry.flood_vlans != flood_vlans) entry.stale_addresses = true;
  }
  entry.flood_vlans = flood_vlans;
  entry.used = true;
  return entry;
}

SnapshotCompiler::SessionEntry& SnapshotCompiler::session_entry(const SessionSpec& session) {
  SessionEntry& entry = sessions_[session.id];
  if (entry.counters == nullptr) {
    entry.counters = std::make_shared<SessionCounters>(senders_);
    entry.queued_bytes = std::make_shared<QueuedBytes>(workers_);
  }
  entry.used = true;
  return entry;
}

void SnapshotCompiler::finish() {
  for (auto& [name, bridge] : bridges_) {
    bridge.macs->free_replaced();
    if (std::exchange(bridge.stale_addresses, false)) bridge.macs->flush();
  }
  for (auto it = ports_.begin(); it != ports_.end();) {
    auto& [id, port] = *it;
    if (std::exchange(port.stale_addresses, false) || !port.used)
      bridges_.at(id.first).macs->forget_port(port.number);
    if (port.used) {
      ++it;
      continue;
    }
    free_numbers_.push_back(port.number);
    it = ports_.erase(it);
  }
  std::erase_if(bridges_, [](const auto& item) { return !item.second.used; });
  std::erase_if(sessions_, [](const auto& item) { return !item.second.used; });
}

std::shared_ptr<PortCounters> SnapshotCompiler::port_counters(const std::string& bridge,
                                                              const std::string& port) const {
  const auto found = ports_.find({bridge, port});
  return found == ports_.end() ? nullptr : found->second.counters;
}

std::shared_ptr<MacTable> SnapshotCompiler::macs(const std::string& bridge) const {
  const auto found = bridges_.find(bridge);
  return found == bridges_.end() ? nullptr : found->second.macs;
}

const SnapshotCompiler::SessionEntry* SnapshotCompiler::session(const std::string& id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

}  // namespace vswitch
