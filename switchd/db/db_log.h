// SPDX-License-Identifier: Apache-2.0
// The area of the log that the folder writes to.
#pragma once

#include "switchd/base/log.h"

namespace vswitch::ovsdb {

inline const log::Module kLog{"database"};

}  // namespace vswitch::ovsdb
