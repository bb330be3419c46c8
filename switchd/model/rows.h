// SPDX-License-Identifier: Apache-2.0
// Rows by the names people use, and who belongs to whom.
#pragma once

#include <map>
#include <string>

#include "switchd/db/database.h"

namespace vswitch::model {

using ovsdb::Database;
using ovsdb::Row;

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

/// How a port is doing: the `status` column of its interface.
struct PortState {
  std::string state;   ///< active, down, waiting, error
  std::string reason;  ///< empty when all is well
};
PortState state_of(const Row& interface);

/// How a session is doing: its `status` column.
struct MirrorState {
  std::string state;   ///< active, degraded, waiting, disabled, expired, error
  std::string reason;  ///< empty when active or disabled
};
MirrorState state_of_mirror(const Row& mirror);

}  // namespace vswitch::model
