// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace vswitch {

/// Mark (SO_MARK) of what the switch sends through a queueing discipline, so that the filter of
/// switchd/netlink/host_isolation can tell it from what the host's own stack sends.
inline constexpr std::uint32_t kSwitchMark = 0x76737769;  // "vswi"

}  // namespace vswitch
