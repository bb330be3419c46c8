// SPDX-License-Identifier: Apache-2.0
#include "datapath/snapshot/spec.h"

#include <algorithm>
#include <unordered_map>

namespace vswitch {

const PortSpec* find_port(const BridgeSpec& bridge, const std::string& name) {
  const auto found = std::find_if(bridge.ports.begin(), bridge.ports.end(),
                                  [&name](const PortSpec& port) { return port.name == name; });
  return found == bridge.ports.end() ? nullptr : &*found;
}

bool reserves_destinations(const SessionSpec& session) {
  return !session.normal_io && !session.tags.output_vlan;
}

bool leaves_in_vlan(const SessionSpec& session) {
  return session.tags.output_vlan && session.destinations.empty() && session.endpoints.empty() &&
         session.capture == nullptr;
}

std::vector<VlanId> copy_vlans(const SessionSpec& session) {
  std::vector<VlanId> vlans;
  if (session.tags.output_vlan) vlans.push_back(*session.tags.output_vlan);
  if (session.tags.strip_vlan) vlans.insert(vlans.end(), session.vlans.begin(), session.vlans.end());
  return vlans;
}

std::set<std::string> connected_patches(const SwitchSpec& spec) {
  std::unordered_map<std::string, std::string> peers;
  for (const BridgeSpec& bridge : spec.bridges) {
    for (const PortSpec& port : bridge.ports) {
      if (port.is_patch) peers[port.name] = port.patch_peer;
    }
  }
  std::set<std::string> connected;
  for (const auto& [name, peer] : peers) {
    const auto found = peers.find(peer);
    if (found != peers.end() && found->second == name && peer != name) connected.insert(name);
  }
  return connected;
}

}  // namespace vswitch
