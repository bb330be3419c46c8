// SPDX-License-Identifier: Apache-2.0
// What a sender asks about its device. `socket` is one of any family that answers netdevice(7) ioctls.
#pragma once

#include <cstddef>
#include <string>

namespace vswitch {

// These two do not need the lock of network configuration, which others may hold for milliseconds.

/// IFF_RUNNING, which follows the carrier up to a second late. False when the device is gone.
bool has_carrier(int socket, int ifindex);

/// Bytes behind the Ethernet header that the device takes at present; 0 when it is gone.
std::size_t mtu_of(int socket, int ifindex);

// These do.

/// What `ethtool -i` calls the driver, as "veth"; empty when it does not say.
std::string driver_of(int socket, int ifindex);

/// Queues that frames leave by, as in `ethtool -l`; 0 when it does not say.
std::size_t send_queues_of(int socket, int ifindex);

}  // namespace vswitch
