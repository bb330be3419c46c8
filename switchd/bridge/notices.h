// SPDX-License-Identifier: Apache-2.0
// What is worth knowing about a session that works: no fault of it, but perhaps not what was wanted.
#pragma once

#include <map>
#include <string>

#include "datapath/snapshot/registry.h"
#include "datapath/snapshot/spec.h"
#include "switchd/bridge/session_state.h"
#include "switchd/netlink/host_addresses.h"

namespace vswitch::bridge {

/// Why the settings let the session copy no frame at all, as a sentence; empty if they do not. Finds
/// contradictions of single settings, not every impossible combination.
std::string copies_nothing(const SessionSpec& session);

/// The notices of a session that the datapath has on this bridge, as sentences joined by "; "; empty if there
/// are none:
/// - a setting has no effect beside others;
/// - it conflicts with another session (session_conflicts.h);
/// - it can copy nothing;
/// - a destination that carries only copies has addresses of the host, or addresses were learned there in the
///   last minutes;
/// - an endpoint is an address of this host;
/// - copies were cut to the MTU of the path within the last minute;
/// - its output VLAN received frames that are not copies. On the path of an RSPAN VLAN they are the copies of
///   another switch.
/// `now`: steady time.
std::string notice_of(const SnapshotRegistry& registry, const SessionStatus& session,
                      const netlink::HostAddresses& addresses, TimeNs now);

/// The ports of a bridge that carry only copies, each with the names of the sessions that require it: "a, b".
std::map<std::string, std::string> ports_with_only_copies(const BridgeSpec& bridge);

}  // namespace vswitch::bridge
