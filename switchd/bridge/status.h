// SPDX-License-Identifier: Apache-2.0
// Writes the switch's state back into rows: Interface, Mirror, Mirror_Endpoint and Bridge.
#pragma once

#include <cstdint>
#include <vector>

#include "switchd/bridge/switch_status.h"

namespace vswitch::ovsdb {
class Transaction;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

/// Writes what follows from the settings: ofport, error, and the states of links, sessions and endpoints.
void write_status(const SwitchStatus& status, ovsdb::Transaction& transaction);

/// Writes Mirror.status, and expires_at of a session that has ended. Part of write_status(); call it with
/// write_statistics() as well, because notices depend on counters.
void write_session_status(const SwitchStatus& status, ovsdb::Transaction& transaction);

/// Writes only cur_cfg.
void write_next_cfg(const ovsdb::Uuid& root, std::int64_t next_cfg, ovsdb::Transaction& transaction);

}  // namespace vswitch::bridge
