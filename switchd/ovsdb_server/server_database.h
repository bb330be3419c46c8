// SPDX-License-Identifier: Apache-2.0
// The database _Server, where clients look up which databases exist (ovsdb-server(5)).
#pragma once

#include <memory>

#include "switchd/db/database.h"

namespace vswitch::ovsdb {

/// In memory, with a row for `served` and one for itself: model standalone, connected, leader. Clients read
/// the schema of a database from here.
std::unique_ptr<Database> make_server_database(const DatabaseSchema& served);

}  // namespace vswitch::ovsdb
