// SPDX-License-Identifier: Apache-2.0
// Rows as requests name them, and what the session API adds to them.
#pragma once

#include <string>

#include "schemas/json.h"
#include "switchd/bridge/switch_view.h"
#include "switchd/db/database.h"
#include "switchd/db/transaction.h"
#include "switchd/model/rows.h"

namespace vswitch::api {

using ovsdb::Database;
using ovsdb::Row;

/// The bridge, or an Error not_found for the param `field`.
const Row& bridge_named(const Database& database, const std::string& name,
                        const std::string& field = "bridge");
/// The bridges that a list method covers: the one in params.bridge, or all.
model::ByName bridges_asked_for(const Database& database, const Json& params);

/// PortCounters of the contract, current values; from the row if the port is not in the datapath.
Json counters_of(bridge::CountersView& view, const Row& interface);

/// The single Open_vSwitch row, created if missing, as `ovs-vsctl init` does.
ovsdb::Uuid root_row(const Database& database, ovsdb::Transaction& transaction);

}  // namespace vswitch::api
