// SPDX-License-Identifier: Apache-2.0
// Counters under the keys that clients know, and the columns they are written to.
#pragma once

#include <cstdint>

#include "switchd/bridge/switch_status.h"
#include "switchd/bridge/switch_view.h"

namespace vswitch::ovsdb {
class Transaction;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

/// Interface.statistics: the keys of ovs-vswitchd.conf.db(5), and rx_drop_<reason>, tx_drop_<reason> for
/// reasons that have occurred. As there, rx is what the switch receives from the device.
CounterMap interface_statistics(const PortCounters& counters, std::uint64_t overruns);

/// What happened to the copies to one destination, one per frame: matched = delivered + lost + duplicate +
/// sampled_out + rate_limited + queued, and lost = the sum of lost_<reason>. A duplicate is a frame that
/// another session has copied to the same destination. sent_packets and delivered_bytes count what was sent:
/// a GSO packet that is segmented is one copy and many packets. truncated counts the copies of those delivered
/// that were cut to the MTU of the path.
CounterMap destination_statistics(const DestinationCounters& destination);

/// Mirror.statistics: tx_packets and tx_bytes count frames (ovs-vswitchd.conf.db(5)). If the session has an
/// output VLAN, foreign_frames counts the frames that came in that VLAN and are not copies; production_frames is
/// its older name. The others are the sums over all destinations.
CounterMap mirror_statistics(const SnapshotRegistry::SessionEntry& session);

/// Frames and copies lost anywhere, by name(DropReason).
CounterMap drop_statistics(const SwitchStatus& status);

/// Frames that came in the output VLAN of a session and are not copies; 0 for a session without one.
std::int64_t foreign_frames(const SnapshotRegistry::SessionEntry& session);

/// Writes the columns `statistics` of Open_vSwitch (other_config:enable-statistics), Interface, Mirror and
/// Mirror_Endpoint.
void write_statistics(const SwitchStatus& status, ovsdb::Transaction& transaction);

}  // namespace vswitch::bridge
