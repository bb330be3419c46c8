// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace vswitch {

/// SO_MARK of packets that the switch sends through a queueing discipline, so that the filter of
/// switchd/netlink/host_isolation can tell them from packets of the host's own stack.
inline constexpr std::uint32_t kSwitchMark = 0x76737769;  // "vswi"

}  // namespace vswitch
