// SPDX-License-Identifier: Apache-2.0
// The settings of a bridge, and how they are written.
#pragma once

#include <string>

#include "schemas/json.h"
#include "switchd/db/transaction.h"
#include "switchd/model/bridge.h"

namespace vswitch::api {

/// From checked params of bridge.put, or the BridgeSettings of the contract; what is not given has its default.
model::Bridge bridge_settings_from(const Json& params);

/// Bridge, Port and Interface rows as `ovs-vsctl add-br` makes them. The caller adds the Bridge to the root row.
ovsdb::Uuid insert_bridge(ovsdb::Transaction& transaction, const std::string& name);
/// Writes every setting of `settings`. What the session API does not have stays.
void write_settings(ovsdb::Transaction& transaction, const ovsdb::Uuid& bridge,
                    const model::Bridge& settings);

}  // namespace vswitch::api
