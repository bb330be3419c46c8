// SPDX-License-Identifier: Apache-2.0
// Rows by their names, and which row belongs to which.
#pragma once

#include <map>
#include <string>

#include "switchd/db/database.h"

namespace vswitch::model {

using ovsdb::Database;
using ovsdb::Row;

/// nullptr if there is none.
const Row* find_bridge(const Database& database, const std::string& name);
const Row* find_port(const Database& database, const std::string& name);
/// The bridge whose `ports` or `mirrors` contain this row; nullptr if there is none.
const Row* bridge_with(const Database& database, std::string_view column, const ovsdb::Uuid& row);
/// The first interface of a port, nullptr in a damaged database.
const Row* interface_of(const Database& database, const Row& port);

using ByName = std::multimap<std::string, const Row*>;
ByName bridges(const Database& database);
ByName ports_of(const Database& database, const Row& bridge);
ByName mirrors_of(const Database& database, const Row& bridge);

/// The state of a port, from the `status` column of its interface.
struct PortState {
  std::string state;   ///< active, down, waiting, error
  std::string reason;  ///< empty if all is well
};
PortState state_of(const Row& interface);

/// What the rows of a bridge or port ask for without effect, from their `status` columns, as sentences joined
/// by "; "; empty if there is nothing.
std::string notice_of(const Row& row);

/// The state of a session, from its `status` column.
struct MirrorState {
  std::string state;   ///< active, degraded, waiting, disabled, expired, error
  std::string reason;  ///< empty if active or disabled
};
MirrorState state_of_mirror(const Row& mirror);

}  // namespace vswitch::model
