// SPDX-License-Identifier: Apache-2.0
#include "datapath/snapshot/registry.h"

namespace vswitch {

void SnapshotRegistry::update(const SwitchSpec& spec) {
  for (auto& [id, entry] : ports_) entry.used = false;
  for (auto& [name, entry] : bridges_) entry.used = false;
  for (auto& [id, entry] : sessions_) entry.used = false;
  for (const BridgeSpec& bridge : spec.bridges) {
    update_bridge(bridge);
    for (const PortSpec& port : bridge.ports) update_port(bridge, port);
    for (const SessionSpec& session : bridge.sessions) update_session(session);
  }
}

void SnapshotRegistry::update_bridge(const BridgeSpec& bridge) {
  const auto [found, is_new] = bridges_.try_emplace(bridge.name);
  BridgeEntry& entry = found->second;
  VlanSet flood_vlans = to_set(bridge.flood_vlans);
  for (const SessionSpec& session : bridge.sessions) {
    if (session.enabled) flood_vlans |= to_set(copy_vlans(session));
  }
  if (is_new) {
    entry.macs = std::make_shared<MacTable>(bridge.mac_table_size, bridge.mac_aging);
  } else {
    entry.macs->set_limits(bridge.mac_table_size, bridge.mac_aging);
    if (entry.flood_vlans != flood_vlans) entry.stale_addresses = true;
  }
  entry.flood_vlans = flood_vlans;
  entry.used = true;
}

void SnapshotRegistry::update_port(const BridgeSpec& bridge, const PortSpec& port) {
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
}

void SnapshotRegistry::update_session(const SessionSpec& session) {
  SessionEntry& entry = sessions_[session.id];
  if (entry.counters == nullptr) {
    entry.counters = std::make_shared<SessionCounters>(senders_);
    entry.queued_bytes = std::make_shared<QueuedBytes>(workers_);
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

void SnapshotRegistry::finish() {
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

const SnapshotRegistry::PortEntry* SnapshotRegistry::port(const std::string& bridge,
                                                          const std::string& port) const {
  const auto found = ports_.find({bridge, port});
  return found == ports_.end() || !found->second.used ? nullptr : &found->second;
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
  const auto found = ports_.find({bridge, port});
  return found == ports_.end() ? nullptr : found->second.counters;
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

bool SnapshotRegistry::is_used_up(const std::string& session, const QuotaSpec& quota,
                                  std::uint64_t life) const {
  const SessionEntry* entry = this->session(session);
  return entry != nullptr && entry->quota != nullptr && entry->life == life &&
         entry->quota->spec() == quota && entry->quota->is_used_up();
}

}  // namespace vswitch
