// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/notices.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "datapath/snapshot/snapshot.h"
#include "switchd/bridge/statistics.h"

namespace vswitch::bridge {

namespace {

constexpr TimeNs kRecently = 60 * kSecondNs;

bool is_host_address(const IpAddress& address, const netlink::HostAddresses& addresses) {
  IpAddress plain = address;
  plain.scope = 0;
  return std::any_of(addresses.begin(), addresses.end(), [&plain](const auto& device) {
    return std::find(device.second.begin(), device.second.end(), plain) != device.second.end();
  });
}

/// What the port stops carrying because the session makes it carry only copies.
std::string cut_off(const SnapshotRegistry& registry, const std::string& bridge, const std::string& port,
                    const netlink::HostAddresses& addresses) {
  const std::string remedy = ": allow normal I/O, or choose another port";
  if (const auto own = addresses.find(port); own != addresses.end())
    return "port " + port + " carries only copies, so the host is not reachable at " +
           own->second.front().to_string() + remedy;
  const SnapshotRegistry::PortEntry* entry = registry.port(bridge, port);
  const auto macs = registry.macs(bridge);
  const std::size_t learned = entry == nullptr || macs == nullptr ? 0 : macs->size_of(entry->number);
  if (learned == 0) return "";
  return "port " + port + " carries only copies, but had traffic of its own (" + std::to_string(learned) +
         " addresses learned)" + remedy;
}

std::string truncation(const SnapshotRegistry::SessionEntry& entry, TimeNs now) {
  TimeNs last = 0;
  for (const auto& [name, counters] : entry.destinations) {
    counters->each([&last](const DestinationCell& cell) {
      last = std::max(last, cell.truncated_at.load(std::memory_order_relaxed));
    });
  }
  if (last == 0 || now - last > kRecently) return "";
  return "copies are longer than the MTU of the path and are truncated to it: raise the MTU, or fragment "
         "them";
}

std::string foreign_traffic(const SnapshotRegistry::SessionEntry& entry) {
  if (foreign_frames(entry) == 0 || !entry.output_vlan) return "";
  return "VLAN " + std::to_string(*entry.output_vlan) +
         " carries frames that are not copies of this bridge's sessions; they travel along with the copies";
}

/// Every frame that `filter` matches has one of the VLANs that its match names; none of them is selected.
bool is_outside(const Match& filter, const std::vector<VlanId>& vlans) {
  const auto vlan = filter.exact_vlan();
  return vlan && std::find(vlans.begin(), vlans.end(), *vlan) == vlans.end();
}

/// The sessions of a bridge are in the order of their names.
const SessionSpec* find_session(const SnapshotRegistry& registry, const SessionStatus& session) {
  const SnapshotRegistry::BridgeEntry* bridge = registry.bridge(session.bridge);
  if (bridge == nullptr) return nullptr;
  const auto key = [](const auto& one) { return std::tie(one.name, one.id); };
  const auto& sessions = bridge->spec.sessions;
  const auto found =
      std::lower_bound(sessions.begin(), sessions.end(), session,
                       [&key](const SessionSpec& a, const SessionStatus& b) { return key(a) < key(b); });
  return found == sessions.end() || found->id != session.id ? nullptr : &*found;
}

}  // namespace

std::string copies_nothing(const SessionSpec& session) {
  const auto& vlans = session.vlans;
  const auto& output_vlan = session.tags.output_vlan;
  if (output_vlan && !vlans.empty() &&
      std::all_of(vlans.begin(), vlans.end(), [&](VlanId vlan) { return vlan == *output_vlan; }))
    return "it can copy nothing: it selects only VLAN " + std::to_string(*output_vlan) +
           ", into which it puts its copies";
  if (session.rules == nullptr || session.rules->filter.empty()) return "";
  const auto& [filters, skips] = *session.rules;
  const auto is_skipped = [&skips = skips](const Match& filter) {
    return std::any_of(skips.begin(), skips.end(), [&](const Match& skip) { return skip.covers(filter); });
  };
  if (std::all_of(filters.begin(), filters.end(), is_skipped))
    return "it can copy nothing: every frame that filter selects is skipped (" + skips.front().text() + ")";
  if (!vlans.empty() && std::all_of(filters.begin(), filters.end(),
                                    [&](const Match& filter) { return is_outside(filter, vlans); }))
    return "it can copy nothing: the VLAN of its filter is not one that it selects";
  return "";
}

std::map<std::string, std::string> ports_with_only_copies(const BridgeSpec& bridge) {
  std::map<std::string, std::string> ports;
  for (const SessionSpec& session : bridge.sessions) {
    if (!session.enabled || !reserves_destinations(session)) continue;
    for (const std::string& port : session.destinations) {
      std::string& names = ports[port];
      names += (names.empty() ? "" : ", ") + session.name;
    }
  }
  return ports;
}

std::string notice_of(const SnapshotRegistry& registry, const SessionStatus& session,
                      const netlink::HostAddresses& addresses, TimeNs now) {
  const SnapshotRegistry::SessionEntry* entry = registry.session(session.id);
  const SessionSpec* spec = find_session(registry, session);
  if (entry == nullptr || spec == nullptr || !spec->enabled) return "";
  std::vector<std::string> notices{session.notice, copies_nothing(*spec)};
  if (reserves_destinations(*spec)) {
    for (const std::string& port : spec->destinations)
      notices.push_back(cut_off(registry, session.bridge, port, addresses));
  }
  for (const EndpointSpec& endpoint : spec->endpoints) {
    if (endpoint.endpoint != nullptr && is_host_address(endpoint.endpoint->settings().remote, addresses))
      notices.push_back("endpoint " + endpoint.label +
                        " is an address of this host: its copies do not leave it");
  }
  notices.push_back(truncation(*entry, now));
  notices.push_back(foreign_traffic(*entry));
  std::string text;
  for (const std::string& notice : notices) {
    if (!notice.empty()) text += (text.empty() ? "" : "; ") + notice;
  }
  return text;
}

}  // namespace vswitch::bridge
