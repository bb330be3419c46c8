// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "datapath/base/types.h"

namespace vswitch {

/// CLOCK_MONOTONIC.
TimeNs steady_now();

}  // namespace vswitch
