// SPDX-License-Identifier: Apache-2.0
#include "datapath/snapshot/registry.h"

#include <algorithm>

#include "datapath/snapshot/snapshot.h"

namespace vswitch {

void SnapshotRegistry::update(const SwitchSpec& spec) {
  for (auto& [name, entry] : bridges_) entry.used = false;
  std::vector<std::pair<BridgeEntry*, const BridgeSpec*>> changed;
  for (const BridgeSpec& bridge : spec.bridges) {
    const auto [found, is_new] = bridges_.try_emplace(bridge.name);
    BridgeEntry& entry = found->second;
    entry.used = true;
    if (is_new || !(entry.spec == bridge)) changed.emplace_back(&entry, &bridge);
  }
  for (auto& [name, entry] : bridges_) {
    if (!entry.used) disuse(entry);
  }
  for (const auto& [entry, bridge] : changed) disuse(*entry);
  // A session may have moved from one changed bridge to another.
  for (const auto& [entry, bridge] : changed) update_bridge(*entry, *bridge);
}

/// Before the bridge changes or goes: what it has is used no more, until the spec names it again.
void SnapshotRegistry::disuse(BridgeEntry& entry) {
  entry.unfinished = true;
  entry.spec = {};
  entry.compiled.reset();
  for (auto& [name, port] : entry.ports) port.used = false;
  for (const std::string& id : entry.sessions) {
    sessions_.at(id).used = false;
    perhaps_gone_.push_back(id);
  }
  entry.sessions.clear();
}

void SnapshotRegistry::update_bridge(BridgeEntry& entry, const BridgeSpec& bridge) {
  const VlanSet requested_vlans = to_set(bridge.flood_vlans);
  VlanSet flood_vlans = requested_vlans | to_set(bridge.copy_vlans);
  for (const SessionSpec& session : bridge.sessions) {
    if (session.enabled) flood_vlans |= to_set(copy_vlans(session));
  }
  if (entry.macs == nullptr) {
    entry.macs = std::make_shared<MacTable>(bridge.mac_table_size, bridge.mac_aging, watcher_);
  } else {
    entry.macs->set_limits(bridge.mac_table_size, bridge.mac_aging);
    entry.stale_vlans |= flood_vlans & ~entry.flood_vlans;
    if (entry.requested_vlans != requested_vlans) entry.stale_addresses = true;
  }
  entry.requested_vlans = requested_vlans;
  entry.flood_vlans = flood_vlans;
  for (const PortSpec& port : bridge.ports) update_port(entry, port);
  for (const SessionSpec& session : bridge.sessions) {
    update_session(session);
    entry.sessions.push_back(session.id);
  }
  place_sessions(entry, bridge.sessions.size());
  entry.spec = bridge;  // last: if memory runs out before this, the next update begins again
}

/// With room to grow, so that the sessions of a bridge seldom have to move.
void SnapshotRegistry::place_sessions(BridgeEntry& entry, std::size_t count) {
  if (count <= entry.session_capacity) return;
  const std::size_t capacity = count + count / 4;
  std::map<std::size_t, std::size_t> taken;  // first -> end
  for (const auto& [name, other] : bridges_) {
    if (&other != &entry && other.session_capacity != 0)
      taken[other.first_session] = other.first_session + other.session_capacity;
  }
  std::size_t first = 0;
  for (const auto& [begin, end] : taken) {
    if (begin - first >= capacity) break;
    first = end;
  }
  entry.first_session = static_cast<SessionIndex>(first);
  entry.session_capacity = capacity;
}

void SnapshotRegistry::update_port(BridgeEntry& bridge, const PortSpec& port) {
  const auto [found, is_new] = bridge.ports.try_emplace(port.name);
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
}

void SnapshotRegistry::update_session(const SessionSpec& session) {
  SessionEntry& entry = sessions_[session.id];
  if (entry.counters == nullptr) {
    entry.counters = std::make_shared<SessionCounters>(senders_);
    entry.queued_bytes = std::make_shared<QueuedBytes>(workers_);
    resume_account(session.id, entry);
  }
  entry.used = true;
  if (!session.enabled) return;
  // A limit that does not change keeps its state.
  if (!session.rate.is_limited()) {
    entry.rate.reset();
  } else if (entry.rate == nullptr || !(entry.rate->spec() == session.rate)) {
    entry.rate = std::make_shared<RateLimit>(session.rate);
  }
  if (!session.quota.is_limited()) {
    entry.quota.reset();
  } else if (entry.quota == nullptr || !(entry.quota->spec() == session.quota) ||
             entry.life != session.life) {
    entry.quota = std::make_shared<Quota>(session.quota, quota_used_up_);
  }
  entry.life = session.life;
  if (std::exchange(entry.output_vlan, session.tags.output_vlan) != session.tags.output_vlan)
    entry.foreign = session.tags.output_vlan ? std::make_shared<ForeignCounters>(senders_) : nullptr;
}

void SnapshotRegistry::resume_account(const std::string& id, SessionEntry& entry) {
  const auto resumed = resumed_.extract(id);
  if (!resumed) return;
  SessionCell& cell = entry.counters->of(SenderId{0});  // no other thread has it yet
  cell.frames.add(resumed.mapped().frames);
  cell.bytes.add(resumed.mapped().bytes);
  for (const auto& [name, totals] : resumed.mapped().destinations) {
    auto& counters = entry.destinations[name];
    counters = std::make_shared<DestinationCounters>(senders_);
    vswitch::resume(*counters, totals);
  }
}

AccountTotals totals_of(const SnapshotRegistry::Sessions& sessions, AccountTotals others) {
  AccountTotals all = std::move(others);
  for (const auto& [id, entry] : sessions) {
    SessionTotals& totals = all[id];
    for (const auto& [name, counters] : entry.destinations) totals.destinations[name] = totals_of(*counters);
    totals.frames = entry.counters->sum([](const SessionCell& cell) { return cell.frames.read(); });
    totals.bytes = entry.counters->sum([](const SessionCell& cell) { return cell.bytes.read(); });
  }
  return all;
}

void SnapshotRegistry::finish() {
  for (auto& [name, entry] : bridges_) {
    if (std::exchange(entry.unfinished, false)) finish_bridge(entry);
  }
  std::erase_if(bridges_, [](const auto& item) { return !item.second.used; });
  for (const std::string& id : perhaps_gone_) {
    const auto found = sessions_.find(id);
    if (found != sessions_.end() && !found->second.used) sessions_.erase(found);
  }
  perhaps_gone_.clear();
}

void SnapshotRegistry::finish_bridge(BridgeEntry& entry) {
  entry.macs->free_replaced();
  if (std::exchange(entry.stale_addresses, false)) entry.macs->flush();
  if (entry.stale_vlans.any()) entry.macs->forget_vlans(std::exchange(entry.stale_vlans, {}));
  for (auto it = entry.ports.begin(); it != entry.ports.end();) {
    PortEntry& port = it->second;
    if (std::exchange(port.stale_addresses, false) || !port.used) entry.macs->forget_port(port.number);
    if (port.used) {
      ++it;
      continue;
    }
    free_numbers_.push_back(port.number);
    it = entry.ports.erase(it);
  }
}

void SnapshotRegistry::keep(const std::string& bridge, std::shared_ptr<const BridgeConfig> compiled,
                            PatchPeers peers) {
  BridgeEntry& entry = bridges_.at(bridge);
  entry.compiled = std::move(compiled);
  entry.peers = std::move(peers);
}

const SnapshotRegistry::PortEntry* SnapshotRegistry::port(const std::string& bridge,
                                                          const std::string& port) const {
  const auto at = bridges_.find(bridge);
  if (at == bridges_.end()) return nullptr;
  const auto found = at->second.ports.find(port);
  return found == at->second.ports.end() || !found->second.used ? nullptr : &found->second;
}

const SnapshotRegistry::BridgeEntry* SnapshotRegistry::bridge(const std::string& bridge) const {
  const auto found = bridges_.find(bridge);
  return found == bridges_.end() ? nullptr : &found->second;
}

const SnapshotRegistry::SessionEntry* SnapshotRegistry::session(const std::string& id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

std::shared_ptr<PortCounters> SnapshotRegistry::port_counters(const std::string& bridge,
                                                              const std::string& port) const {
  const PortEntry* entry = this->port(bridge, port);
  return entry == nullptr ? nullptr : entry->counters;
}

std::shared_ptr<MacTable> SnapshotRegistry::macs(const std::string& bridge) const {
  const BridgeEntry* entry = this->bridge(bridge);
  return entry == nullptr ? nullptr : entry->macs;
}

std::shared_ptr<DestinationCounters> SnapshotRegistry::destination_counters(const std::string& session,
                                                                            const std::string& destination) {
  auto& counters = sessions_.at(session).destinations[destination];
  if (counters == nullptr) counters = std::make_shared<DestinationCounters>(senders_);
  return counters;
}

void SnapshotRegistry::restart_account(const std::string& session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  SessionEntry& entry = found->second;
  entry.counters = std::make_shared<SessionCounters>(senders_);
  entry.destinations.clear();
  if (entry.foreign != nullptr) entry.foreign = std::make_shared<ForeignCounters>(senders_);
  for (auto& [name, bridge] : bridges_) {
    if (std::find(bridge.sessions.begin(), bridge.sessions.end(), session) != bridge.sessions.end())
      bridge.compiled.reset();
  }
}

bool SnapshotRegistry::is_used_up(const std::string& session, const QuotaSpec& quota,
                                  std::uint64_t life) const {
  const SessionEntry* entry = this->session(session);
  return entry != nullptr && entry->quota != nullptr && entry->life == life &&
         entry->quota->spec() == quota && entry->quota->is_used_up();
}

}  // namespace vswitch
