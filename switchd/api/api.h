// SPDX-License-Identifier: Apache-2.0
// The session API: JSON-RPC 2.0 methods `noun.verb` as thin transactions over the rows of the database.
//
// Path of a request: the dispatcher finds the method, the contract checks the params and fills in defaults,
// the handler reads rows and either refuses or commits one transaction (on disk when commit returns), and the
// reply is sent once the switch reports that every commit made so far is in the datapath. The result is read
// from the rows at that moment, so it gives the state that was reached, with its reason.
//
// One file per noun. The only state is in the rows; changes by OVSDB clients are visible at once.
#pragma once

#include <string>
#include <vector>

#include "switchd/bridge/switch_view.h"
#include "switchd/control/dispatcher.h"
#include "switchd/db/database.h"
#include "switchd/history/history.h"

namespace vswitch {

/// Adds the methods of control.openrpc.json, except those of vSphere (switchd/vsphere/vsphere.h). The
/// dispatcher, the database, the switch and the history must outlive each other's last request.
void register_api(control::Dispatcher& dispatcher, ovsdb::Database& database, const bridge::SwitchView& view,
                  history::History& history);

/// Call at the start of the daemon, before the switch reads the rows: ends the sessions that are tied to a
/// connection, because no connection has survived.
void end_bound_sessions(ovsdb::Database& database);

/// Removes the ports with other_config:transient=true from their bridges, as `ovs-ctl --delete-transient-ports`
/// does at the start of a host, and returns their names. Throws jsonrpc::Error if it cannot be written.
std::vector<std::string> remove_transient_ports(ovsdb::Database& database);

}  // namespace vswitch
