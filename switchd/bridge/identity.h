// SPDX-License-Identifier: Apache-2.0
// How the switch and its bridges identify themselves to clients: versions, supported types, datapath ids.
#pragma once

#include "switchd/bridge/attachments.h"
#include "switchd/bridge/desired.h"

namespace vswitch::ovsdb {
class Transaction;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

/// Writes ovs_version, db_version, system_type and system_version, as Open vSwitch's start script does.
/// `root`: the Open_vSwitch row.
void write_versions(const ovsdb::Uuid& root, ovsdb::Transaction& transaction);

/// Writes Open_vSwitch.datapath_types and iface_types, and datapath_version and datapath_id of each bridge.
/// The datapath_id is other_config:datapath-id if that is valid, otherwise it is made from the MAC address of
/// the local port, as in Open vSwitch.
void write_identity(const Desired& desired, const Attachments& attachments, ovsdb::Transaction& transaction);

}  // namespace vswitch::bridge
