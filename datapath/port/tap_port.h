// SPDX-License-Identifier: Apache-2.0
// An internal port: a tap device made by the switch, through which the host itself takes part in the network.
//
// What the host sends on the device is received by the port, what the port sends arrives in the host's stack.
// The device is not persistent: it goes with the port, and so with the daemon, however that ends. It is made
// down; bringing it up and giving it addresses is the administrator's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "datapath/port/port.h"

namespace vswitch {

struct TapOptions {
  std::string name;                  ///< of the device to make, 1 to 15 characters
  std::size_t senders = 1;           ///< SenderId 0 .. senders-1 may send
  std::optional<MacAddr> mac;        ///< without it the kernel draws one
  std::optional<std::uint32_t> mtu;  ///< bytes behind the Ethernet header; the kernel's default is 1500
};

/// Throws std::system_error whose what() is a sentence: the name is taken or no device name, no permission,
/// MTU out of range.
std::unique_ptr<Port> open_tap_port(const TapOptions& options);

}  // namespace vswitch
