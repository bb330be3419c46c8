// SPDX-License-Identifier: Apache-2.0
// From the switch back into rows: what became of each Interface, Mirror and Bridge, and what was counted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "datapath/snapshot/compiler.h"
#include "switchd/bridge/attachments.h"
#include "switchd/bridge/desired.h"
#include "switchd/netlink/link_monitor.h"

namespace vswitch::ovsdb {
class Transaction;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

/// Everything status is made of, as of one moment.
struct SwitchStatus {
  const Desired& desired;
  const Attachments& attachments;
  const Endpoints& endpoints;
  const netlink::LinkMonitor& links;
  const SnapshotCompiler& compiler;
  const std::vector<SessionStatus>& sessions;
};

using CounterMap = std::map<std::string, std::int64_t>;

/// Interface.statistics: the keys of ovs-vswitchd.conf.db(5), and rx_drop_<reason>, tx_drop_<reason> for
/// reasons that occurred. rx is what the switch receives from the device, as there.
CounterMap interface_statistics(const PortCounters& counters, std::uint64_t overruns);

/// What became of the copies to one destination, one per frame: matched = delivered + lost + duplicate +
/// sampled_out + rate_limited + queued, and lost = the sum of lost_<reason>. A duplicate is a frame that
/// another session has copied to the same destination. sent_packets and delivered_bytes count what left: a
/// GSO packet that is cut up is one copy and many packets.
CounterMap destination_statistics(const DestinationCounters& destination);

/// Mirror.statistics: tx_packets and tx_bytes count frames (ovs-vswitchd.conf.db(5)); production_frames, of a
/// session with an output VLAN, those that came in it and are no copies; the others are the sums over all
/// destinations.
CounterMap mirror_statistics(const SnapshotCompiler::SessionEntry& session);

/// Frames and copies lost anywhere, by name(DropReason).
CounterMap drop_statistics(const SwitchStatus& status);

/// Writes what follows from the settings: ofport, error, link and session states, and cur_cfg last of all.
void write_status(const SwitchStatus& status, ovsdb::Transaction& transaction);

/// Writes cur_cfg alone.
void write_next_cfg(const ovsdb::Uuid& root, std::int64_t next_cfg, ovsdb::Transaction& transaction);

/// Writes ovs_version, db_version, system_type and system_version, as Open vSwitch's start script does.
void write_versions(const ovsdb::Uuid& root, ovsdb::Transaction& transaction);

/// Writes the statistics columns, and what the sessions' status says of them.
void write_statistics(const SwitchStatus& status, ovsdb::Transaction& transaction);

}  // namespace vswitch::bridge
