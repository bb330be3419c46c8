// SPDX-License-Identifier: Apache-2.0
// The revision of a bridge, port or session: a digest of its row and of what is set in it, whoever has set it.
//
// OVSDB's _version does not serve: it changes with every statistic and state that the switch writes, and is
// drawn anew when the daemon starts. A digest needs nothing stored, so it is the same after a restart, and it
// sees the changes of every interface. Settings that are changed and changed back have the revision they had:
// who then writes on top of it writes on top of what he read. A row that was removed and made again has
// another UUID, and thus another revision.
#pragma once

#include <optional>
#include <string>

#include "schemas/json.h"
#include "switchd/api/rows.h"

namespace vswitch::api {

/// 32 hexadecimal digits. Ports and sessions of a bridge have revisions of their own; those of the interface of
/// a port and of the endpoints of a session count as theirs.
std::string revision_of_bridge(const Row& bridge);
std::string revision_of_port(const Database& database, const Row& port);
std::string revision_of_mirror(const Database& database, const Row& mirror);

/// Throws changed_meanwhile() with the present revision if params.if_revision is given and is another one. nullopt: the
/// object does not exist. `what`: "port t1"; `reader`: the method that returns it.
void check_revision(const Json& params, const std::optional<std::string>& present, const std::string& what,
                    const std::string& reader);

/// Columns of a table that the switch fills, besides those that are not kept in the file.
bool is_filled(const std::string& table, const std::string& column);

}  // namespace vswitch::api
