// SPDX-License-Identifier: Apache-2.0
// Settings that have no effect here, by columns and keys of the rows that have them. schemas/README.md lists
// them; the status of the row names those that are set, each with what the switch does instead.
#pragma once

#include "switchd/bridge/desired.h"
#include "switchd/model/bridge.h"
#include "switchd/model/interface.h"
#include "switchd/model/port.h"

namespace vswitch::bridge {

Unsupported unsupported_by(const model::Bridge& bridge);
Unsupported unsupported_by(const model::Port& port);
/// `type`: what the interface is taken for.
Unsupported unsupported_by(const model::Interface& interface, InterfaceType type);

}  // namespace vswitch::bridge
