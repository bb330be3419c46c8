// SPDX-License-Identifier: Apache-2.0
// The settings of the switch as one JSON document: system.export and system.apply.
#pragma once

#include "switchd/bridge/switch_view.h"
#include "switchd/control/dispatcher.h"
#include "switchd/db/database.h"
#include "switchd/history/history.h"

namespace vswitch::document {

/// Adds system.export and system.apply. What is passed must outlive the last request.
void register_methods(control::Dispatcher& dispatcher, ovsdb::Database& database,
                      bridge::AppliedView& applied, history::History& history);

}  // namespace vswitch::document
