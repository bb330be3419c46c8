// SPDX-License-Identifier: Apache-2.0
// What a sender asks about its device while it works. Neither question needs the lock of network
// configuration, which others may hold for milliseconds.
#pragma once

#include <cstddef>
#include <string>

namespace vswitch {

/// IFF_RUNNING, which follows the carrier up to a second late. False when the device is gone. `socket`: of
/// any network family.
bool has_carrier(int socket, int ifindex);

/// Bytes behind the Ethernet header that the device takes at present; 0 when it is gone.
std::size_t mtu_of(int socket, int ifindex);

/// What `ethtool -i` calls the driver, as "veth"; empty when it does not say. Does need that lock.
std::string driver_of(int socket, int ifindex);

}  // namespace vswitch
