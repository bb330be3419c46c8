// SPDX-License-Identifier: Apache-2.0
// An internal port: a tap device created by the switch, through which the host itself takes part in the
// network.
//
// The port receives what the host sends on the device, and what the port sends arrives in the host's stack.
// The device is not persistent: it disappears with the port, and so with the daemon, however that ends. It is
// created down; the administrator brings it up and gives it addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "datapath/port/port.h"

namespace vswitch {

struct TapOptions {
  std::string name;                  ///< of the device to create, 1 to 15 characters
  std::size_t senders = 1;           ///< SenderId 0 .. senders-1 may send
  std::optional<MacAddr> mac;        ///< nullopt: the kernel chooses one
  std::optional<std::uint32_t> mtu;  ///< bytes behind the Ethernet header; the kernel's default is 1500
};

/// Creates the device. Throws std::system_error whose what() is a sentence: the name is in use or invalid, no
/// permission, MTU out of range.
std::unique_ptr<Port> open_tap_port(const TapOptions& options);

}  // namespace vswitch
