// SPDX-License-Identifier: Apache-2.0
// Programs that others have attached to a device by tcx (Linux 6.6). The kernel runs them before the filters of clsact,
// and a frame about which one of them decides does not come to these filters. It does not tell when they come and go.
#pragma once

#include <cstdint>

namespace vswitch::netlink {

enum class TcxHook : std::uint8_t { ingress, egress };

/// Whether there is such a program at the device, which is in the network namespace of the calling thread. False if the
/// kernel has no tcx, or does not answer the daemon (CAP_NET_ADMIN in the first user namespace). 0.7 us.
bool has_tcx_program(int ifindex, TcxHook hook);

}  // namespace vswitch::netlink
