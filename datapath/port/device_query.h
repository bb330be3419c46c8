// SPDX-License-Identifier: Apache-2.0
// Queries of a sender about its device. `socket` is any socket that answers netdevice(7) ioctls.
#pragma once

#include <cstddef>
#include <string>

namespace vswitch {

// These two do not take the RTNL lock, which others may hold for milliseconds.

/// IFF_RUNNING, which follows the carrier up to a second late. False if the device is gone.
bool has_carrier(int socket, int ifindex);

/// The current MTU in bytes, Ethernet header not included; 0 if the device is gone.
std::size_t mtu_of(int socket, int ifindex);

// These two do.

/// Name of the driver as in `ethtool -i`, such as "veth"; empty if unknown.
std::string driver_of(int socket, int ifindex);

/// Switches the finishing of checksums by the device on or off; off: the kernel finishes them, and segments GSO packets,
/// before the device gets a frame (`ethtool -K NAME tx off`). False if the device cannot be changed.
bool set_tx_checksum(int socket, int ifindex, bool on);

/// Number of transmit queues as in `ethtool -l`; 0 if unknown.
std::size_t send_queues_of(int socket, int ifindex);

}  // namespace vswitch
