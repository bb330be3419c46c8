// SPDX-License-Identifier: Apache-2.0
// The session API: JSON-RPC 2.0 methods `noun.verb` as thin transactions over the rows of the database.
//
// Walk of a request: the dispatcher finds the method, the contract checks the params and fills in defaults,
// the handler looks at rows, refuses or commits one transaction (on disk when commit returns), and the reply
// goes out once the switch says that every commit made so far is in the datapath. The result is read from the
// rows at that moment, so it tells the state that was reached, with its reason.
//
// One file per noun. Nothing is kept here besides rows; what OVSDB clients do is seen at once.
#pragma once

#include "switchd/bridge/switch_view.h"
#include "switchd/control/dispatcher.h"
#include "switchd/db/database.h"

namespace vswitch {

/// Adds the methods of control.openrpc.json, those of vSphere (switchd/vsphere/vsphere.h) apart. The
/// dispatcher, the database and the switch have to outlive each other's last request.
void register_api(control::Dispatcher& dispatcher, ovsdb::Database& database, const bridge::SwitchView& view);

/// For the start of the daemon, before the switch looks at the rows: no connection of sessions that end with
/// one has survived.
void end_bound_sessions(ovsdb::Database& database);

}  // namespace vswitch
