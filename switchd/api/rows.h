// SPDX-License-Identifier: Apache-2.0
// Rows by the names people use, and who belongs to whom.
#pragma once

#include <map>
#include <string>

#include "schemas/json.h"
#include "switchd/bridge/switch_view.h"
#include "switchd/db/database.h"

namespace vswitch::api {

using ovsdb::Database;
using ovsdb::Row;

/// The bridge, or an Error not_found for the param `field`.
const Row& bridge_named(const Database& database, const std::string& name,
                        const std::string& field = "bridge");
/// nullptr when there is none.
const Row* find_bridge(const Database& database, const std::string& name);
const Row* find_port(const Database& database, const std::string& name);
/// The bridge whose `ports` or `mirrors` hold this row; nullptr for none.
const Row* bridge_with(const Database& database, std::string_view column, const ovsdb::Uuid& row);
/// The first interface of a port, nullptr in a damaged database.
const Row* interface_of(const Database& database, const Row& port);

using ByName = std::multimap<std::string, const Row*>;
ByName bridges(const Database& database);
ByName ports_of(const Database& database, const Row& bridge);
ByName mirrors_of(const Database& database, const Row& bridge);
/// The bridges a list method is about: the one in params.bridge, or all.
ByName bridges_asked_for(const Database& database, const Json& params);

/// How a port is doing: the `status` column of its interface.
struct PortState {
  std::string state;   ///< active, down, waiting, error
  std::string reason;  ///< empty when all is well
};
PortState state_of(const Row& interface);
/// PortCounters of the contract, as of now; from the row when the datapath does not have it.
Json counters_of(bridge::CountersView& view, const Row& interface);

/// How a session is doing: its `status` column.
struct MirrorState {
  std::string state;   ///< active, degraded, waiting, disabled, expired, error
  std::string reason;  ///< empty when active or disabled
};
MirrorState state_of_mirror(const Row& mirror);

}  // namespace vswitch::api
