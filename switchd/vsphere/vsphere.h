// SPDX-License-Identifier: Apache-2.0
// Sessions of vSphere's distributed switch in the session API: mirror.import and mirror.export.
#pragma once

#include "switchd/api/methods.h"

namespace vswitch::vsphere {

/// Adds both methods. As for register_api(), all four must outlive each other's last request.
void register_methods(control::Dispatcher& dispatcher, ovsdb::Database& database,
                      bridge::AppliedView& applied, history::History& history);

}  // namespace vswitch::vsphere
