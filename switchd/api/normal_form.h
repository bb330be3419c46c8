// SPDX-License-Identifier: Apache-2.0
// Settings as text: the members of MirrorSettings, PortSettings and BridgeSettings of the contract, without
// those that have their default. Two objects have the same settings if their normal forms are equal.
#pragma once

#include <string>

#include "schemas/json.h"
#include "switchd/api/port_settings.h"
#include "switchd/model/bridge.h"
#include "switchd/model/mirror.h"

namespace vswitch::api {

Json normal_form(const model::MirrorSettings& session);
Json normal_form(const PortSettings& port);
Json normal_form(const model::Bridge& bridge);

/// One item per member that differs between two normal forms: {"member": "destination.ports", "before",
/// "after"}. null: the default.
Json differences(const Json& before, const Json& after);

}  // namespace vswitch::api
