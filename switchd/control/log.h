// SPDX-License-Identifier: Apache-2.0
// The log of sockets and connections: one area for the operator, several files here.
#pragma once

#include "switchd/base/log.h"

namespace vswitch::control {

inline const log::Module kLog{"control"};

}  // namespace vswitch::control
